"""Estimators for whole series: arrays (n, channels, T), (n, T) for one channel, or lists of unequal arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from recurra.core.errors import DataError
from recurra.estimators.base import Estimator
from recurra.metrics import r_squared
from recurra.tasks import values_of

Series = Sequence[ArrayLike] | np.ndarray


class _SeriesEstimator(Estimator):
    """What both share: what scikit-learn wants to know, and how series become a file."""

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn wants to know; called by scikit-learn alone."""
        from sklearn.utils import InputTags, RegressorTags

        tags = super().__sklearn_tags__()
        tags.input_tags = InputTags(two_d_array=True, three_d_array=True, allow_nan=True)
        tags.target_tags.required = True
        if self._estimator_type == "regressor":
            tags.regressor_tags = RegressorTags()
        return tags

    def _fit_series(self, X: Series, targets: Sequence[str], header: str) -> Self:
        """Train on series whose targets are written out."""
        rows = _rows(X)
        if len(rows) != len(targets):
            raise DataError(f"fit got {len(rows)} series and {len(targets)} targets: one each is wanted.")
        lines = [f"@univariate false\n@{header} true\n@data"]
        for row, target in zip(rows, targets, strict=True):
            lines.append(":".join([*(",".join(map(repr, channel)) for channel in row.tolist()), target]))
        return self._fit("\n".join(lines) + "\n", ".ts", {})


class SeriesClassifier(_SeriesEstimator):
    """A classifier of whole series: `SeriesClassifier().fit(X, y).predict(X)`.

    Attributes:
        model_: the trained SavedModel, once fitted.
        classes_: (num_labels,) label names, once fitted, as they were given.
    """

    _estimator_type = "classifier"

    def __init__(
        self,
        recipe: str = "lstm-fcn",
        epochs: int | None = None,
        seed: int = 0,
        options: dict[str, Any] | None = None,
        verbose: bool = False,
    ) -> None:
        """Choose how to train.

        Args:
            recipe: a recipe of series classification: lstm-fcn, series-classifier, crnn.
            epochs: overrides the recipe's.
            seed: same seed, same numbers.
            options: further dotted options, for example {"model.hidden_size": 64}.
            verbose: print what happens.
        """
        super().__init__(recipe, epochs, seed, options, verbose)

    def fit(self, X: Series, y: Sequence[Any] | np.ndarray) -> Self:
        """Train.

        Args:
            X: (n, channels, T), (n, T), or n arrays (channels, T_i); NaN is a missing value.
            y: (n,) labels.
        """
        if y is None or np.ndim(y) != 1:
            raise DataError(f"y has the shape {np.shape(y)}: (n,), a label for each series, is wanted.")
        labels = [label.item() if isinstance(label, np.generic) else label for label in y]
        missing = next((number for number, label in enumerate(labels) if label is None or label != label), None)
        if missing is not None:
            raise DataError(f"y: the label of series {missing} is missing. Leave the series out, or give it one.")
        types = {str(label): label for label in labels}
        for name in types:
            if not name or name != name.strip() or ":" in name or "\n" in name:
                raise DataError(f"label {name!r}: a name without colons, line ends and blanks around it is wanted.")
        self._fit_series(X, [str(label) for label in labels], "classLabel")
        self._types = types
        self.classes_ = np.array([types[name] for name in self.model_.labels])
        return self

    def predict(self, X: Series) -> np.ndarray:
        """(n,) labels, of the type that was given to `fit`."""
        return np.array([self._types[name] for name in self._fitted().predict(_rows(X))])

    def predict_proba(self, X: Series) -> np.ndarray:
        """(n, num_labels) probabilities, in the order of `classes_`."""
        return self._fitted().predict_proba(_rows(X))

    def score(self, X: Series, y: Sequence[Any] | np.ndarray) -> float:
        """Accuracy."""
        return float(np.mean(self.predict(X) == np.asarray(y)))


class SeriesRegressor(_SeriesEstimator):
    """Estimates numbers of whole series: `SeriesRegressor().fit(X, y).predict(X)`.

    Attributes:
        model_: the trained SavedModel, once fitted.
    """

    _estimator_type = "regressor"

    def __init__(
        self,
        recipe: str = "series-regressor",
        epochs: int | None = None,
        seed: int = 0,
        options: dict[str, Any] | None = None,
        verbose: bool = False,
    ) -> None:
        """Choose how to train; the arguments are those of `SeriesClassifier`, with a recipe of series regression."""
        super().__init__(recipe, epochs, seed, options, verbose)

    def fit(self, X: Series, y: ArrayLike) -> Self:
        """Train.

        Args:
            X: (n, channels, T), (n, T), or n arrays (channels, T_i); NaN is a missing value.
            y: (n,) numbers, or (n, K) for several each.
        """
        try:
            targets = np.asarray(y, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise DataError(f"y: numbers are wanted, for names take SeriesClassifier ({error}).") from error
        if targets.ndim not in (1, 2):
            raise DataError(f"y has the shape {targets.shape}: (n,), or (n, K) for several numbers each, is wanted.")
        self._several = targets.ndim == 2
        texts = [",".join(map(repr, row)) for row in targets.reshape(len(targets), -1).tolist()]
        return self._fit_series(X, texts, "targetLabel")

    def predict(self, X: Series) -> np.ndarray:
        """(n,) estimates, or (n, K) where `fit` was given several."""
        rows = _rows(X)
        found = np.array(self._fitted().predict(rows), dtype=np.float64).reshape(len(rows), -1)
        return found if self._several else found[:, 0]

    def score(self, X: Series, y: ArrayLike) -> float:
        """R², the mean over the numbers where there are several."""
        wanted = np.asarray(y, dtype=np.float64)
        columns = wanted.reshape(len(wanted), -1).T
        found = self.predict(X).reshape(len(wanted), -1).T
        return float(np.mean([r_squared(one, other) for one, other in zip(found, columns, strict=True)]))


def _rows(X: Series) -> list[np.ndarray]:
    """Each series as (channels, T).

    Raises:
        DataError: not an array of two or three axes, nor a list of arrays of one or two with as many channels each; or
            no finite numbers.
    """
    if hasattr(X, "columns"):
        X = np.asarray(X)  # a frame with a series a row
    if (isinstance(X, np.ndarray) and X.dtype != object and X.ndim not in (2, 3)) or not np.iterable(X):
        raise DataError(f"X has the shape {np.shape(X)}: (n, channels, T), or (n, T) for one channel, is wanted.")
    rows: list[np.ndarray] = []
    for number, given in enumerate(X):
        rows.append(values_of(given, len(rows[0]) if rows else None, number).T)
    return rows
