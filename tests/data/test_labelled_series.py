"""Whole series from every format; one clear message otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recurra.core.errors import DataError
from recurra.data import DataConfig
from recurra.data.labelled_reading import SeriesRows, read_labelled_series
from recurra.data.labelled_series import RowFaultError, SeriesColumns, parse_values

NAN = np.nan
WANTED = [([[1.0, 4.0], [NAN, 5.0], [3.0, 6.0]], "up"), ([[7.0, 9.0], [8.0, 0.5]], "down")]
LONG = "id,time,a,b,class\np,0,1,4,up\np,1,,5,up\nq,0,7,9,down\np,2,3,6,up\nq,1,8,.5,down\n"
FILES = {
    "a.ts": "@classLabel true\n@data\n1,?,3:4,5,6:up\n7,8:9,.5:down\n",
    "a.jsonl": '{"values": [[1,null,3],[4,5,6]], "label": "up"}\n{"values": [[7,8],[9,0.5]], "label": "down"}\n',
    "a.csv": LONG,
    "a.tsv": LONG.replace(",", "\t"),
}


def read(path: Path, text: str, columns: SeriesColumns | None = None, **options: Any) -> SeriesRows:
    path.write_text(text, encoding="utf-8")
    want = options.pop("want_label", True)
    return read_labelled_series(str(path), DataConfig(**options), columns, want_label=want)


@pytest.mark.parametrize("name", FILES)
def test_the_same_series_from_every_format(tmp_path: Path, name: str) -> None:
    found = read(tmp_path / name, FILES[name])
    assert len(found.rows) == 2
    for row, (values, label) in zip(found.rows, WANTED, strict=True):
        np.testing.assert_array_equal(row.values, values)
        assert row.label == label and row.where.startswith(str(tmp_path / name))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.txt", "up 1 2 3\ndown 4 5 NaN\n"),
        ("a.tsv", "up\t1\t2\t3\ndown\t4\t5\tNaN\n"),
        ("a.csv", "class,v0,v1,v2\nup,1,2,3\ndown,4,5,\n"),
        ("b.csv", "id,v0,v1,v2,what\nx,1,2,3,up\ny,4,5,,down\n"),
        ("a.jsonl", '{"values": [1, 2, 3], "label": "up"}\n{"values": [4, 5], "label": "down"}\n'),
    ],
)
def test_a_series_a_row(tmp_path: Path, name: str, text: str) -> None:
    first, second = read(tmp_path / name, text).rows
    np.testing.assert_array_equal(first.values, [[1], [2], [3]])
    np.testing.assert_array_equal(second.values, [[4], [5]])
    assert (first.label, second.label) == ("up", "down")
    if name == "b.csv":
        assert (first.id, second.id) == ("x", "y")


def test_rows_that_end_early(tmp_path: Path) -> None:
    text = "class,v0,v1,v2\nup,1,2,3\ndown,4\n"
    with pytest.raises(DataError, match=r":3: 2 fields where 4 are wanted.*layout=rows"):
        read(tmp_path / "a.csv", text)
    found = read(tmp_path / "a.csv", text, series={"layout": "rows"})
    assert [len(row.values) for row in found.rows] == [3, 1]


def test_columns_can_be_named(tmp_path: Path) -> None:
    text = "s,when,a,b,c,kind\n1,2024-01-01,1,2,3,x\n1,2024-01-02,4,5,6,x\n2,2024-01-01,7,8,9,y\n"
    series = {"id": "s", "stamp": "when", "targets": ["c", "a"]}
    found = read(tmp_path / "a.csv", text, series=series, label_column="kind")
    np.testing.assert_array_equal(found.rows[0].values, [[3, 1], [6, 4]])
    assert found.columns == SeriesColumns("kind", ("c", "a"))
    again = read(tmp_path / "b.csv", text.replace(",kind", "").replace(",x", "").replace(",y", ""), found.columns,
                 series={"id": "s", "stamp": "when"}, want_label=False)  # fmt: skip
    np.testing.assert_array_equal(again.rows[0].values, [[3, 1], [6, 4]])
    assert again.rows[0].label == ""


def test_several_targets(tmp_path: Path) -> None:
    found = read(tmp_path / "a.csv", "a,b,v0,v1\n1,2,3,4\n5,6,7,8\n", label_column="a+b")
    assert [row.label for row in found.rows] == ["1,2", "5,6"]
    assert found.rows[0].values.shape == (2, 1)


FAULTS = {
    "text": ("a.csv", "label,v0,v1\nx,1,abc\ny,2,3\n", ":2: column 'v1': 'abc' is no number"),
    "infinite": ("a.csv", "label,v0,v1\nx,1,inf\ny,2,3\n", ":2: column 'v1' is infinite"),
    "no label": ("a.csv", "label,v0,v1\nx,1,2\n,2,3\n", ":3: label column 'label' is empty"),
    "nothing known": ("a.csv", "label,v0,v1\nx,1,2\ny,,\n", ":3: the series holds no value"),
    "stamp twice": ("a.csv", "id,t,v,label\na,0,1,x\na,0,2,x\n", r":3: stamp '0' stands twice .*:2\)"),
    "unsorted": ("a.csv", "id,t,v,label\na,1,1,x\nb,5,2,x\na,0,2,x\n", ":4: stamp '0' is not above the one before it"),
    "two labels": ("a.csv", "id,t,v,label\na,0,1,x\na,1,2,y\n", ":3: label 'y', and the series starts with 'x'"),
    "no id": ("a.csv", "id,t,v,label\na,0,1,x\n,1,2,y\na,1,2,x\n", ":3: column 'id' is empty"),
    "no such column": ("a.csv", "label,v0,v1\nx,1,2\ny,3,4\n", "no column 'lable'.*Did you mean `label`"),
    "value": ("a.ts", "@classLabel true\n@data\n1,2:3,x4:up\n", ":3: dimension 2, value 2: 'x4' is no number"),
    "steps": ("a.ts", "@classLabel true\n@data\n1,2:3:up\n", ":3: dimension 2 has 1 values, and dimension 1 has 2"),
    "missing": ("a.ts", "@classLabel true\n@data\n?,?:up\n", ":3: the series holds no value"),
    "endless": ("a.ts", "@classLabel true\n@data\n1,inf:up\n", ":3: value 2 is infinite"),
    "unlabelled": ("a.ts", "@classLabel false\n@data\n1,2\n", "its header says that there are no labels"),
    "dimensions": ("a.txt", "up 1 2\nup x 2\n", ":2: value 1: 'x' is no number"),
    "wide": ("a.csv", "label,v0,v1\nx,1,2\ny,3,4\n", "layout=wide is for forecasting"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults(tmp_path: Path, fault: str) -> None:
    name, text, message = FAULTS[fault]
    options: dict[str, Any] = {"no such column": {"label_column": "lable"}, "wide": {"series": {"layout": "wide"}}}
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path / name, text, **options.get(fault, {}))
    assert str(caught.value).startswith(str(tmp_path / name)) and "\n" not in str(caught.value)


def test_bad_rows_can_be_skipped(tmp_path: Path) -> None:
    found = read(tmp_path / "a.csv", "label,v0,v1\nx,1,2\ny,,\n,1,2\n", skip_bad_rows=True)
    assert len(found.rows) == 1 and "2 bad rows were skipped" in found.notes[-1]
    with pytest.raises(DataError, match=r"no usable rows.*holds no value"):
        read(tmp_path / "a.csv", "label,v0,v1\ny,,\n", skip_bad_rows=True)


def test_files_together(tmp_path: Path) -> None:
    read(tmp_path / "a.ts", FILES["a.ts"])
    read(tmp_path / "b.csv", LONG)
    found = read_labelled_series([str(tmp_path / name) for name in ("a.ts", "b.csv")], DataConfig())
    assert [row.id for row in found.rows] == ["a.ts:3", "a.ts:4", "b.csv:p", "b.csv:q"]
    read(tmp_path / "c.txt", "up 1 2\n")
    with pytest.raises(DataError, match=r"c\.txt:1: 1 dimensions, and .*a.ts:3 has 2"):
        read_labelled_series([str(tmp_path / name) for name in ("a.ts", "c.txt")], DataConfig())


def test_lines_of_numbers() -> None:
    np.testing.assert_array_equal(parse_values("1 2 ?", "here"), [[1], [2], [NAN]])
    np.testing.assert_array_equal(parse_values("1,,3:4,5,NaN", "here"), [[1, 4], [NAN, 5], [3, NAN]])
    with pytest.raises(RowFaultError, match="here: value 2: 'b' is no number"):
        parse_values("1,b", "here")


REAL = {
    "JapaneseVowels": (270, 12, (7, 26), 9),
    "BasicMotions": (40, 6, (100, 100), 4),
    "GunPoint": (50, 1, (150, 150), 2),
    "ItalyPowerDemand": (67, 1, (24, 24), 2),
    "ArrowHead": (36, 1, (251, 251), 3),
}


@pytest.mark.parametrize("name", REAL)
def test_real_files(data_folder: Path, name: str) -> None:
    path = data_folder / "time_series_classification" / name / f"{name}_TRAIN.ts"
    rows = read_labelled_series(path, DataConfig()).rows
    lengths = [len(row.values) for row in rows]
    found = (len(rows), rows[0].values.shape[1], (min(lengths), max(lengths)), len({row.label for row in rows}))
    assert found == REAL[name]
    assert all(np.isfinite(row.values).all() for row in rows)
