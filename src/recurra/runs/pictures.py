"""Predictions drawn into a file: what was looked at, a forecast with its bands, a series with its anomalies."""

from __future__ import annotations

import io
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from recurra.core.errors import ConfigError
from recurra.core.files import write_bytes
from recurra.runs.rates import RateCurve
from recurra.tasks import Alignment, ForecastPicture, Picture, ScorePicture

_ENDINGS = (".png", ".svg", ".pdf")
_FONTS = (
    *("NotoSansCJK-Regular", "NotoSansSC", "SourceHanSans", "wqy-microhei", "wqy-zenhei"),
    *("simhei", "msyh", "PingFang", "Arial Unicode"),
)
"""Files of fonts that hold Chinese characters, as systems have them."""
_MOST = 60
"""Rows or columns beyond this are not labelled: nobody could read them."""
_PAST_OF_A_STEP_AHEAD = 5
"""Steps of history that are drawn for each step ahead."""
_LEAST_AHEAD = 24
_INK, _BLUE, _ORANGE, _RED = "#1a2230", "#2563eb", "#d9620a", "#c81e3a"


def require_drawing(path: Path) -> None:
    """Check that a picture of this ending can be drawn here.

    Raises:
        ConfigError: an unknown ending, or matplotlib is missing.
    """
    if path.suffix.lower() not in _ENDINGS:
        raise ConfigError(f"{path}: a picture ends in {', '.join(_ENDINGS)}.")
    _pyplot()


def draw(picture: Picture, path: Path) -> None:
    """Write the picture.

    Raises:
        OutputError: the file can't be written.
    """
    figure_class, fonts = _pyplot()
    named: dict[str, Any] = {"fontfamily": fonts} if fonts else {}
    if isinstance(picture, Alignment):
        figure = _heat_map(picture, figure_class, named)
    elif isinstance(picture, ForecastPicture):
        figure = _forecast(picture, figure_class, named)
    else:
        figure = _scores(picture, figure_class, named)
    write_bytes(path, _render(figure, path.suffix.lower().removeprefix(".")))


