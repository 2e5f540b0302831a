"""Attention as a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recurra.core.errors import ConfigError, OutputError
from recurra.runs.alignments import draw, require_drawing
from recurra.tasks import Alignment

HEAT = Alignment(("a", "dog"), ("ein", "Hund", "."), np.array([[0.9, 0.1, 0.0], [0.1, 0.8, 0.1]]))


@pytest.mark.parametrize(("ending", "begins"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("SVG", b"<?xml")])
def test_the_ending_chooses_the_format(ending: str, begins: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"attention.{ending}"
    require_drawing(path)
    draw(HEAT, path)
    assert path.read_bytes().startswith(begins)
    assert list(tmp_path.iterdir()) == [path]


def test_the_words_stand_in_an_svg_whatever_fonts_there_are(tmp_path: Path) -> None:
    draw(HEAT._replace(columns=("猫", "Hund", ".")), tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert all(f">{word}<" in text for word in ("dog", "猫", "Hund"))


def test_a_missing_font_is_told_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    draw(HEAT._replace(columns=("\U00013000", "\U00013001", ".")), tmp_path / "a.png")  # Egyptian hieroglyphs
    assert len(caplog.records) == 1 and "no font here" in caplog.text


def test_one_word_and_very_many_words(tmp_path: Path) -> None:
    draw(Alignment(("x",), ("y",), np.ones((1, 1))), tmp_path / "one.png")
    many = tuple(map(str, range(300)))
    draw(Alignment(many, many, np.eye(300)), tmp_path / "many.png")
    assert (tmp_path / "many.png").stat().st_size > 1000


def test_what_cannot_be_drawn(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ends in .png, .svg, .pdf"):
        require_drawing(tmp_path / "a.gif")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        draw(HEAT, tmp_path / "file" / "a.png")
