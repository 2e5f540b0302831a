"""Parts of the items: bins, labels, columns; the weakest are named, and chance is not called weakness."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from recurra.comparison import slice_by, slicing_lines
from recurra.core.errors import ConfigError
from recurra.metrics import ClassificationMetrics
from recurra.tasks.judging import Judged, mean_figure, mean_terms


def judged(right: list[bool], lengths: list[int], marks: Any = None) -> Judged:
    number = len(right)
    return Judged(
        predictions=["a" if own else "b" for own in right],
        references=["a"] * number,
        terms=mean_terms(right),
        figure=mean_figure,
        losses=1.0 - np.array(right, dtype=np.float64),
        lengths=np.array(lengths),
        ids=tuple(map(str, range(number))),
        shown=lambda place: (f"item {place}", "b", "a"),
        marks=marks or {},
    )


def metrics() -> ClassificationMetrics:
    return ClassificationMetrics(("a", "b"))


ACCURACY: Any = ("accuracy", "max")


def test_bins_of_length_hold_every_item_once() -> None:
    lengths = [1] * 40 + [2] * 3 + [7, 8, 9] * 10 + [50]
    found = slice_by("length", judged([True] * len(lengths), lengths), metrics, ACCURACY)
    assert sum(part.items for part in found.parts) == len(lengths)
    assert found.parts[0].name == "1" and found.parts[0].items == 40, "equal lengths are not parted"
    assert found.parts[-1].name.endswith("-50") and found.weak == ()
    (alone,) = slice_by("length", judged([True, False], [3, 3]), metrics, ACCURACY).parts
    assert alone.name == "3" and alone.figure == 0.5


def test_weak_parts_are_named_and_chance_is_not() -> None:
    right = [True] * 90 + [False] * 10 + [True] * 50 + [False] * 50 + [True, False]
    marks = {"label": [("good",)] * 100 + [("bad", "both")] * 100 + [("rare",)] * 2}
    found = slice_by("label", judged(right, [1] * 202, marks), metrics, ACCURACY)
    by_name = {part.name: part for part in found.parts}
    assert found.weak == ("bad", "both") and by_name["bad"].figure == 0.5 and by_name["good"].figure == 0.9
    assert by_name["rare"].interval is None and by_name["rare"].items == 2
    text = "\n".join(slicing_lines(found))
    assert "weakest bad (100 items): 0.5000" in text and "rare" in text
    assert (
        "no part is clearly worse" in slicing_lines(slice_by("length", judged(right, [1] * 202), metrics, ACCURACY))[-1]
    )


def test_columns_of_names_and_of_numbers() -> None:
    right = [True, False] * 30
    columns = {"from": ["web", ""] * 30, "stars": [str(number) for number in range(60)]}
    named = slice_by("from", judged(right, [1] * 60), metrics, ACCURACY, columns)
    assert {part.name: part.figure for part in named.parts} == {"(empty)": 0.0, "web": 1.0}
    numbers = slice_by("stars", judged(right, [1] * 60), metrics, ACCURACY, columns)
    assert [part.items for part in numbers.parts] == [13, 12, 12, 12, 11]
    with pytest.raises(ConfigError, match=r"--slices fro: .* Did you mean `from`"):
        slice_by("fro", judged(right, [1] * 60), metrics, ACCURACY, columns)


def test_many_parts_are_counted_and_the_largest_shown() -> None:
    marks = {"label": [(f"{number:03}",) for number in range(70)] + [("000",)]}
    found = slice_by("label", judged([True] * 71, [1] * 71, marks), metrics, ACCURACY)
    assert len(found.parts) == 50 and found.left_out == 20 and found.parts[0].items == 2
    assert "(and 20 smaller parts)" in slicing_lines(found)
