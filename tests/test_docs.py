"""What README and docs show exists: commands and options parse, Python compiles and imports, quick examples run."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from recurra.cli import dotted_as_overrides
from recurra.cli.commands import app
from recurra.core.config import apply_overrides, parse, parse_overrides, read_yaml
from recurra.data import DataConfig
from recurra.recipes import FINETUNE_RECIPES, READING_RECIPES, RECIPES, finetune_recipe
from recurra.recipes.distilling import distill_recipe
from recurra.recipes.language import word_lm
from recurra.runs import RunConfig, override
from recurra.training.optimizer import OPTIMIZERS, BaseOptimizerConfig
from recurra.training.schedule import SCHEDULES, BaseScheduleConfig

ROOT = Path(__file__).parents[1]
TWINS = {"README.md": "README.zh-CN.md"} | {
    f"docs/en/{path.name}": f"docs/zh/{path.name}" for path in sorted((ROOT / "docs" / "en").glob("*.md"))
}
PAGES = [*TWINS, *TWINS.values(), "CONTRIBUTING.md", "CHANGELOG.md"]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMANDS = (
    "lesson",
    "train",
    "finetune",
    "find-rate",
    "merge",
    "ensemble",
    "distill",
    "compare",
    "evaluate",
    "predict",
    "generate",
    "tune",
    "list",
    "doctor",
    "diagnose",
)
COMMAND = re.compile(rf"(?:^|[|`;&]\s*|-m )recurra ((?:{'|'.join(COMMANDS)})\b[^`|<>;&#]*)")
OPTION = re.compile(r"`((?:task|model|optimizer|schedule|training|data|finetune|distill|tune)\.[a-z0-9_.]+)")
NEEDS_FILES = re.compile(r"runs/|\.csv|\.txt|\.yaml|\.fit\(")
"""Examples that read files or train are compiled only."""


class Block(NamedTuple):
    """A fenced block."""

    page: str
    language: str
    text: str


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[Block]:
    return [Block(page, kind, text) for kind, text in FENCE.findall(read(page)) if kind == language]


def commands(page: str) -> Iterator[str]:
    """Command lines in shell blocks, and those between backquotes that are whole: capitals stand for names."""
    for block in blocks(page, "sh"):
        for line in block.text.replace("\\\n", " ").splitlines():
            yield from (found.strip() for found in COMMAND.findall(line))
    for span in re.findall(r"`(recurra \w+ [^`\n]+)`", FENCE.sub("", read(page))):
        if not re.search(r"\b[A-Z]{2,}\b|\.\.\.", span):
            yield from (found.strip() for found in COMMAND.findall(f"`{span}"))


def check_command(line: str) -> None:
    """Parse a command line as the program does, and check recipe and options without running it."""
    words = dotted_as_overrides(shlex.split(line))
    command, bound, _ = app.parse_args(words, exit_on_error=False, print_error=False)
    given = bound.arguments
    if command.__name__ in ("train", "tune") or (command.__name__ == "find_rate" and given["recipe"] in RECIPES):
        check_run(given.get("recipe"), given.get("overrides", ()))
    elif command.__name__ == "finetune":
        task, base = given.get("task"), given.get("recipe")
        further = task is not None and task not in (*FINETUNE_RECIPES, *READING_RECIPES)
        pretrained = next(make() for make in RECIPES.values() if make().task.kind == task) if further else word_lm()
        backward = word_lm() if "finetune.backward" in options(given) else None
        finetune_recipe("runs/lm", pretrained, task, options(given), backward=backward, base=base)
    elif command.__name__ == "distill":
        words = [word for word in (given.get("recipe"), *given.get("overrides", ())) if word is not None]
        (student,) = [RECIPES[word]() for word in words if "=" not in word] or [None]
        named = parse_overrides(word for word in words if "=" in word)
        distill_recipe("runs/teacher", student or RECIPES["char-lm"](), student, named)
    elif command.__name__ in ("evaluate", "predict"):
        words = [given.get("file") or "", *given.get("overrides", ())]
        named = parse_overrides(word for word in words if "=" in word)
        parse(DataConfig, apply_overrides({}, {key.removeprefix("data."): value for key, value in named.items()}))
    elif command.__name__ == "list_" and given.get("name") is not None:
        assert given["what"] == "options" and given["name"] in RECIPES


def check_run(recipe: str | None, overrides: tuple[str, ...]) -> None:
    names = [word for word in (recipe, *overrides) if word is not None and "=" not in word]
    given = parse_overrides(word for word in (recipe, *overrides) if "=" in (word or ""))
    assert len(names) <= 1, f"more than one recipe: {names}"
    if names and not names[0].endswith(".yaml"):
        override(RECIPES[names[0]](), given)
    elif given:
        override(RECIPES["text-classifier"](), given)


def options(given: dict[str, Any]) -> dict[str, Any]:
    return parse_overrides(given.get("overrides", ()))


@pytest.mark.parametrize("page", PAGES)
def test_commands_parse(page: str) -> None:
    found = list(commands(page))
    assert found or page in ("CHANGELOG.md", "CONTRIBUTING.md") or page.endswith(("recurrence.md", "python.md"))
    for line in found:
        try:
            check_command(line)
        except Exception as error:
            raise AssertionError(f"{page}: recurra {line}: {error}") from error


@pytest.mark.parametrize("page", PAGES)
def test_named_options_exist(page: str) -> None:
    """`section.option` between backquotes is an option of a run, of some kind of its section."""
    known = {re.sub(r"\[[\w-]+\]", "", name) for name in option_names()}
    files = (".json", ".safetensors")
    groups = {name[: place.start()] for name in known for place in re.finditer(r"\.", name)} | {"model.cell"}
    for span in OPTION.findall(FENCE.sub("", read(page))):
        name = span.rstrip(".")
        assert name.endswith(files) or name in known | groups, f"{page}: no option {name}"


@pytest.mark.parametrize("page", ["docs/en/training.md", "docs/zh/training.md"])
def test_tables_of_optimizers_and_schedules_are_whole(page: str) -> None:
    rows = {row[0]: row[1] for row in re.findall(r"^\| `([\w-]+)` \|([^|]*)\|", read(page), re.MULTILINE)}
    for table, base in ((OPTIMIZERS, BaseOptimizerConfig), (SCHEDULES, BaseScheduleConfig)):
        for kind, config in table.items():
            own = set(config.model_fields) - set(base.model_fields) - {"kind"}
            own -= set(table["adam"].model_fields) if kind == "adamw" else set()
            assert own <= set(re.findall(r"`(\w+)`", rows[kind])), f"{page}: {kind} has {own}"


def option_names() -> Iterator[str]:
    from recurra.core.config import option_rows

    yield from (row[0] for row in option_rows(RunConfig))


@pytest.mark.parametrize("page", PAGES)
def test_run_files_are_read(page: str, tmp_path: Path) -> None:
    for block in blocks(page, "yaml"):
        (tmp_path / "run.yaml").write_text(block.text, encoding="utf-8")
        parse(RunConfig, read_yaml(tmp_path / "run.yaml")[0])


@pytest.mark.parametrize("page", PAGES)
def test_examples_compile_and_what_they_import_is_there(page: str) -> None:
    for block in blocks(page, "python"):
        for node in ast.walk(ast.parse(block.text, filename=page)):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    importlib.import_module(alias.name)
            elif isinstance(node, ast.ImportFrom):
                module = importlib.import_module(node.module or "")
                missing = [alias.name for alias in node.names if not hasattr(module, alias.name)]
                assert not missing, f"{page}: {node.module} has no {missing}"
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "recurra":
                assert node.attr == "nn" or hasattr(importlib.import_module("recurra"), node.attr), node.attr


@pytest.mark.parametrize("page", TWINS)
def test_quick_examples_run(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    for block in blocks(page, "python"):
        if not NEEDS_FILES.search(block.text):
            exec(compile(block.text, page, "exec"), {"__name__": "example"})


@pytest.mark.parametrize(("english", "chinese"), TWINS.items())
def test_twins_show_the_same_commands(english: str, chinese: str) -> None:
    assert set(commands(english)) == set(commands(chinese))
    assert code(english) == code(chinese)


def code(page: str) -> list[str]:
    """Python without comments."""
    return [ast.unparse(ast.parse(block.text)) for block in blocks(page, "python")]


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for target, anchor in re.findall(r"\]\(([^)#\s]*)#?([^)]*)\)", FENCE.sub("", read(page))):
        if "://" in target:
            continue
        path = (ROOT / page).parent / target if target else ROOT / page
        assert path.exists(), f"{page}: {target}"
        assert not anchor or anchor in anchors(path), f"{page}: {target}#{anchor}"


def anchors(path: Path) -> list[str]:
    """What links may name in a page: its headings as GitHub writes them."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", path.read_text(encoding="utf-8")), re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


@pytest.mark.parametrize("page", ["README.md", "README.zh-CN.md"])
def test_every_recipe_and_command_is_named(page: str) -> None:
    text = read(page)
    missing = [name for name in RECIPES if f"`{name}`" not in text]
    missing += [name for name in COMMANDS if f"`recurra {name}" not in text]
    tasks = (*FINETUNE_RECIPES, *READING_RECIPES)
    missing += [name for name in tasks if f"`{name}`" not in text and f" {name}`" not in text]
    assert not missing
