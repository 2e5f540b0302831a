"""Parts of series in the order of time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recurra.core.config import parse
from recurra.core.errors import ConfigError, DataError
from recurra.data import DataConfig, SeriesSplits, read_series_splits

HOURS = np.datetime64("2020-01-01", "s") + np.arange(200) * np.timedelta64(3600, "s")


def write(path: Path, first: int, last: int, names: str = "", low: float = 0) -> str:
    """A file of hours first..last, one series or one for each letter of `names`."""
    rows = [f"{HOURS[step]},{low + step}" for step in range(first, last)]
    text = "date,y\n" + "\n".join(rows)
    if names:
        text = "unique_id,ds,y\n" + "\n".join(f"{name},{row}" for name in names for row in rows)
    path.write_text(text + "\n")
    return str(path)


def splits(folder: Path, horizon: int = 1, **options: object) -> SeriesSplits:
    return read_series_splits(parse(DataConfig, options), horizon)


def test_fractions_at_the_end(tmp_path: Path) -> None:
    train = write(tmp_path / "a.csv", 0, 100)
    found = splits(tmp_path, train=train, valid_fraction=0.2, test_fraction=0.1)
    assert found.ends.tolist() == [[70, 90, 100]]
    assert any("20% for validation and 10% for testing" in note for note in found.notes)
    assert splits(tmp_path, train=train, valid_fraction=0).ends.tolist() == [[100, 100, 100]]
    assert splits(tmp_path, 24, train=train).ends.tolist() == [[76, 100, 100]]


def test_row_counts(tmp_path: Path) -> None:
    train = write(tmp_path / "a.csv", 0, 100)
    found = splits(tmp_path, train=train, series={"split": [50, 20, 20]})
    assert found.ends.tolist() == [[50, 70, 90]]
    assert splits(tmp_path, train=train, series={"split": [50, 20]}).ends.tolist() == [[50, 70, 70]]
    with pytest.raises(DataError, match=r"has 100 rows, and data.series.split=\[90, 20\] wants 110"):
        splits(tmp_path, train=train, series={"split": [90, 20]})


def test_origins_stay_in_their_part(tmp_path: Path) -> None:
    found = splits(tmp_path, train=write(tmp_path / "a.csv", 0, 100), series={"split": [50, 20, 20]})
    assert found.origins("train", 5)[:, 1].tolist() == list(range(1, 46))
    assert found.origins("train", 5, shortest=30)[:, 1].tolist() == list(range(30, 46))
    assert found.origins("valid", 5)[:, 1].tolist() == list(range(50, 66))
    assert found.origins("test", 5, stride=5)[:, 1].tolist() == [70, 75, 80, 85]
    assert [len(one) for one in found.training()] == [50]
    assert found.training()[0].values.max() == 49


def test_a_file_that_goes_on(tmp_path: Path) -> None:
    train, test = write(tmp_path / "a.csv", 0, 100), write(tmp_path / "b.csv", 100, 130)
    found = splits(tmp_path, train=train, test=test)
    assert found.ends.tolist() == [[90, 100, 130]] and len(found.whole) == 1
    assert found.whole.series[0].name == "a" and found.whole.series[0].values[:, 0].tolist() == list(range(130))
    both = splits(tmp_path, train=train, valid=test, test=write(tmp_path / "c.csv", 130, 140))
    assert both.ends.tolist() == [[100, 130, 140]]


def test_a_short_file_is_read_at_the_frequency_of_the_training(tmp_path: Path) -> None:
    days = np.busday_offset("2020-01-01", np.arange(59)).astype(str)
    for name, part in (("train", days[:54]), ("test", days[54:])):
        (tmp_path / f"{name}.csv").write_text("date,y\n" + "".join(f"{day},{day[-2:]}\n" for day in part))
    files = {name: str(tmp_path / f"{name}.csv") for name in ("train", "test")}
    found = splits(tmp_path, **files)
    assert str(found.whole.frequency) == "business days" and found.ends.tolist() == [[49, 54, 59]]
    with pytest.raises(DataError, match="stamps are missing"):
        splits(tmp_path, train=files["test"])


def test_a_file_that_overlaps(tmp_path: Path) -> None:
    train, test = write(tmp_path / "a.csv", 0, 100), write(tmp_path / "b.csv", 99, 130)
    with pytest.raises(DataError, match=r"b.csv: the test data of series 'b' starts at 2020-01-05T03:00:00"):
        splits(tmp_path, train=train, test=test)


def test_a_file_that_leaves_a_gap_or_has_new_series(tmp_path: Path) -> None:
    train = write(tmp_path / "a.csv", 0, 100, "ab")
    found = splits(tmp_path, train=train, test=write(tmp_path / "b.csv", 100, 120, "bc"))
    assert [one.name for one in found.whole.series] == ["a", "b", "c"]
    assert found.ends.tolist() == [[90, 100, 100], [90, 100, 120], [0, 0, 20]]
    assert any("1 series of the test data do not continue" in note for note in found.notes)
    assert found.origins("test", 20).tolist() == [[1, 100]]
    assert [one.name for one in found.training()] == ["a", "b"]
    late = splits(tmp_path, train=train, test=write(tmp_path / "b.csv", 110, 120, "b"))
    assert late.ends.tolist()[2] == [0, 0, 10]


def test_ragged_rows_go_on_by_id(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("id,1,2,3,4,5,6\na,1,2,3,4,5,6\nb,7,8,9,10\n")
    (tmp_path / "test.csv").write_text("id,1,2\nb,11,12\na,7,8\n")
    files = {"train": str(tmp_path / "train.csv"), "test": str(tmp_path / "test.csv")}
    found = splits(tmp_path, valid_fraction=0, series={"layout": "rows"}, **files)
    assert found.ends.tolist() == [[6, 6, 8], [4, 4, 6]]
    assert [one.values[:, 0].tolist() for one in found.whole.series] == [[*range(1, 9)], [*range(7, 13)]]
    assert found.whole.series[1].stamps.tolist() == list(range(6))
    assert found.origins("test", 2).tolist() == [[0, 6], [1, 4]]


def test_short_series_are_trained_on_alone(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "id,1,2\nlong," + ",".join(map(str, range(40))) + "\nshort," + ",".join(map(str, range(9))) + "\n"
    )
    found = splits(tmp_path, 5, train=str(tmp_path / "a.csv"), series={"layout": "rows"})
    assert found.ends.tolist() == [[35, 40, 40], [9, 9, 9]]
    assert any("1 series are too short" in note for note in found.notes)


def test_constant_series_are_left_out_where_bad_rows_are(tmp_path: Path) -> None:
    rows = [f"{name},{HOURS[step]},{step if name == 'a' else 4}" for name in "ab" for step in range(30)]
    (tmp_path / "a.csv").write_text("unique_id,ds,y\n" + "\n".join(rows) + "\n")
    found = splits(tmp_path, train=str(tmp_path / "a.csv"), skip_bad_rows=True)
    assert [one.name for one in found.whole.series] == ["a"] and len(found.ends) == 1
    assert any("1 series were left out, as their values never change: b" in note for note in found.notes)


def test_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no training data"):
        splits(tmp_path)
    train = write(tmp_path / "a.csv", 0, 100)
    other = tmp_path / "b.csv"
    other.write_text("date,z\n2021-01-01,1\n2021-01-02,2\n")
    with pytest.raises(DataError, match=r"b.csv: the test data has other columns \(targets: z\)"):
        splits(tmp_path, train=train, test=str(other))
    other.write_text("y\n1\n2\n")
    with pytest.raises(DataError, match="must both have stamps, or neither"):
        splits(tmp_path, train=train, test=str(other))
    with pytest.raises(DataError, match="Give one of the two"):
        splits(tmp_path, train=train, valid=write(tmp_path / "c.csv", 100, 120), series={"split": [50, 20]})
