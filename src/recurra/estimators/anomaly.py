"""Anomaly detection in scikit-learn's manners: fit, score, predict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np

from recurra.core.errors import DataError
from recurra.data import SeriesSet, series_from_frame
from recurra.estimators.base import Estimator
from recurra.estimators.series_files import SERIES, is_frame, series_csv, series_of_arrays, series_options
from recurra.tasks import AnomalyDetection, AnomalyResult, AnomalyStream

_LABEL = "known anomaly"


class AnomalyDetector(Estimator):
    """Says how odd each step of a series is: `AnomalyDetector().fit(x).score(x)`.

    Data are an array (T,) or (T, C), a list of such arrays, a pandas or polars frame with a column of dates, or a dict
    of columns.

    Attributes:
        model_: the trained SavedModel, once fitted.
    """

    def __init__(
        self,
        recipe: str = "anomaly-detection",
        epochs: int | None = None,
        seed: int = 0,
        options: dict[str, Any] | None = None,
        verbose: bool = False,
    ) -> None:
        """Choose how to train.

        Args:
            recipe: a recipe of anomaly detection.
            epochs: overrides the recipe's.
            seed: same seed, same numbers.
            options: further dotted options, for example {"task.threshold": "quantile", "task.scoring.rest": 24}.
            verbose: print what happens.
        """
        super().__init__(recipe, epochs, seed, options, verbose)

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn what is usual; the last tenth is held out to choose the best epoch and the threshold.

        Args:
            X: mostly normal data.
            y: (T,) 1 on steps that are known to be odd, which are not learnt, or a list of such; None: none is known.
        """
        self._reading = series_options(self.options)
        series = self._series(X)
        past = list(series.past)
        overrides = {}
        if y is not None:
            series = _labelled(series, y)
            overrides["data.label_column"] = _LABEL
        text, reading = series_csv(series)
        reading[f"{SERIES}past"] = past
        return self._fit(text, ".csv", overrides, reading=reading)

    def score(self, X: Any, y: None = None) -> np.ndarray | list[np.ndarray]:
        """(T,) how odd each step is, from 0 to 1, by what came before it alone; a list of such for several series.

        Args:
            X: as `fit`; may be the same data, or what came after it.
            y: nothing; scikit-learn passes it.
        """
        return _shaped([one.scores for one in self._results(X)])

    def predict(self, X: Any) -> np.ndarray | list[np.ndarray]:
        """(T,) 1 where a step is flagged, else 0; a list of such for several series."""
        return _shaped([one.flagged.astype(np.int64) for one in self._results(X)])

    def stream(self, X: Any = None) -> AnomalyStream:
        """Scores of one step after another: `stream.update(value)`; n updates give what `score` gives of n steps.

        Args:
            X: what came right before, one series, so that the state is warm; None: a series begins.
        """
        series = None if X is None else self._series(X).series
        if series is not None and len(series) > 1:
            raise DataError(f"stream: {len(series)} series are given: one is wanted.")
        live: AnomalyStream = self._fitted().live(None if series is None else series[0])
        return live

    @property
    def threshold_(self) -> float:
        """The score from which on `predict` flags a step."""
        task = self._fitted().task
        assert isinstance(task, AnomalyDetection) and task.fit.threshold is not None, (
            "a trained detector has a threshold"
        )
        return task.fit.threshold.value

    def _results(self, X: Any) -> list[AnomalyResult]:
        saved = self._fitted()
        return saved.predictions(list(self._series(X).series))

    def _series(self, X: Any) -> SeriesSet:
        if is_frame(X):
            return series_from_frame(X, self._reading, "the data")
        arrays = X if isinstance(X, list | tuple) and any(np.ndim(one) for one in X) and not _is_table(X) else [X]
        return series_of_arrays(arrays, self._reading)


def _is_table(X: Any) -> bool:
    """Whether nested lists are the rows of one series: lists of numbers, not arrays."""
    return all(isinstance(row, list | tuple) for row in X)


def _labelled(series: SeriesSet, y: Any) -> SeriesSet:
    """The series with labels as the last of their past covariates.

    Raises:
        DataError: not one label a step.
    """
    several = len(series) > 1
    try:
        labels = [np.asarray(one, dtype=np.float64).reshape(-1) for one in (y if several else [y])]
    except (TypeError, ValueError) as error:
        raise DataError(
            f"fit got labels that are no numbers: 1 is wanted for an anomaly, 0 for none ({error})."
        ) from error
    if len(labels) != len(series) or any(len(one) != len(own) for one, own in zip(labels, series.series, strict=False)):
        raise DataError(
            f"fit got labels of {[len(one) for one in labels]} steps, and series of "
            f"{[len(one) for one in series.series]}: one label a step is wanted."
        )
    rows = tuple(
        replace(one, past=np.concatenate([one.past, own[:, None]], axis=1))
        for one, own in zip(series.series, labels, strict=True)
    )
    return replace(series, series=rows, past=(*series.past, _LABEL))


def _shaped(found: Sequence[np.ndarray]) -> np.ndarray | list[np.ndarray]:
    return found[0] if len(found) == 1 else list(found)
