"""Laws of every collector: batches do not matter, figures are numbers; and agreement with scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as other

from recurra.core.batch import Metrics
from recurra.metrics import (
    METRICS,
    AnomalyMetrics,
    AnswerMetrics,
    ClassificationMetrics,
    Classified,
    Forecasted,
    ForecastMetrics,
    Generated,
    LanguageMetrics,
    MultiClassified,
    MultiLabelMetrics,
    Outcome,
    RegressionMetrics,
    Scored,
    ScoredAnswer,
    StepMetrics,
    SummaryMetrics,
    SumMetrics,
    Tagged,
    TagMetrics,
    TranslationMetrics,
)

LABELS = ("ham", "spam", "news")
NUM_ROWS = 60


def classified() -> tuple[list[Any], list[Any]]:
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.ones(3), size=NUM_ROWS)
    references = [LABELS[index] for index in rng.integers(0, 3, NUM_ROWS)]
    return [Classified(LABELS[row.argmax()], row.tolist()) for row in probs], references


def multi_classified() -> tuple[list[Any], list[Any]]:
    rng = np.random.default_rng(0)
    probs = rng.random((NUM_ROWS, 3))

    def names(row: np.ndarray) -> tuple[str, ...]:
        return tuple(label for label, value in zip(LABELS, row, strict=True) if value > 0.5)

    return [MultiClassified(names(row), row.tolist()) for row in probs], [
        names(row) for row in rng.random((NUM_ROWS, 3))
    ]


def log_probs() -> tuple[list[Any], list[Any]]:
    rng = np.random.default_rng(0)
    rows = [-rng.random(rng.integers(0, 9)) for _ in range(NUM_ROWS)]
    return list(rows), [np.zeros(len(row), int) for row in rows]


def answers() -> tuple[list[Any], list[Any]]:
    rng = np.random.default_rng(0)
    words = ["the", "ball", "is", "red", "and", "round"]
    texts = [" ".join(rng.choice(words, 3)) for _ in range(NUM_ROWS)]
    references = [[" ".join(rng.choice(words, 2)) for _ in range(rng.integers(0, 3))] for _ in range(NUM_ROWS)]
    return [ScoredAnswer(t, float(rng.integers(-3, 3)), t) for t in texts], references


def generated() -> tuple[list[Any], list[Any]]:
    rng = np.random.default_rng(0)
    words = ["Ein", "kleiner", "Hund", "rennt", "!"]
    texts, references = ([" ".join(rng.choice(words, rng.integers(1, 8))) for _ in range(NUM_ROWS)] for _ in range(2))
    return [Generated(text, reference_nats=3.0, reference_tokens=4) for text in texts], references


def tagged() -> tuple[list[Any], list[Any]]:
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 9, NUM_ROWS)
    references, tags = ([rng.choice(["O", "B-PER", "I-PER"], n).tolist() for n in lengths] for _ in range(2))
    return [Tagged(tuple("w" * len(row)), tuple(row)) for row in tags], references


def forecasts() -> tuple[list[Any], list[Any]]:
    rng = np.random.default_rng(0)
    paths = rng.random((NUM_ROWS, 20, 4, 2))
    quantiles = np.moveaxis(np.quantile(paths, (0.1, 0.5, 0.9), axis=1), 0, -1)
    names = rng.choice(["a", "b"], NUM_ROWS)
    ones = np.ones(2)
    return [Forecasted(row.mean(0), q, row) for row, q in zip(paths, quantiles, strict=True)], [
        Outcome(str(name), rng.random((4, 2)), ones, ones, rng.random((4, 2))) for name in names
    ]


def numbers() -> tuple[list[Any], list[Any]]:
    rng = np.random.default_rng(0)
    return list(rng.random((NUM_ROWS, 2))), list(rng.random((NUM_ROWS, 2)))


def scored() -> tuple[list[Any], list[Any]]:
    rng = np.random.default_rng(0)
    rows = [Scored(scores, scores > 0.7, rng.random(9)) for scores in rng.random((NUM_ROWS, 9))]
    return rows, [row if place % 3 else None for place, row in enumerate(rng.random((NUM_ROWS, 9)) > 0.8)]


def chosen() -> tuple[list[Any], list[Any]]:
    rng = np.random.default_rng(0)
    sizes = rng.integers(0, 6, NUM_ROWS)
    return [rng.integers(0, 3, size) for size in sizes], [rng.integers(0, 2, size) for size in sizes]


def sums() -> tuple[list[Any], list[Any]]:
    predictions, references = numbers()
    return [row[0] for row in predictions], [row[0] for row in references]


COLLECTORS: dict[str, tuple[Callable[[], Metrics], Callable[[], tuple[list[Any], list[Any]]]]] = {
    "classification": (lambda: ClassificationMetrics(LABELS), classified),
    "multi-label": (lambda: MultiLabelMetrics(LABELS), multi_classified),
    "language": (lambda: LanguageMetrics(100), log_probs),
    "tagging": (TagMetrics, tagged),
    "answers": (AnswerMetrics, answers),
    "translation": (lambda: TranslationMetrics(lowercase=True), generated),
    "summary": (SummaryMetrics, generated),
    "regression": (lambda: RegressionMetrics(("height", "weight")), numbers),
    "forecasts": (lambda: ForecastMetrics((0.1, 0.5, 0.9), (80,)), forecasts),
    "anomaly": (AnomalyMetrics, scored),
    "sums": (SumMetrics, sums),
    "steps": (StepMetrics, chosen),
}
every_collector = pytest.mark.parametrize(("make", "inputs"), COLLECTORS.values(), ids=COLLECTORS)


def test_every_collector_is_here() -> None:
    assert set(COLLECTORS) == set(METRICS)


@every_collector
def test_batches_do_not_matter(make: Callable[[], Metrics], inputs: Callable[[], Any]) -> None:
    predictions, references = inputs()
    whole, parts, turned = make(), make(), make()
    whole.update(predictions, references)
    for start in range(0, NUM_ROWS, 7):
        parts.update(predictions[start : start + 7], references[start : start + 7])
    parts.update([], [])
    turned.update(predictions[::-1], references[::-1])
    assert parts.compute() == pytest.approx(whole.compute())
    assert turned.compute() == pytest.approx(whole.compute())


@every_collector
def test_figures_are_numbers(make: Callable[[], Metrics], inputs: Callable[[], Any]) -> None:
    metrics = make()
    assert all(type(value) is float for value in metrics.compute().values())
    metrics.update(*inputs())
    figures = metrics.compute()
    assert all(type(value) is float and np.isfinite(value) for value in figures.values())


@every_collector
def test_as_many_references_as_predictions(make: Callable[[], Metrics], inputs: Callable[[], Any]) -> None:
    predictions, references = inputs()
    with pytest.raises(ValueError, match="zip"):
        make().update(predictions, references[:-1])


def test_classification_against_scikit_learn() -> None:
    predictions, references = classified()
    metrics = ClassificationMetrics(LABELS)
    metrics.update(predictions, references)
    figures = metrics.compute()
    given = [prediction.label for prediction in predictions]
    report = other.classification_report(references, given, output_dict=True)
    assert figures["accuracy"] == pytest.approx(report["accuracy"])
    for name, theirs in (("precision", "precision"), ("recall", "recall"), ("f1", "f1-score")):
        assert figures[f"macro_{name}"] == pytest.approx(report["macro avg"][theirs])
        assert figures[f"weighted_{name}"] == pytest.approx(report["weighted avg"][theirs])
        for label in LABELS:
            assert figures[f"{name}/{label}"] == pytest.approx(report[label][theirs])
    assert 0 < figures["ece"] < 1
    assert "roc_auc" not in figures
    np.testing.assert_array_equal(metrics.confusion(), other.confusion_matrix(references, given, labels=LABELS))


def test_a_label_that_never_occurs_does_not_enter_the_macro_mean() -> None:
    metrics = ClassificationMetrics(LABELS)
    metrics.update(["ham", "spam", "spam"], ["ham", "spam", "ham"])
    expected = other.f1_score(["ham", "spam", "ham"], ["ham", "spam", "spam"], average="macro")
    assert metrics.compute()["macro_f1"] == pytest.approx(expected)


def test_two_classes() -> None:
    rng = np.random.default_rng(1)
    probs = rng.random(80).round(1)
    references = ["yes" if value else "no" for value in rng.random(80) < probs]
    metrics = ClassificationMetrics(("no", "yes"))
    metrics.update([Classified("yes" if p > 0.5 else "no", (1 - p, p)) for p in probs], references)
    expected = other.roc_auc_score([reference == "yes" for reference in references], probs)
    assert metrics.compute()["roc_auc"] == pytest.approx(expected)


def test_names_without_probabilities() -> None:
    metrics = ClassificationMetrics(("no", "yes"))
    metrics.update(["no", "yes"], ["no", "no"])
    figures = metrics.compute()
    assert figures["accuracy"] == 0.5
    assert not {"ece", "roc_auc"} & set(figures)


def test_multi_label_against_scikit_learn() -> None:
    predictions, references = multi_classified()
    metrics = MultiLabelMetrics(LABELS)
    metrics.update(predictions, references)
    figures = metrics.compute()
    given = np.array([[label in p.labels for label in LABELS] for p in predictions])
    wanted = np.array([[label in row for label in LABELS] for row in references])
    for average in ("micro", "macro", "weighted"):
        assert figures[f"{average}_f1"] == pytest.approx(other.f1_score(wanted, given, average=average))
    assert figures["accuracy"] == pytest.approx(other.accuracy_score(wanted, given))
