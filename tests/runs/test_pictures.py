"""Predictions as pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recurra.core.errors import ConfigError, OutputError
from recurra.runs.pictures import draw, require_drawing
from recurra.tasks import Alignment, ForecastPicture, ScorePicture

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


def forecast(horizon: int, stamps: bool) -> ForecastPicture:
    days = np.datetime64("2026-01-01") + np.arange(60 + horizon) if stamps else np.arange(60 + horizon)
    wave = np.sin(np.arange(60 + horizon) / 5)
    history, ahead = wave[:60].copy(), wave[60:]
    history[7] = np.nan
    bands = {95.0: (ahead - 2, ahead + 2), 80.0: (ahead - 1, ahead + 1)}
    return ForecastPicture("sales 销量", days[:60], history, days[60:], ahead, bands, ahead + 0.1)


@pytest.mark.parametrize("stamps", [True, False])
@pytest.mark.parametrize("horizon", [1, 12])
def test_a_forecast_with_its_bands(horizon: int, stamps: bool, tmp_path: Path) -> None:
    draw(forecast(horizon, stamps), tmp_path / "f.svg")
    text = (tmp_path / "f.svg").read_text(encoding="utf-8")
    assert all(f">{word}<" in text for word in ("history", "forecast", "what came", "80 %", "95 %"))


def test_a_forecast_of_what_nobody_knows_yet(tmp_path: Path) -> None:
    draw(forecast(12, True)._replace(truth=None, bands={}), tmp_path / "f.svg")
    text = (tmp_path / "f.svg").read_text(encoding="utf-8")
    assert "what came" not in text and "80 %" not in text


@pytest.mark.parametrize("channels", [1, 3])
def test_a_series_with_its_anomalies(channels: int, tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(50, channels))
    scores = np.r_[np.full(5, np.nan), np.linspace(0, 1, 45)]
    picture = ScorePicture("cpu", np.arange(50), values, scores, 0.9, scores > 0.9, ((40, 48),))
    draw(picture, tmp_path / "s.svg")
    text = (tmp_path / "s.svg").read_text(encoding="utf-8")
    assert all(f">{word}<" in text for word in ("flagged", "score", "threshold"))
