"""The report page: well-formed, self-contained, safe, and right at the edges."""

from __future__ import annotations

import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from recurra.core.errors import OutputError
from recurra.runs.axes import Axis, escape, format_column, format_number, format_tick, shorten, smooth, thin
from recurra.runs.charts import Series, heat_map, line_chart
from recurra.runs.report import Confusion, Report, render, write_report
from recurra.runs.wording import METRIC_NAMES, WORDS

VOID = {"meta", "link", "br"}
EVIL = "<script>alert(1)</script>\"'&\x00\x1b\ud800"


class Page(HTMLParser):
    """Checks that tags are closed in order, and collects tags and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data + "\n"

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def rows(num_updates: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for update in range(1, num_updates + 1):
        position = {"update": update, "epoch": update / 100, "seconds": update * 0.1}
        loss = 1 + 3 / update
        train = {"loss": loss, "learning_rate": 1e-3, "gradient_norm": 1 / update, "tokens_per_second": 9e3}
        found.append({"kind": "train", **position, **train})
        if update % 10 == 0:
            scores = {"loss": loss + 0.1, "accuracy": 1 - 1 / update, "macro_f1": 0.5, "f1/spam": 0.5, "tokens": 100.0}
            found.append({"kind": "valid", **position, **scores})
    return found


def full(**changes: Any) -> Report:
    parts: dict[str, Any] = {
        "title": "A run",
        "config_yaml": "task:\n  kind: text-classification\n",
        "rows": rows(50),
        "metrics": {"accuracy": 0.9, "macro_f1": 0.85},
        "monitor": "macro_f1",
        "best_update": 40,
        "baselines": {"naive-bayes": {"accuracy": 0.7}},
        "confusion": Confusion(["ham", "spam"], [[90, 10], [5, 45]]),
        "per_class": {"ham": {"f1": 0.92, "support": 100}, "spam": {"f1": 0.85, "support": 50}},
        "samples": ["Return the next item."],
        "gradient_through_time": {"layer 1": [0.5, 0.1, 0.02]},
        "notes": ["float32 was used."],
    }
    return Report(**{**parts, **changes})


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_full_page_shows_each_part(lang: Any):
    page = Page(render(full(lang=lang)))
    words = WORDS[lang]
    for heading in ("results", "curves", "classes", "confusion", "samples", "config", "through_time", "learning_rate"):
        assert words[heading] in page.text
    for content in ("naive-bayes", "Return the next item.", "kind: text-classification", "float32 was used."):
        assert content in page.text
    assert page.all("html")[0]["lang"] == words["html"]


def test_both_languages_have_the_same_words():
    assert WORDS["en"].keys() == WORDS["zh"].keys()
    assert METRIC_NAMES["en"].keys() == METRIC_NAMES["zh"].keys()


def test_nothing_is_loaded_or_run():
    html = render(full())
    page = Page(html)
    assert not page.all("script")
    assert not [attributes for _, attributes in page.tags if "src" in attributes]
    assert [attributes["href"] for _, attributes in page.tags if "href" in attributes] == ["data:,"]
    assert "url(" not in html and "http:" not in html and "https:" not in html
    assert "default-src 'none'" in html


def test_everything_is_escaped(tmp_path: Path):
    evil = {EVIL: {EVIL: 0.5}}
    report = Report(
        title=EVIL,
        config_yaml=EVIL,
        rows=[{"kind": "valid", "update": 1, EVIL: 0.5}],
        metrics={EVIL: 0.5},
        baselines=evil,
        per_class=evil,
        confusion=Confusion([EVIL, EVIL], [[1, 2], [3, 4]]),
        samples=[EVIL],
        notes=[EVIL],
    )
    write_report(tmp_path / "report.html", report)
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    page = Page(html)
    assert not page.all("script")
    assert "\x00" not in html and "\x1b" not in html
    assert page.text.count("<script>alert(1)</script>\"'&") >= 7


@pytest.mark.parametrize("num_updates", [0, 1, 2, 10, 10_000])
def test_any_number_of_rows(num_updates: int):
    html = render(Report(title="run", rows=rows(num_updates)))
    Page(html)
    assert len(html) < 200_000
    assert not re.search(r"\b(nan|NaN|inf|None)\b", html)
    assert ("<svg" in html) == (num_updates > 0)


def test_values_that_are_not_finite_are_left_out_and_counted():
    bad = [
        {"kind": "train", "update": 1, "loss": math.nan, "gradient_norm": math.inf},
        {"kind": "train", "update": 2, "loss": 1.5, "gradient_norm": None},
        {"kind": "train", "update": 3, "loss": 1e308, "gradient_norm": 1e-320},
        {"kind": "valid", "update": 3, "loss": -1e308, "perplexity": math.inf, "note": "text"},
    ]
    metrics = {"perplexity": math.inf, "accuracy": math.nan}
    report = Report(
        title="run",
        rows=bad,
        metrics=metrics,
        baselines={"b": metrics},
        gradient_through_time={"layer 1": [math.nan, 0.0]},
    )
    page = Page(render(report))
    assert "3 values that are NaN or infinite" in page.text
    drawn = [
        str(value)
        for tag, attributes in page.tags
        if tag in ("path", "circle", "line")
        for value in attributes.values()
    ]
    assert drawn
    assert not [value for value in drawn if "nan" in value or "inf" in value]


def test_a_resumed_run_counts_the_later_row():
    twice = [{"kind": "train", "update": 1, "loss": 9.0}, {"kind": "train", "update": 1, "loss": 2.0}]
    html = render(Report(title="run", rows=twice))
    assert "training: 2 @ 1" in html and "9 @ 1" not in html


def test_chart_keeps_inside_its_frame():
    points = [(float(x), math.sin(x) * 1e6) for x in range(5_000)]
    html = line_chart([Series("wave", points)], "update", "wave")
    pairs = re.findall(r"[ML]([\d.]+) ([\d.]+)", html)
    assert 100 < len(pairs) <= 700
    assert all(0 <= float(x) <= 480 and 0 <= float(y) <= 236 for x, y in pairs)


def test_heat_map_states_counts_and_shares():
    page = Page(heat_map(["ham", "spam"], [[90, 10], [0, 0]], "true", "predicted"))
    assert "ham → spam: 10 (10.0%)" in page.text
    assert "spam → ham: 0 (0.0%)" in page.text


def test_many_classes_become_a_table_of_pairs():
    labels = [f"c{i}" for i in range(30)]
    counts = [[50 if i == j else int(j == i + 1) * i for j in range(30)] for i in range(30)]
    text = Page(render(Report(title="run", confusion=Confusion(labels, counts)))).text
    assert WORDS["en"]["pairs"] in text
    assert text.index("c28") < text.index("c27") < text.index("c26")
    perfect = [[int(i == j) for j in range(30)] for i in range(30)]
    assert WORDS["en"]["no_pairs"] in render(Report(title="run", confusion=Confusion(labels, perfect)))


def test_metrics_of_single_classes_draw_no_chart_of_their_own():
    titles = {str(svg.get("aria-label")) for svg in Page(render(full())).all("svg")}
    assert {"Loss", "Macro F1", "Accuracy"} <= titles
    assert not titles & {"f1/spam", "tokens", "Tokens"}


def test_an_older_report_survives_a_write_that_fails(tmp_path: Path):
    blocked = tmp_path / "file"
    blocked.write_text("old")
    with pytest.raises(OutputError):
        write_report(blocked / "report.html", full())
    assert blocked.read_text() == "old"


@pytest.mark.parametrize(
    ("low", "high", "log", "wanted"),
    [
        (0, 1, False, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0.9, 1.1, False, [0.9, 0.95, 1, 1.05, 1.1]),
        (1, 10_000, False, [2000, 4000, 6000, 8000, 10_000]),
        (1e-6, 1.0, True, [1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.1, 1]),
        (1, 99, True, [1, 2, 5, 10, 20, 50]),
    ],
)
def test_ticks(low: float, high: float, log: bool, wanted: list[float]):
    assert Axis(low, high, 0, 100, log).ticks() == pytest.approx(wanted)


def test_numbers_as_text():
    assert [format_number(v) for v in (0, 0.5, 118.32, 12345.6, 1e-4, 2.5e12, math.nan)] == [
        *("0", "0.5", "118.3", "12,346", "1e-4", "2.5e12", "–")
    ]
    assert [format_tick(v) for v in (5000, 20_000, 3e6, 0.004)] == ["5000", "20k", "3M", "0.004"]
    assert format_column([0.5, None, 0.25]) == ["0.5000", "–", "0.2500"]
    assert format_column([100, 7]) == ["100", "7"]
    assert format_column([0.4, 154.2]) == ["0.40", "154.20"]


def test_smoothing_keeps_constants_and_does_not_lag():
    line = [(float(x), 2.0 * x) for x in range(100)]
    assert [y for _, y in smooth(line, 10)[20:80]] == pytest.approx([y for _, y in line[20:80]])
    assert [y for _, y in smooth([(float(x), 3.0) for x in range(50)], 20)] == pytest.approx([3.0] * 50)


def test_thinning_keeps_spikes_and_ends():
    points = [(float(x), 100.0 if x == 5_003 else x % 7 * 0.1) for x in range(10_000)]
    kept = thin(points, 600)
    assert len(kept) <= 602
    assert kept[0] == points[0] and kept[-1] == points[-1] and (5_003.0, 100.0) in kept


def test_texts():
    assert escape("a<b>\x07") == "a&lt;b&gt;\N{REPLACEMENT CHARACTER}"
    assert shorten("混淆矩阵的类别", 8) == "混淆矩…"
    assert shorten("short", 8) == "short"