def draw_rates(curve: RateCurve, path: Path) -> None:
    """Write the loss over the learning rate.

    Raises:
        OutputError: the file can't be written.
    """
    figure_class, _ = _pyplot()
    figure = figure_class(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.semilogx(curve.rates, curve.losses, color=_BLUE, alpha=0.25, linewidth=1, label="of one batch")
    axes.semilogx(curve.rates, curve.smoothed, color=_BLUE, linewidth=1.8, label="smoothed")
    axes.axvline(curve.suggested, color=_RED, linestyle="--", linewidth=1, label=f"suggested: {curve.suggested:g}")
    axes.set_xlabel("learning rate")
    axes.set_ylabel("loss")
    _finish(axes, "", {})
    write_bytes(path, _render(figure, path.suffix.lower().removeprefix(".")))


def _heat_map(alignment: Alignment, figure_class: Any, named: dict[str, Any]) -> Any:
    """A row for each word that was said, a column for each that was looked at."""
    rows, columns = len(alignment.rows), len(alignment.columns)
    figure = figure_class(
        figsize=(2.2 + 0.34 * min(columns, _MOST), 1.6 + 0.3 * min(rows, _MOST)), layout="constrained"
    )
    axes = figure.add_subplot()
    image = axes.imshow(alignment.weights, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    above, beside = (names if len(names) <= _MOST else () for names in (alignment.columns, alignment.rows))
    axes.set_xticks(range(len(above)), above, rotation=60, ha="left", rotation_mode="anchor", **named)
    axes.set_yticks(range(len(beside)), beside, **named)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    figure.colorbar(image, ax=axes, shrink=0.8, label="weight")
    return figure


def _forecast(forecast: ForecastPicture, figure_class: Any, named: dict[str, Any]) -> Any:
    """The end of the history, then the forecast within its bands, and what came where it is known."""
    figure = figure_class(figsize=(9, 3.6), layout="constrained")
    axes = figure.add_subplot()
    kept = slice(-_PAST_OF_A_STEP_AHEAD * max(len(forecast.stamps), _LEAST_AHEAD), None)
    stamps, history = forecast.history_stamps[kept], forecast.history[kept]
    axes.plot(stamps, history, color=_INK, linewidth=1.2, label="history")
    levels = sorted(forecast.bands, reverse=True)
    for shade, level in zip(_shades(len(levels)), levels, strict=True):
        low, high = forecast.bands[level]
        axes.fill_between(forecast.stamps, low, high, color=_BLUE, alpha=shade, linewidth=0, label=f"{level:g} %")
    axes.plot(forecast.stamps, forecast.mean, color=_BLUE, linewidth=1.6, label="forecast", **_marks(forecast.mean))
    if forecast.truth is not None:
        axes.plot(forecast.stamps, forecast.truth, color=_ORANGE, linewidth=1.2, label="what came")
    _finish(axes, forecast.name, named)
    return figure


def _scores(scored: ScorePicture, figure_class: Any, named: dict[str, Any]) -> Any:
    """Values above, scores below; known anomalies shaded, flagged steps marked."""
    figure = figure_class(figsize=(9, 4.8), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    lines = above.plot(scored.stamps, scored.values, linewidth=1)
    if len(lines) == 1:
        lines[0].set_color(_INK)
    for axes in (above, below):
        for start, end in scored.windows:
            axes.axvspan(scored.stamps[start], scored.stamps[end], color=_ORANGE, alpha=0.18, linewidth=0)
    flagged = np.asarray(scored.flagged, dtype=bool)
    first = scored.values[:, 0]
    above.plot(scored.stamps[flagged], first[flagged], "o", color=_RED, markersize=4, label="flagged")
    below.plot(scored.stamps, scored.scores, color=_BLUE, linewidth=1, label="score")
    below.axhline(scored.threshold, color=_RED, linewidth=0.9, linestyle="--", label="threshold")
    below.set_ylim(-0.03, 1.03)
    _finish(above, scored.name, named)
    _finish(below, "", named)
    return figure


def _shades(count: int) -> list[float]:
    """How dense each band is, the widest first."""
    return [0.16 + 0.14 * rank for rank in range(count)]


def _marks(values: Any) -> dict[str, Any]:
    """A line of one point needs a mark to be seen."""
    return {"marker": "o"} if len(values) == 1 else {}


def _finish(axes: Any, title: str, named: dict[str, Any]) -> None:
    axes.set_title(title, loc="left", fontsize=11, **named)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    if np.issubdtype(axes.lines[0].get_xdata(orig=True).dtype, np.datetime64):
        from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

        locator = AutoDateLocator()
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), fontsize=9, ncols=6, frameon=False, borderaxespad=0.2)


def _render(figure: Any, ending: str) -> bytes:
    """The picture; characters that no font holds are told of once. An SVG leaves the writing to who shows it."""
    from matplotlib import rc_context

    picture = io.BytesIO()
    with rc_context({"svg.fonttype": "none"}), warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        figure.savefig(picture, dpi=150, format=ending)
    if ending != "svg" and any("missing from font" in str(warning.message) for warning in found):
        logging.getLogger("recurra").warning(
            "recurra: no font here holds some of the characters. Install one (such as Noto Sans CJK), or draw an .svg."
        )
    return picture.getvalue()


def _pyplot() -> tuple[Any, list[str]]:
    """matplotlib's Figure, and the fonts that this system has for Chinese."""
    try:
        from matplotlib import font_manager
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError("--plot needs matplotlib: pip install 'recurra[plot]'.") from error
    # by file, as matplotlib's own list of names is that of the day on which it was first used
    files = [path for path in font_manager.findSystemFonts() if Path(path).name.startswith(_FONTS)]
    if not files:
        return Figure, []
    font_manager.fontManager.addfont(files[0])
    return Figure, ["DejaVu Sans", font_manager.FontProperties(fname=files[0]).get_name()]
