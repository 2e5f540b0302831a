"""Agreement with scikit-learn on random input, and the corners it leaves open."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as other

from recurra.core.errors import ShapeError
from recurra.metrics import accuracy, confusion_matrix, expected_calibration_error, precision_recall_f1, roc_auc

SEEDS = pytest.mark.parametrize("seed", range(5))


@SEEDS
def test_confusion_and_scores(seed: int) -> None:
    rng = np.random.default_rng(seed)
    references, predictions = rng.integers(0, 5, size=(2, 200))
    references[references == 4] = 0
    confusion = confusion_matrix(predictions, references, 6)
    np.testing.assert_array_equal(confusion, other.confusion_matrix(references, predictions, labels=range(6)))
    expected = other.precision_recall_fscore_support(references, predictions, labels=range(6), zero_division=0)
    for own, wanted in zip(precision_recall_f1(confusion), expected, strict=True):
        np.testing.assert_allclose(own, wanted)
    assert accuracy(predictions, references) == pytest.approx(other.accuracy_score(references, predictions))


@SEEDS
@pytest.mark.parametrize("decimals", [1, 8])
def test_roc_auc_with_and_without_ties(seed: int, decimals: int) -> None:
    rng = np.random.default_rng(seed)
    references = rng.integers(0, 2, size=300)
    scores = np.round(rng.random(300) + 0.3 * references, decimals)
    assert roc_auc(scores, references) == pytest.approx(other.roc_auc_score(references, scores))
    assert roc_auc(-scores, references) == pytest.approx(1 - roc_auc(scores, references))


def test_calibration_by_a_plain_loop() -> None:
    rng = np.random.default_rng(0)
    confidences = np.append(rng.random(500), [0.0, 1.0, 0.2, 0.4])
    correct = rng.random(len(confidences)) < confidences**2
    expected = 0.0
    for low in range(10):
        inside = [
            i for i, value in enumerate(confidences) if low / 10 < value <= (low + 1) / 10 or (low == 0 and value == 0)
        ]
        if inside:
            gap = np.mean([correct[i] for i in inside]) - np.mean([confidences[i] for i in inside])
            expected += abs(gap) * len(inside) / len(confidences)
    assert expected_calibration_error(confidences, correct, num_bins=10) == pytest.approx(expected)


def test_calibrated_predictions_have_no_error() -> None:
    assert expected_calibration_error([1.0, 1.0], [True, True]) == 0
    assert expected_calibration_error([0.5, 0.5], [True, False]) == 0


def test_nothing_to_measure() -> None:
    assert np.isnan(accuracy([], []))
    assert np.isnan(roc_auc([0.1, 0.2], [1, 1]))
    assert np.isnan(expected_calibration_error([], []))
    assert confusion_matrix([], [], 2).tolist() == [[0, 0], [0, 0]]


def test_different_numbers_are_refused() -> None:
    with pytest.raises(ShapeError, match="one reference each"):
        accuracy([1, 2], [1])
