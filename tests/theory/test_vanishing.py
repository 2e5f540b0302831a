"""Measured gradients over 200 steps against theory."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest

from recurra.core.errors import MissingExtraError
from recurra.theory import GRU, LSTM, Elman
from recurra.theory.vanishing import NUM_STEPS, Curve, draw, factor_of, main, measure, predict_elman, predict_gated

RADII = (0.5, 0.8, 1.0, 1.2, 1.5)


@pytest.mark.parametrize("radius", RADII)
@pytest.mark.parametrize(("activation", "tolerance"), [("tanh", 0.01), ("sigmoid", 0.01), ("relu", 0.05)])
def test_elman_as_predicted(activation: str, tolerance: float, radius: float) -> None:
    norms = measure(Elman(activation), radius)
    assert factor_of(norms) == pytest.approx(predict_elman(activation, radius), rel=tolerance)


@pytest.mark.parametrize("bias", [0, 1, 3])
def test_lstm_as_predicted(bias: int) -> None:
    norms = measure(LSTM(bias), 0.1, hidden_size=48)
    assert factor_of(norms) == pytest.approx(predict_gated(bias, 0.1), rel=0.01)


def test_gru_as_predicted() -> None:
    assert factor_of(measure(GRU(), 0.1, hidden_size=48)) == pytest.approx(predict_gated(0, 0.1), rel=0.01)


def test_predictions_in_closed_form() -> None:
    assert predict_elman("relu", 1.3) == pytest.approx(1.3 / math.sqrt(2), rel=1e-9)
    assert predict_elman("tanh", 1.0) < 1.0  # never above radius max |phi'|
    assert predict_elman("sigmoid", 1.5) < 1.5 / 4
    assert predict_gated(0, 0.0) == 0.5


def test_clipping_stops_explosions_and_changes_nothing_else() -> None:
    exploding = measure(Elman(), 1.5, hidden_size=100)
    clipped = measure(Elman(), 1.5, max_norm=1.0, hidden_size=100)
    assert exploding[0] > 1e3 and clipped.max() <= 1 + 1e-9
    vanishing = measure(Elman(), 0.5, hidden_size=100)
    assert factor_of(measure(Elman(), 0.5, max_norm=1.0, hidden_size=100)) == pytest.approx(factor_of(vanishing))


def test_factor_of_a_straight_line() -> None:
    assert factor_of(0.9 ** np.arange(NUM_STEPS)[::-1]) == pytest.approx(0.9)


def test_drawing_and_table(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    line = Curve("a line", 0.9 ** np.arange(NUM_STEPS)[::-1], 0.9, 0.91)
    monkeypatch.setattr("recurra.theory.vanishing.panels", lambda: {f"panel {n}": [line] for n in range(4)})
    main([str(tmp_path / "gradients.svg")])
    assert "0.9000  0.9100" in capsys.readouterr().out
    drawn = (tmp_path / "gradients.svg").read_text(encoding="utf-8")
    assert drawn.count("<!-- a line: 0.900 (0.910) -->") == 4


def test_drawing_without_matplotlib_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"recurra\[plot\]"):
        draw({}, str(tmp_path / "x.png"))
