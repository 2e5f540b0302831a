"""Naive Bayes: against scikit-learn on the same counts, and by hand on toys."""

from __future__ import annotations

import numpy as np
import pytest

from recurra.baselines import MultiLabelNaiveBayes, MultinomialNaiveBayes, majority
from recurra.baselines.counts import GramCounter
from recurra.core.errors import ConfigError, DataError, ShapeError


def toy_rows(num_rows: int, num_classes: int = 3, vocab_size: int = 20, seed: int = 0):
    """Rows of 0 to 11 tokens, drawn from their class's own distribution."""
    rng = np.random.default_rng(seed)
    word_probs = np.random.default_rng(99).dirichlet(np.full(vocab_size, 0.3), size=num_classes)
    targets = rng.integers(num_classes, size=num_rows)
    rows = [rng.choice(vocab_size, size=rng.integers(12), p=word_probs[label]).tolist() for label in targets]
    return rows, targets


def dense(counter: GramCounter, rows) -> np.ndarray:
    counts = counter.count(rows)
    matrix = np.zeros((counts.num_rows, counts.num_columns))
    matrix[counts.rows, counts.columns] = counts.values
    return matrix


def test_counts_by_hand():
    counter = GramCounter(order=3).fit([[7, 8, 7, 8, 7], [], [9]])
    # 7, 8, 9; then 7 8, 8 7; then 7 8 7, 8 7 8
    np.testing.assert_array_equal(
        dense(counter, [[7, 8, 7, 8, 7], [], [9, 9], [7], [8, 5, 7], [7, 8]]),
        [
            [3, 2, 0, 2, 2, 2, 1],
            [0, 0, 0, 0, 0, 0, 0],
            [0, 0, 2, 0, 0, 0, 0],
            [1, 0, 0, 0, 0, 0, 0],
            [1, 1, 0, 0, 0, 0, 0],
            [1, 1, 0, 1, 0, 0, 0],
        ],
    )


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("alpha", [0.01, 1.0])
def test_agrees_with_scikit_learn(order, alpha):
    naive_bayes = pytest.importorskip("sklearn.naive_bayes")
    rows, targets = toy_rows(80)
    test_rows, _ = toy_rows(50, vocab_size=20, seed=1)
    test_rows += [[], [100], [100, 3, 4]]
    counter = GramCounter(order).fit(rows)
    theirs = naive_bayes.MultinomialNB(alpha=alpha).fit(dense(counter, rows), targets)
    ours = MultinomialNaiveBayes(3, order, alphas=(alpha,)).fit(rows, targets)
    wanted = theirs.predict_proba(dense(counter, test_rows))
    np.testing.assert_allclose(ours.predict_proba(test_rows), wanted, rtol=1e-8)


def test_alpha_is_the_best_on_the_valid_rows():
    rows, targets = toy_rows(40)
    valid_rows, valid_targets = toy_rows(200, seed=1)
    chosen = MultinomialNaiveBayes(3).fit(rows, targets, valid_rows, valid_targets)

    def right(alpha):
        probs = MultinomialNaiveBayes(3, alphas=(alpha,)).fit(rows, targets).predict_proba(valid_rows)
        return (probs.argmax(axis=1) == valid_targets).mean()

    assert right(chosen.alpha) == max(right(alpha) for alpha in (0.01, 0.03, 0.1, 0.3, 1.0))


def test_learns_without_valid_rows():
    rows, targets = toy_rows(300)
    test_rows, wanted = toy_rows(300, seed=1)
    probs = MultinomialNaiveBayes(3).fit(rows, targets).predict_proba(test_rows)
    np.testing.assert_allclose(probs.sum(axis=1), 1)
    assert (probs.argmax(axis=1) == wanted).mean() > 0.75  # chance: 0.33


def test_empty_rows_get_the_prior_and_an_absent_class_nothing():
    model = MultinomialNaiveBayes(3).fit([[], [], [], []], [0, 2, 2, 2])
    np.testing.assert_allclose(model.predict_proba([[], [4, 5]]), [[0.25, 0, 0.75]] * 2)
    assert model.predict_proba([]).shape == (0, 3)


def test_each_label_is_a_two_class_model():
    rows, targets = toy_rows(60)
    labels = np.stack([targets == 0, targets != 1], axis=1)
    valid_rows, valid_targets = toy_rows(40, seed=2)
    valid_labels = np.stack([valid_targets == 0, valid_targets != 1], axis=1)
    probs = MultiLabelNaiveBayes(2).fit(rows, labels, valid_rows, valid_labels).predict_proba(valid_rows)
    for label in range(2):
        one = MultinomialNaiveBayes(2).fit(rows, labels[:, label], valid_rows, valid_labels[:, label])
        np.testing.assert_allclose(probs[:, label], one.predict_proba(valid_rows)[:, 1])


def test_majority():
    np.testing.assert_allclose(majority([0, 2, 2, 2], 4), [0.25, 0, 0.75, 0])


def test_errors_name_the_mend():
    with pytest.raises(ShapeError, match="wanted 0 to 1"):
        MultinomialNaiveBayes(2).fit([[1], [2]], [0, 2])
    with pytest.raises(ShapeError, match="2 rows"):
        MultinomialNaiveBayes(2).fit([[1], [2]], [0])
    with pytest.raises(ShapeError, match="row 1"):
        MultinomialNaiveBayes(2).fit([[1], [[2]]], [0, 1])
    with pytest.raises(DataError):
        majority([], 2)
    with pytest.raises(DataError):
        MultiLabelNaiveBayes(2).fit([], np.zeros((0, 2)))
    with pytest.raises(ConfigError, match="above 0"):
        MultinomialNaiveBayes(2, alphas=(0.0,))
