"""UCR text: the label first, then the values, whatever stands between."""

from __future__ import annotations

from pathlib import Path

import pytest

from recurra.core.errors import DataError
from recurra.data import ReadOptions, read_records


@pytest.mark.parametrize("line", ["  1   0.5  -2e-1 NaN", "1,0.5,-2e-1,NaN", "1\t0.5\t-2e-1\tNaN", "1;0.5;-2e-1;NaN"])
def test_separators(tmp_path: Path, line: str) -> None:
    path = tmp_path / "a.ucr"
    path.write_text(f"{line}\n\n2 7\n")
    first, second = read_records(path, ReadOptions())
    assert dict(first.fields) == {"values": "0.5,-2e-1,NaN", "label": "1"}
    assert dict(second.fields) == {"values": "7", "label": "2"} and second.where == f"{path}:3"


def test_a_label_alone(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("1 2\n1\n")
    with pytest.raises(DataError, match=r"a\.txt:2: a label and the values of a series are wanted"):
        read_records(tmp_path / "a.txt", ReadOptions(), "ucr")
