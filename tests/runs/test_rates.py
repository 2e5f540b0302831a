"""The learning-rate finder: what a curve suggests, and the command."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from recurra.cli import main
from recurra.core.errors import DataError
from recurra.runs.rates import rate_page, read_curve
from recurra.training.schedule import RisingConfig

RATES = list(np.geomspace(1e-5, 1.0, 200))
ROWS = "text,label\n" + "bad poor day,neg\nfine great day,pos\n" * 30


def falling(rate: float) -> float:
    """3 at first, falls steeply at 1e-2, rises from 0.3 on."""
    return 3 - 2 / (1 + (1e-2 / rate) ** 2) + 5 * max(0.0, math.log10(rate / 0.3))


def test_the_rate_of_the_steepest_fall_is_suggested() -> None:
    draw = np.random.default_rng(0)
    found = read_curve(RATES, [falling(rate) + 0.02 * draw.standard_normal() for rate in RATES])
    assert 5e-3 < found.suggested < 2e-2 and 0.05 < found.lowest < 0.5
    assert found.suggested <= found.lowest / 10


def test_where_nothing_is_learnt_it_is_a_tenth_of_what_does_no_harm() -> None:
    draw = np.random.default_rng(0)
    losses = [0.69 + 0.02 * draw.standard_normal() + (rate > 0.02) for rate in RATES]
    assert 1e-3 < read_curve(RATES, losses).suggested < 3e-3


def test_a_curve_that_ends_at_once_is_refused() -> None:
    with pytest.raises(DataError, match="infinite after 5 updates"):
        read_curve(RATES[:5], [1.0] * 5)


def test_the_rate_rises_exponentially_to_its_value() -> None:
    factors = [RisingConfig(first=1e-4).factor(update, 101, 0.0) for update in range(101)]
    assert factors[0] == pytest.approx(1e-4) and factors[-1] == 1
    assert np.diff(np.log(factors)) == pytest.approx(math.log(1e4) / 100)


def test_the_page_stands_alone() -> None:
    page = rate_page(read_curve(RATES, [falling(rate) for rate in RATES]), "a <run>", "zh")
    assert (
        "a &lt;run&gt;" in page and "学习率" in page and "<svg" in page and "http" not in page.replace("http-equiv", "")
    )


def test_the_command_suggests_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rows.csv").write_text(ROWS)
    small = ("model.hidden_size=4", "model.embedding_dim=4", "training.batch_size=8")
    given = ["find-rate", "text-classifier-small", "--data.train", str(tmp_path / "rows.csv"), *small]
    main([*given, "--updates", "40", "--plot", str(tmp_path / "rate.html"), "--json"])
    shown = capsys.readouterr()
    found = json.loads(shown.out)
    assert f"optimizer.learning_rate={found['suggested']:g}" in shown.err and "recurra train" in shown.err
    assert found["rates"][0] == pytest.approx(1e-5) and "<svg" in (tmp_path / "rate.html").read_text()
    pytest.importorskip("matplotlib")
    main([*given, "--updates", "40", "--plot", str(tmp_path / "rate.png"), "--quiet", "optimizer=sgd"])
    assert float(capsys.readouterr().out) > 0 and (tmp_path / "rate.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rate.html", "rate.png", "rows.csv"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--lowest", "1", "--highest", "0.1"), "give --lowest below --highest"),
        (("--updates", "3"), "at least 20"),
        (("--highest", "inf"), "positive and finite"),
        (("--plot", "rate.bmp"), "a picture ends in"),
        (("--task", "tagging"), "--task is for a saved model"),
        (("optimizer.rate=3",), "optimizer.rate"),
    ],
)
def test_wrong_wishes_are_named(
    options: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rows.csv").write_text(ROWS)
    with pytest.raises(SystemExit) as stop:
        main(["find-rate", "text-classifier-small", "--data.train", str(tmp_path / "rows.csv"), *options])
    assert stop.value.code == 2 and message in capsys.readouterr().err


def test_a_plot_overwrites_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.html").write_text("mine")
    with pytest.raises(SystemExit) as stop:
        main(["find-rate", "text-classifier-small", "--data.train", "none.csv", "--plot", str(tmp_path / "notes.html")])
    assert stop.value.code == 2 and "is there already" in capsys.readouterr().err
    assert (tmp_path / "notes.html").read_text() == "mine"
