"""Figures that several tasks report."""

from __future__ import annotations

import pytest

from recurra.metrics import ClassificationMetrics
from recurra.tasks.figures import class_tables, figures_of


def test_each_answer_is_measured_by_itself() -> None:
    answers = {"right": ["a", "b", "b"], "lazy": ["b", "b", "b"]}
    found = figures_of(answers, ["a", "b", "b"], lambda: ClassificationMetrics(("a", "b")))
    assert found["right"]["accuracy"] == 1 and found["lazy"]["accuracy"] == pytest.approx(2 / 3)


def test_tables_of_classes() -> None:
    tables = class_tables(["a", "b", "b", "b"], ["a", "a", "b", "c"], ("a", "b", "c"))
    assert tables["confusion"] == (["a", "b", "c"], [[1, 1, 0], [0, 1, 0], [0, 1, 0]])
    assert tables["classes"]["a"] == {"precision": 1, "recall": 0.5, "f1": pytest.approx(2 / 3), "support": 2}
    assert tables["classes"]["b"]["precision"] == pytest.approx(1 / 3)
    assert tables["classes"]["c"] == {"precision": 0, "recall": 0, "f1": 0, "support": 1}
