"""All cheap classifiers at once."""

from __future__ import annotations

import numpy as np

from recurra.baselines import classification, classification_baselines

ROWS = [[1, 2], [1, 3], [], [4, 5], [4, 6, 5], [4]]
TARGETS = [0, 0, 0, 1, 1, 1]


def test_every_baseline_gives_probabilities():
    found = classification_baselines(ROWS, TARGETS, [[1], [4, 5], []], 2, ROWS, TARGETS)
    assert list(found) == ["majority", "naive-bayes", "naive-bayes-bigrams", "logistic-regression"]
    for name, probs in found.items():
        np.testing.assert_allclose(probs.sum(axis=1), 1)
        assert probs.shape == (3, 2)
        assert name == "majority" or probs[:2].argmax(axis=1).tolist() == [0, 1]


def test_several_labels():
    labels = np.eye(2)[TARGETS]
    for probs in classification_baselines(ROWS, labels, [[1], [4]], 2).values():
        assert probs.shape == (2, 2)


def test_a_budget_exceeded_is_said_in_the_name(monkeypatch):
    monkeypatch.setattr(classification, "LINEAR_BUDGET", 5)
    names = list(classification_baselines(ROWS, TARGETS, [[1]], 2))
    assert names[3].startswith("logistic-regression (") and names[3].endswith(" of 6 rows)")
