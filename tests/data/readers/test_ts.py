"""The .ts format: header lines, dimensions, labels, faults."""

from __future__ import annotations

from pathlib import Path

import pytest

from recurra.core.errors import DataError
from recurra.data import ReadOptions, read_records

HEADER = "#comment\n@problemName Some Name\n@timeStamps false\n@univariate false\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "a.ts"
    path.write_text(text, encoding="utf-8")
    return path


def test_rows(tmp_path: Path) -> None:
    text = f"{HEADER}@dimensions 2\n@classLabel true up down\n@data\n1,2:3,?:up\n\n# between\n4:5: down\n"
    records = read_records(write(tmp_path, text), ReadOptions())
    assert [dict(record.fields) for record in records] == [
        {"values": "1,2:3,?", "label": "up"},
        {"values": "4:5", "label": "down"},
    ]
    assert [record.where.rpartition(":")[2] for record in records] == ["8", "11"]
    assert records.columns == ("values", "label")


def test_without_labels(tmp_path: Path) -> None:
    records = read_records(write(tmp_path, f"{HEADER}@classLabel false\n@data\n1,2:3,4\n5:6\n"), ReadOptions())
    assert records.columns == ("values",)
    assert [record.fields["values"] for record in records] == ["1,2:3,4", "5:6"]


def test_targets_are_numbers_and_header_names_have_no_case(tmp_path: Path) -> None:
    records = read_records(write(tmp_path, "@UNIVARIATE true\n@TargetLabel TRUE\n@Data\n1,2:0.5\n"), ReadOptions())
    assert dict(records.rows[0].fields) == {"values": "1,2", "label": "0.5"}


FAULTS = {
    "@univariate true\n@classLabel true a b\n@data\n1,2:a\n1,2:c\n": r"a.ts:5: label 'c' is not in the header \(a, b\)",
    "@univariate true\n@classLabel true a b\n@data\n1,2:3,4:a\n": "3 fields between colons: 1 dimensions and a label",
    "@dimensions 2\n@classLabel true\n@data\n1,2:a\n": "2 fields between colons: 2 dimensions and a label",
    "@classLabel true\n@data\n1:2:a\n1:a\n": ":4: 2 fields between colons",
    "@classLabel true\n@data\n1,2:\n": "the label is empty",
    "@equalLength true\n@seriesLength 3\n@classLabel true\n@data\n1,2:a\n": "2 values, and @seriesLength says 3",
    "@timeStamps true\n@data\n": ":1: time stamps within a .ts file are not read",
    "@classLabel true a\n1,2:a\n": ":2: a series before the line @data",
    "@classLabel true a\n": "there is no line @data",
    "@clasLabel true a\n@data\n": ":1: there is no header `@clasLabel`. Did you mean `classlabel`",
    "@dimensions many\n@data\n": "@dimensions 'many': a number of 1 or more",
    "@missing maybe\n@data\n": "@missing 'maybe': true or false",
}


@pytest.mark.parametrize(("text", "message"), FAULTS.items(), ids=FAULTS.values())
def test_faults(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_records(write(tmp_path, text), ReadOptions())


def test_bad_rows_can_be_skipped(tmp_path: Path) -> None:
    text = "@univariate true\n@classLabel true a b\n@data\n1,2:a\n1,2:c\n"
    records = read_records(write(tmp_path, text), ReadOptions(skip_bad_rows=True))
    assert len(records) == 1 and records.skipped == 1
