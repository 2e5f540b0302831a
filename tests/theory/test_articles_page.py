"""The table "what the articles describe": every file, module and name in it is there, and its figures are ours."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest

from recurra.theory.worked_example import compute

ROOT = Path(__file__).parents[2]
both = pytest.mark.parametrize("page", ["docs/en/articles.md", "docs/zh/articles.md"])


def resolve(dotted: str) -> Any:
    """A module, or what is in one."""
    try:
        return importlib.import_module(dotted)
    except ModuleNotFoundError:
        module, _, name = dotted.rpartition(".")
        return getattr(resolve(module), name)


@both
def test_files_modules_and_names_exist(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    files = set(re.findall(r"\b((?:examples|tests)/[\w/]+\.py)", text))
    assert len(files) >= 5 and all((ROOT / name).is_file() for name in files)
    names = set(re.findall(r"\brecurra(?:\.\w+)+", text))
    assert len(names) > 20
    for name in names:
        assert resolve(name) is not None


@both
def test_every_article_is_treated(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    headings = re.findall(r"^## (?:Article|文章) (\d{3})$", text, re.MULTILINE)
    assert headings == ["000", "001", "002", "003", "004"]


@both
def test_worked_example_has_the_computed_figures(page: str) -> None:
    text, values = (ROOT / page).read_text(encoding="utf-8"), compute()
    rows = {
        "h_1": "h_1",
        "h_2": "h_2",
        "y": "y",
        "L": "L",
        "dL/ds": "ds",
        "dL/dW_y": "dW_y",
        "dL/da_2": "da_2",
        "dL/da_1": "da_1",
    }
    for row, name in rows.items():
        (shown,) = re.findall(rf"^\| {row} \|.*\| (-?[\d.]+) \|$", text, re.MULTILINE)
        assert float(shown) == pytest.approx(values[name].item(), abs=5e-7)
    assert "[" + ", ".join(f"{value:.6f}" for value in values["dW_h"]) + "]" in text
