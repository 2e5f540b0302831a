"""Attention drawn as a picture: a row for each word that was said, a column for each that was looked at."""

from __future__ import annotations

import io
import logging
import warnings
from pathlib import Path
from typing import Any

from recurra.core.errors import ConfigError
from recurra.core.files import write_bytes
from recurra.tasks import Alignment

_ENDINGS = (".png", ".svg", ".pdf")
_FONTS = (
    *("NotoSansCJK-Regular", "NotoSansSC", "SourceHanSans", "wqy-microhei", "wqy-zenhei"),
    *("simhei", "msyh", "PingFang", "Arial Unicode"),
)
"""Files of fonts that hold Chinese characters, as systems have them."""
_MOST = 60
"""Rows or columns beyond this are not labelled: nobody could read them."""


def require_drawing(path: Path) -> None:
    """Check that a picture of this ending can be drawn here.

    Raises:
        ConfigError: an unknown ending, or matplotlib is missing.
    """
    if path.suffix.lower() not in _ENDINGS:
        raise ConfigError(f"{path}: a picture ends in {', '.join(_ENDINGS)}.")
    _pyplot()


def draw(alignment: Alignment, path: Path) -> None:
    """Write the heat map.

    Raises:
        OutputError: the file can't be written.
    """
    figure_class, fonts = _pyplot()
    rows, columns = len(alignment.rows), len(alignment.columns)
    figure = figure_class(
        figsize=(2.2 + 0.34 * min(columns, _MOST), 1.6 + 0.3 * min(rows, _MOST)), layout="constrained"
    )
    axes = figure.add_subplot()
    image = axes.imshow(alignment.weights, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    named: dict[str, Any] = {"fontfamily": fonts} if fonts else {}
    above, beside = (names if len(names) <= _MOST else () for names in (alignment.columns, alignment.rows))
    axes.set_xticks(range(len(above)), above, rotation=60, ha="left", rotation_mode="anchor", **named)
    axes.set_yticks(range(len(beside)), beside, **named)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    figure.colorbar(image, ax=axes, shrink=0.8, label="weight")
    write_bytes(path, _render(figure, path.suffix.lower().removeprefix(".")))


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
