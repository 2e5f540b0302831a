"""Series on the report page."""

from __future__ import annotations

import re
import xml.etree.ElementTree as tree

import numpy as np
import pytest

from recurra.runs.report import Report, render
from recurra.runs.series_charts import forecast_chart, score_chart, stamp_ticks
from recurra.runs.wording import WORDS
from recurra.tasks import ForecastPicture, ScorePicture

HOURS = np.datetime64("2026-01-01T00") + np.arange(120)


def forecast() -> ForecastPicture:
    values = np.sin(np.arange(120) / 4)
    values[10] = np.nan
    ahead = values[96:]
    bands = {80.0: (ahead - 0.2, ahead + 0.2), 95.0: (ahead - 0.4, ahead + 0.4)}
    return ForecastPicture("load <1>", HOURS[:96], values[:96], HOURS[96:], ahead, bands, ahead + 0.1)


def scored() -> ScorePicture:
    scores = np.concatenate([np.full(20, np.nan), np.linspace(0, 1, 100)])
    return ScorePicture("cpu", HOURS, np.cos(np.arange(120.0))[:, None], scores, 0.95, scores > 0.95, ((110, 118),))


def test_a_forecast_has_a_line_a_band_and_what_came() -> None:
    svg, legend = forecast_chart(forecast(), WORDS["en"])
    tree.fromstring(svg)
    assert svg.count('class="band"') == 2
    assert len(re.findall(r'class="line s4 thin"', svg)) == 2, "the history breaks at the missing value"
    assert [label for label, _ in legend] == ["history", "what came", "forecast", "80 %, 95 %"]


def test_the_forecast_begins_where_the_history_ends() -> None:
    svg, _ = forecast_chart(forecast()._replace(truth=None, bands={}), WORDS["en"])
    history, ahead = (re.findall(rf'class="line {kind}" d="M([^"]*)"', svg)[-1] for kind in ("s4 thin", "s1"))
    last, first = (float(path.split("L")[at].split()[0]) for path, at in ((history, -1), (ahead, 0)))
    assert 0 < first - last < 15


def test_scores_stand_below_the_values() -> None:
    svg, legend = score_chart(scored(), WORDS["zh"])
    tree.fromstring(svg)
    assert svg.count('class="flag"') == 1 and svg.count('class="window"') == 1
    assert dict(legend)["已知异常"] == "window"


def test_a_series_without_a_number_has_no_chart() -> None:
    empty = scored()._replace(values=np.full((120, 1), np.nan))
    assert score_chart(empty, WORDS["en"]) == ("", [])


@pytest.mark.parametrize(
    ("step", "unit", "pattern"),
    [(1, "h", r"\d\d-\d\d \d\d:\d\d"), (1, "D", r"\d{4}-\d\d-\d\d"), (30, "D", r"\d{4}(-\d\d)?"), (365, "D", r"\d{4}")],
)
def test_labels_are_as_exact_as_needed(step: int, unit: str, pattern: str) -> None:
    stamps = np.datetime64("2026-01-01T00:00:00") + np.arange(60) * np.timedelta64(step, unit)
    ticks = stamp_ticks(stamps)
    assert len(ticks) <= 6
    assert all(re.fullmatch(pattern, text) for _, text in ticks)


def test_the_report_shows_them() -> None:
    page = render(Report(title="t", pictures=(forecast(), scored())))
    assert "A look at the predictions" in page and "load &lt;1&gt;" in page
