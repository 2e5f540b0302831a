"""Agreement with scikit-learn for labels that do not exclude each other."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as other

from recurra.core.errors import ShapeError
from recurra.metrics import hamming_loss, micro_f1, multilabel_scores, subset_accuracy


@pytest.mark.parametrize("seed", range(5))
def test_against_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    references, predictions = rng.random((2, 120, 4)) < 0.3
    assert subset_accuracy(predictions, references) == pytest.approx(other.accuracy_score(references, predictions))
    assert hamming_loss(predictions, references) == pytest.approx(other.hamming_loss(references, predictions))
    assert micro_f1(predictions, references) == pytest.approx(other.f1_score(references, predictions, average="micro"))
    expected = other.precision_recall_fscore_support(references, predictions, zero_division=0)
    for own, wanted in zip(multilabel_scores(predictions, references), expected, strict=True):
        np.testing.assert_allclose(own, wanted)


def test_nothing_predicted_and_nothing_true() -> None:
    assert micro_f1([[0, 0]], [[0, 0]]) == 0
    assert subset_accuracy([[0, 0]], [[0, 0]]) == 1


def test_bad_shapes() -> None:
    with pytest.raises(ShapeError, match=r"must be \(rows, labels\)"):
        micro_f1([1, 0], [1, 0])
