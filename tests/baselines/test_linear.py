"""Logistic regression: against scikit-learn's TfidfVectorizer and LogisticRegression."""

from __future__ import annotations

import numpy as np
import pytest

from recurra.baselines import LogisticRegression, MultiLabelLogisticRegression
from recurra.core.errors import ConfigError, ShapeError


def toy_rows(num_rows: int, num_classes: int = 3, seed: int = 0):
    """Rows of 0 to 11 tokens, drawn from their class's own distribution."""
    rng = np.random.default_rng(seed)
    word_probs = np.random.default_rng(99).dirichlet(np.full(20, 0.3), size=num_classes)
    targets = rng.integers(num_classes, size=num_rows)
    rows = [rng.choice(20, size=rng.integers(12), p=word_probs[label]).tolist() for label in targets]
    return rows, targets


@pytest.mark.parametrize("num_classes", [2, 3])
@pytest.mark.parametrize("order", [1, 2])
def test_agrees_with_scikit_learn(num_classes, order):
    text = pytest.importorskip("sklearn.feature_extraction.text")
    linear_model = pytest.importorskip("sklearn.linear_model")
    rows, targets = toy_rows(120, num_classes)
    test_rows = [*toy_rows(40, num_classes, seed=1)[0], [], [77, 3]]

    vectorizer = text.TfidfVectorizer(token_pattern=r"\S+", ngram_range=(1, order))
    features = vectorizer.fit_transform([" ".join(map(str, row)) for row in rows])
    theirs = linear_model.LogisticRegression(C=4.0, tol=1e-9, max_iter=2000).fit(features, targets)
    wanted = theirs.predict_proba(vectorizer.transform([" ".join(map(str, row)) for row in test_rows]))

    model = LogisticRegression(num_classes, order, strengths=(4.0,), max_iterations=2000, tolerance=1e-9)
    np.testing.assert_allclose(model.fit(rows, targets).predict_proba(test_rows), wanted, atol=1e-6)


def test_the_default_stop_is_close_to_the_optimum():
    rows, targets = toy_rows(200)
    exact = LogisticRegression(3, strengths=(8.0,), max_iterations=5000, tolerance=1e-9).fit(rows, targets)
    quick = LogisticRegression(3, strengths=(8.0,)).fit(rows, targets)
    assert np.abs(exact.predict_proba(rows) - quick.predict_proba(rows)).max() < 0.01


def test_learns_with_and_without_valid_rows():
    rows, targets = toy_rows(300)
    test_rows, wanted = toy_rows(300, seed=1)
    for valid in ((), toy_rows(100, seed=2)):
        model = LogisticRegression(3).fit(rows, targets, *valid)
        probs = model.predict_proba(test_rows)
        np.testing.assert_allclose(probs.sum(axis=1), 1)
        assert model.strength in (2, 8, 32)
        assert (probs.argmax(axis=1) == wanted).mean() > 0.75  # chance: 0.33


def test_each_label_is_a_two_class_model():
    rows, targets = toy_rows(100)
    labels = np.stack([targets == 0, targets != 1], axis=1)
    probs = MultiLabelLogisticRegression(2, strengths=(2.0,)).fit(rows, labels).predict_proba(rows)
    for label in range(2):
        one = LogisticRegression(2, strengths=(2.0,)).fit(rows, labels[:, label])
        np.testing.assert_allclose(probs[:, label], one.predict_proba(rows)[:, 1], atol=5e-3)


@pytest.mark.parametrize("num_classes", [1, 2, 3])
def test_rows_without_tokens_and_few_rows(num_classes):
    targets = np.arange(4) % num_classes
    probs = LogisticRegression(num_classes).fit([[]] * 4, targets).predict_proba([[], [1]])
    np.testing.assert_allclose(probs, [np.bincount(targets) / 4] * 2, atol=1e-3)
    assert LogisticRegression(num_classes).fit([[3]], [0]).predict_proba([]).shape == (0, num_classes)


def test_errors_name_the_mend():
    with pytest.raises(ConfigError, match="above 0"):
        LogisticRegression(2, strengths=())
    with pytest.raises(ShapeError, match="wanted 0 to 1"):
        LogisticRegression(2).fit([[1], [2]], [0, 2])
    with pytest.raises(ShapeError, match=r"wanted \(2, 3\)"):
        MultiLabelLogisticRegression(3).fit([[1], [2]], [0, 2])
