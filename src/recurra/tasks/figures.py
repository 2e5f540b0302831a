"""Figures and tables that several tasks report."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from recurra.core.batch import Metrics
from recurra.metrics import confusion_matrix, precision_recall_f1


def figures_of(
    answers: Mapping[str, Sequence[Any]], references: Sequence[Any], metrics: Callable[[], Metrics]
) -> dict[str, dict[str, float]]:
    """Figures of several ways to answer the same questions.

    Args:
        answers: what each of them says.
        references: what is right.
        metrics: a fresh collector.
    """
    found = {}
    for name, given in answers.items():
        collector = metrics()
        collector.update(list(given), list(references))
        found[name] = collector.compute()
    return found


def class_tables(chosen: Sequence[str], references: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
    """Confusion matrix and figures of each class, as a report shows them.

    Args:
        chosen: (N,) classes that were predicted.
        references: (N,) those that are right.
        names: of all classes.
    """
    index = {name: number for number, name in enumerate(names)}
    confusion = confusion_matrix([index[name] for name in chosen], [index[name] for name in references], len(names))
    columns = precision_recall_f1(confusion)
    classes = {
        name: {tag: float(getattr(columns, tag)[number]) for tag in columns._fields} for name, number in index.items()
    }
    return {"confusion": (list(names), confusion.tolist()), "classes": classes}
