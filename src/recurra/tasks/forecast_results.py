"""What forecasting says of a series, and what came."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from recurra.metrics.forecasts import ends, nearest
from recurra.tasks.pictures import ForecastPicture


class ForecastResult(NamedTuple):
    """The steps ahead of one origin; `metrics.Forecasted` with names and dates.

    Attributes:
        mean: (H, C) point forecast.
        quantiles: (H, C, Q) rising along Q, or None where the model knows points alone.
        samples: (N, H, C) sample paths, or None.
        channels: (C,) names.
        stamps: (H,) datetime64, or step numbers.
        probabilities: (Q,) of the quantiles.
        levels: of the intervals to be shown, in per cent.
    """

    mean: np.ndarray
    quantiles: np.ndarray | None
    samples: np.ndarray | None
    channels: tuple[str, ...]
    stamps: np.ndarray
    probabilities: tuple[float, ...]
    levels: tuple[float, ...]

    def interval(self, level: float) -> tuple[np.ndarray, np.ndarray]:
        """(H, C) each: where `level` per cent of the values are expected to lie between."""
        assert self.quantiles is not None, "a model that knows points alone has no intervals"
        low, high = (self.quantiles[..., nearest(self.probabilities, end)] for end in ends(level))
        return low, high

    def columns(self) -> list[str]:
        """Names of the numbers of a step: the mean, then the ends of the intervals."""
        shown = () if self.quantiles is None else self.levels
        return ["mean", *(f"{end}-{level:g}" for level in shown for end in ("lo", "hi"))]

    def table(self) -> np.ndarray:
        """(H, C, number of `columns`)."""
        parts = [self.mean]
        if self.quantiles is not None:
            parts += [end for level in self.levels for end in self.interval(level)]
        return np.stack(parts, axis=-1)

    def rows(self) -> list[dict[str, Any]]:
        """A row for each channel and step, as JSON values."""
        table, columns = self.table().tolist(), self.columns()
        stamps = stamp_texts(self.stamps)
        return [
            {"series": name, "stamp": stamp, **dict(zip(columns, table[step][channel], strict=True))}
            for channel, name in enumerate(self.channels)
            for step, stamp in enumerate(stamps)
        ]


class ForecastTruth(NamedTuple):
    """What came; `metrics.Outcome` with what stood before it.

    Attributes:
        series: name.
        values: (H, C), NaN where missing.
        spread: (C,) standard deviation in training.
        seasonal: (C,) mean difference of values a season apart before the origin.
        naive: (H, C) Naive2, or None.
        history: (T, C) all that was known at the origin.
        stamps: (T,) of the history.
    """

    series: str
    values: np.ndarray
    spread: np.ndarray
    seasonal: np.ndarray
    naive: np.ndarray | None
    history: np.ndarray
    stamps: np.ndarray


def picture_of(
    result: ForecastResult, history: np.ndarray, stamps: np.ndarray, truth: np.ndarray | None = None
) -> ForecastPicture:
    """The first channel of a forecast behind its history (T, C), with what came (H, C) where that is known."""
    bands = {}
    if result.quantiles is not None:
        bands = {level: (low[:, 0], high[:, 0]) for level in result.levels for low, high in [result.interval(level)]}
    return ForecastPicture(
        name=result.channels[0],
        history_stamps=stamps,
        history=history[:, 0],
        stamps=result.stamps,
        mean=result.mean[:, 0],
        bands=bands,
        truth=None if truth is None else truth[:, 0],
    )


def stamp_texts(stamps: np.ndarray) -> list[str]:
    """Dates as 2025-03-01 or 2025-03-01 06:00:00, step numbers as they are."""
    if stamps.dtype.kind != "M":
        return [str(stamp) for stamp in stamps.tolist()]
    whole_days = (stamps == stamps.astype("datetime64[D]")).all()
    texts = np.datetime_as_string(stamps, unit="D" if whole_days else "s")
    return [str(text).replace("T", " ") for text in texts]
