"""Bad files of time series by the command line: one message with the row, exit code 2, and nothing written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., Any]
TRAIN = (
    *("train", "forecast", "model.hidden_size=4", "training.max_updates=1", "training.tensorboard=never", "--quiet"),
    *("task.horizon=4", "task.context_length=24"),
)
DAYS = [f"2026-{month:02d}-{day:02d}" for month in (1, 3) for day in range(1, 32)]
JANUARY = [f"{day},{step},{step % 3}" for step, day in enumerate(DAYS[:31])]
HOURS = [f"b,2026-01-01 {hour:02d}:00,{hour}" for hour in range(24)]


def changed(row: int, text: str) -> list[str]:
    return [*JANUARY[:row], text, *JANUARY[row + 1 :]]


def file(rows: list[str], header: str = "date,y,z") -> str:
    return "\n".join([header, *rows]) + "\n"


TARGET = "data.series.targets=y"
FAULTS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "unsorted": (file([*JANUARY[:5], JANUARY[9], *JANUARY[5:]]), (), ("bad.csv:8:", "not in order", "Sort the rows")),
    "twice": (file([*JANUARY[:5], JANUARY[4], *JANUARY[5:]]), (), ("bad.csv:7:", "stands twice")),
    "gap": (file([*JANUARY[:5], *JANUARY[6:]]), (), ("bad.csv:7:", "1 stamp is missing", "--data.series.missing")),
    "mixed": (
        file([*(f"a,{row.rpartition(',')[0]}" for row in JANUARY), *HOURS], "unique_id,ds,y"),
        (),
        ("bad.csv:33:", "mixed frequencies"),
    ),
    "all empty": (
        file([f"{day},,1" for day in DAYS[:31]]),
        (TARGET,),
        ("bad.csv:2:", "column 'y' has no value at all"),
    ),
    "constant": (file([f"{day},5,1" for day in DAYS[:31]]), (TARGET,), ("column 'y' is 5", "lines 2 to")),
    "horizon": (file(JANUARY), ("task.horizon=60",), ("horizon of 60 steps is longer than the history", "31 rows")),
    "text": (file(changed(5, f"{DAYS[5]},many,1")), (), ("bad.csv:7: column 'y': 'many' is no number",)),
    "infinite": (file(changed(5, f"{DAYS[5]},inf,1")), (), ("bad.csv:7: column 'y' is infinite",)),
    "covariates": (
        file([*JANUARY[:29], f"{DAYS[29]},29,", f"{DAYS[30]},30,"]),
        (TARGET, "data.series.known=z"),
        ("bad.csv:31: column 'z'", "has no value (2026-01-30)"),
    ),
    "no numbers": (file([f"{day},a,b" for day in DAYS[:31]]), (), ("no column of numbers",)),
    "empty": ("", (), ("bad.csv: the file is empty",)),
    "a cell too many": (file(changed(5, f"{DAYS[5]},5,1,7")), (), ("bad.csv:7: 4 fields where 3 are wanted",)),
    "cut short": (file([*JANUARY[:30], "2026-01-"]).rstrip(), (), ("bad.csv:32: 1 fields where 3 are wanted",)),
    "too large": (file(changed(5, f"{DAYS[5]},1e300,1")), (), ("bad.csv:7: column 'y' is 1e+300, beyond 1e+100",)),
    "no such day": (file(JANUARY), ("task.calendar.holidays=[2026-13-01]",), ("2026-13-01",)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_refused(fault: str, call: Call, tmp_path: Path) -> None:
    text, options, says = FAULTS[fault]
    (tmp_path / "bad.csv").write_text(text)
    found = call(*TRAIN, "--data.train", tmp_path / "bad.csv", "--out", tmp_path / "out", *options)
    assert found.code == 2 and found.out == "", found
    message = found.err.strip()
    assert message.startswith("recurra: ") and "\n" not in message and "Traceback" not in message, message
    for part in says:
        assert part in message, message
    assert not list((tmp_path / "out").glob("**/*.safetensors"))


def test_covariates_that_end_before_the_forecast(call: Call, tmp_path: Path) -> None:
    rows = [f"{day},{step % 7 + step / 9},{step % 7}" for step, day in enumerate(DAYS[:31])]
    (tmp_path / "a.csv").write_text(file(rows))
    options = (TARGET, "data.series.known=z")
    done = call(*TRAIN, "--data.train", tmp_path / "a.csv", "--out", tmp_path / "run", *options)
    assert done.code == 0, done.err
    found = call("predict", tmp_path / "run", tmp_path / "a.csv")
    assert found.code == 2 and "end too early: 4 steps ahead are forecast, and they are given for 0" in found.err
    assert "after line 32" in found.err
    ahead = [f"2026-02-{day:02d},,{day % 7}" for day in range(1, 5)]
    (tmp_path / "b.csv").write_text(file([*rows, *ahead]))
    assert call("predict", tmp_path / "run", tmp_path / "b.csv").code == 0
