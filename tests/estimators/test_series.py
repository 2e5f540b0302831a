"""scikit-learn's manners of the estimators of whole series."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from recurra import SeriesClassifier, SeriesRegressor, load
from recurra.core.errors import DataError, ModelFileError

QUICK: dict[str, Any] = {
    "epochs": 12,
    "options": {
        "model.hidden_size": 4,
        "model.convolution.filters": [6],
        "model.convolution.kernel_sizes": [5],
        "optimizer.learning_rate": 0.02,
        "training.batch_size": 8,
    },
}


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 2, 20)), np.arange(40) % 2
    X[y == 1, 0, 5:12] += 3
    return X, y


def test_labels_keep_their_type_and_models_travel(tmp_path: Any) -> None:
    X, y = data()
    for labels in (y, np.where(y, "up", "down"), y.astype(bool), list(y * 10)):
        model = SeriesClassifier(**QUICK).fit(X, labels)
        found = model.predict(X)
        wanted = np.asarray(labels)
        assert found.shape == (40,) and set(found) <= set(wanted) and found.dtype == wanted.dtype
    assert model.classes_.tolist() == [0, 10] and model.score(X, list(y * 10)) > 0.9
    probs = model.predict_proba(X)
    np.testing.assert_allclose(probs.sum(1), 1, rtol=1e-5)
    np.testing.assert_array_equal(model.classes_[probs.argmax(1)], found)
    model.save(tmp_path / "model")
    assert load(tmp_path / "model").predict(list(X[:5])) == [str(label) for label in found[:5]]


def test_unequal_lengths_one_channel_and_missing_values() -> None:
    X, y = data()
    ragged = [row[:, : 12 + number % 8] for number, row in enumerate(X)]
    ragged[3] = ragged[3].copy()
    ragged[3][1, 4] = np.nan
    assert SeriesClassifier(**QUICK).fit(ragged, y).score(ragged, y) > 0.9
    one = SeriesClassifier(**QUICK).fit(X[:, 0], y)
    assert one.score(X[:, 0], y) > 0.9
    np.testing.assert_array_equal(one.predict(X[:, :1]), one.predict(list(X[:, 0])))


def test_within_scikit_learn() -> None:
    X, y = data()
    model = SeriesClassifier(**QUICK)
    assert is_classifier(model) and is_regressor(SeriesRegressor())
    assert clone(model).get_params() == model.get_params()
    assert cross_val_score(model, X, y, cv=2).mean() > 0.9
    piped = make_pipeline(FunctionTransformer(np.tanh), model).fit(X, y)
    assert piped.score(X, y) > 0.9
    targets = np.stack([X[:, 0].mean(1), X[:, 1].max(1)], 1)
    search = GridSearchCV(SeriesRegressor(**QUICK), {"seed": [0, 1]}, cv=2).fit(X, targets)
    assert search.predict(X[:3]).shape == (3, 2)


def test_one_number_a_series() -> None:
    X, _ = data()
    model = SeriesRegressor(**QUICK).fit(X, X[:, 0].mean(1))
    assert model.predict(X).shape == (40,) and model.score(X, X[:, 0].mean(1)) > 0.5


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.zeros((2, 3, 4, 5)), [0, 1], r"X has the shape \(2, 3, 4, 5\)"),
        ([np.ones((2, 3)), np.ones((3, 2))], [0, 1], r"series 1: shape \(3, 2\): \(2, T\) is wanted. Transpose"),
        ([[1.0, np.inf], [1.0, 2.0]], [0, 1], "series 0: value 2 is infinite"),
        ([[np.nan, np.nan], [1.0, 2.0]], [0, 1], "series 0: the series holds no value"),
        ([["a", "b"], ["c", "d"]], [0, 1], "series 0: an array of numbers is wanted"),
        ([[1.0, 2.0], [1.0, 2.0]], [0], "fit got 2 series and 1 targets"),
        ([[1.0, 2.0], [1.0, 2.0]], ["a:b", "c"], "label 'a:b': a name without colons"),
        ([[1.0, 2.0], [1.0, 2.0]], None, r"y has the shape \(\)"),
        ([[1.0, 2.0], [1.0, 2.0]], [["a", "b"], ["b", "a"]], r"y has the shape \(2, 2\)"),
        ([[1.0, 2.0], [1.0, 2.0]], ["a", None], "the label of series 1 is missing"),
        ([[1.0, 2.0], [1.0, 2.0]], [0.0, np.nan], "the label of series 1 is missing"),
        (None, ["a", "b"], r"X has the shape \(\)"),
    ],
)
def test_faults(X: Any, y: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        SeriesClassifier().fit(X, y)


def test_names_are_no_numbers_and_frames_hold_a_series_a_row() -> None:
    with pytest.raises(DataError, match="y: numbers are wanted, for names take SeriesClassifier"):
        SeriesRegressor().fit(np.ones((2, 5)), ["a", "b"])
    pandas = pytest.importorskip("pandas")
    X = np.random.default_rng(0).normal(size=(20, 12))
    y = ["a", "b"] * 10
    from_frame, from_array = (SeriesClassifier(**QUICK).fit(given, y) for given in (pandas.DataFrame(X), X))
    np.testing.assert_array_equal(from_frame.predict_proba(pandas.DataFrame(X)), from_array.predict_proba(X))


def test_not_fitted() -> None:
    with pytest.raises(ModelFileError, match="SeriesRegressor is not fitted yet"):
        SeriesRegressor().predict(np.zeros((1, 1, 3)))
