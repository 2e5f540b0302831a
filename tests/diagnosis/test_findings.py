"""Every finding has its words in both languages, and mends that the options take."""

from __future__ import annotations

import string
from pathlib import Path

import pytest

from recurra.diagnosis.findings import Finding
from recurra.diagnosis.trials import Trial, gained
from recurra.diagnosis.wording import FINDINGS, WORDS, in_words


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("name", FINDINGS)
def test_both_languages_show_the_same_figures(name: str) -> None:
    english, chinese = (FINDINGS[name][lang] for lang in ("en", "zh"))  # type: ignore[index]
    assert fields(english.seen) | fields(english.mend) == fields(chinese.seen) | fields(chinese.mend)
    assert english.title.isascii() and not chinese.title.isascii()


def test_both_languages_have_the_same_words() -> None:
    extra = {"numbered", "forward", "backward"}  # English layers are named as they are
    assert WORDS["en"].keys() == WORDS["zh"].keys() - extra


def test_every_finding_stands_in_the_documentation() -> None:
    """A row of the table for each."""
    for lang in ("en", "zh"):
        page = (Path(__file__).parents[2] / "docs" / lang / "diagnosis.md").read_text(encoding="utf-8")
        heading = {"en": "## What it can name", "zh": "## 能指出什么"}[lang]
        table = page.split(heading)[1].split("\n\n")[1]
        assert len(table.splitlines()) == 2 + len(FINDINGS)


def test_names_of_layers_and_gates_in_chinese() -> None:
    assert in_words("layer 2 backward", "zh") == "第 2 层（反向）"
    assert in_words("encoder.recurrent layer 1", "zh") == "encoder.recurrent 第 1 层"
    assert in_words("forget gate", "zh") == "遗忘门" and in_words("relu", "zh") == "relu"
    assert in_words("layer 2 backward", "en") == "layer 2 backward"


def test_overrides_as_they_are_typed() -> None:
    finding = Finding("vanishing", "fault", {}, {"model.cell.kind": "lstm", "optimizer.clip_norm": 1.0})
    assert finding.options() == "model.cell.kind=lstm optimizer.clip_norm=1"


def rows(*losses: float) -> list[dict[str, float]]:
    return [{"loss": loss} for loss in losses]


def test_what_a_training_misses_of_another() -> None:
    model = None
    slow, fast = Trial(model, rows(4, 4, 3, 3)), Trial(model, rows(4, 3, 2, 1))  # type: ignore[arg-type]
    assert gained(slow, fast) == pytest.approx(2 / 3)
    assert gained(fast, slow) < 0
    broken = Trial(model, rows(4, 9), fault="NaN")  # type: ignore[arg-type]
    assert gained(broken, fast) == float("inf") and gained(fast, broken) == 0
