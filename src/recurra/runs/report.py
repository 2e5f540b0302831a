"""The report of a run: one HTML file that needs nothing else, readable offline, in light and dark."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from recurra.core.files import write_text
from recurra.runs.axes import Point, escape, format_number, smooth, wants_log
from recurra.runs.charts import Series, heat_map, line_chart
from recurra.runs.page import card, document, figure, metrics_table, muted, section, table
from recurra.runs.series_charts import forecast_chart, score_chart
from recurra.runs.wording import WORDS, metric_name
from recurra.tasks import Alignment, ForecastPicture, Picture

MATRIX_CLASSES = 25
MAX_PAIRS = 20
MAX_TILES = 5
MAX_METRIC_CHARTS = 4
MAX_SAMPLE_CHARACTERS = 20_000
MAX_EXAMPLE_CHARACTERS = 500
SMOOTHED_PARTS = 40
NOT_METRICS = ("kind", "update", "epoch", "seconds", "tokens", "loss", "nats")
TELLING = (
    *("accuracy", "f1", "exact_match", "bleu", "chrf", "rouge_1", "rouge_2", "rouge_l"),
    *("owa", "mase", "mae_scaled", "smape", "crps_scaled", "coverage_80", "event_f1", "rmse", "r2"),
    *("macro_f1", "perplexity", "bpc", "roc_auc", "micro_f1", "ece", "nats", "loss"),
)

Metrics = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Confusion:
    """counts[i][j]: how many rows of true class labels[i] were called labels[j]."""

    labels: Sequence[str]
    counts: Sequence[Sequence[int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a report shows; a part without content is left out.

    Attributes:
        title: heading.
        config_yaml: the run's configuration, shown as it is.
        rows: rows of metrics.jsonl: kind "train" (update, epoch, loss, learning_rate, gradient_norm,
            tokens_per_second, seconds) and kind "valid" (update, epoch, metrics by tag). Where an update stands twice
            (a resumed run), the later row counts.
        metrics: final metrics by tag; the most telling ones are shown large.
        loss_in_nats: whether the loss is a likelihood's.
        monitor: tag of the metric that chose the best checkpoint; it comes first.
        best_update: where the best checkpoint was taken.
        baselines: metrics of other systems on the same data, by name.
        confusion: confusion matrix of the final evaluation.
        per_class: metrics of each class, by label.
        samples: generated texts.
        examples: rows (what was asked, what was answered, what was wanted) of the final evaluation.
        worst: (loss, (asked, answered, wanted)) of the items that were answered worst, the worst first.
        pictures: forecasts and scored series of the final evaluation.
        gradient_through_time: mean size of dL/dh by recurrent layer, and by steps back from the loss, from 0.
        notes: sentences shown at the top (a fall-back that was taken, rows that were skipped).
        lang: language of the headings.
    """

    title: str
    config_yaml: str = ""
    rows: Sequence[Mapping[str, Any]] = ()
    metrics: Metrics | None = None
    loss_in_nats: bool = True
    monitor: str | None = None
    best_update: int | None = None
    baselines: Mapping[str, Metrics] | None = None
    confusion: Confusion | None = None
    per_class: Mapping[str, Metrics] | None = None
    samples: Sequence[str] = ()
    examples: Sequence[tuple[str, str, str]] = ()
    worst: Sequence[tuple[float, tuple[str, str, str]]] = ()
    pictures: Sequence[Picture] = ()
    gradient_through_time: Mapping[str, Sequence[float]] = field(default_factory=dict)
    notes: Sequence[str] = ()
    lang: Literal["en", "zh"] = "en"


def write_report(path: Path, report: Report) -> None:
    """Write the page to `path`, replacing an older one at once.

    Raises:
        OutputError: the file can't be written.
    """
    write_text(path, render(report))


def render(report: Report) -> str:
    """The page as HTML."""
    words = WORDS[report.lang]
    results = [
        _tiles(report),
        _results(report),
        _pictures(report),
        _curves(report),
        _classes(report),
        _confusion(report),
    ]
    body = "".join([*results, _worst(report), _examples(report), _samples(report)]) or muted(words["empty"])
    header = f"<header><h1>{escape(report.title)}</h1>{_facts(report)}</header>{_notes(report)}"
    return document(report.title, words["html"], header + body + _config(report) + muted(words["footer"]))


def _facts(report: Report) -> str:
    words = WORDS[report.lang]
    updates, epochs, seconds = (_largest(report.rows, key) for key in ("update", "epoch", "seconds"))
    facts = [words["updates"].format(f"{updates:,.0f}")] if updates else []
    facts += [words["epochs"].format(f"{epochs:,.3g}")] if epochs else []
    facts += [words["time"].format(_duration(seconds, words["clock"]))] if seconds else []
    return f"<p>{' · '.join(facts)}</p>" if facts else ""


def _notes(report: Report) -> str:
    notes = list(report.notes)
    dropped = sum(
        isinstance(value, float) and not math.isfinite(value) for row in report.rows for value in row.values()
    )
    if dropped:
        notes.append(WORDS[report.lang]["left_out"].format(dropped))
    return card("".join(f"<p>{escape(note)}</p>" for note in notes), "notes") if notes else ""


def _tiles(report: Report) -> str:
    metrics = report.metrics or {}
    tiles = [
        card(f"<b>{format_number(metrics[tag])}</b><span>{escape(metric_name(tag, report.lang))}</span>")
        for tag in _by_weight(metrics, report.monitor)[:MAX_TILES]
    ]
    return f'<div class="tiles">{"".join(tiles)}</div>' if tiles else ""


def _results(report: Report) -> str:
    words, own = WORDS[report.lang], report.metrics or {}
    if not report.baselines and len(own) <= MAX_TILES:
        return ""
    systems = {**(report.baselines or {}), **({words["this"]: own} if own else {})}
    tags = _by_weight(_tags([own, *systems.values()]), report.monitor)
    names = {tag: metric_name(tag, report.lang) for tag in tags}
    rows = {name: _finite_only(metrics) for name, metrics in systems.items()}
    return section(
        words["results"], card(metrics_table(words["name"], names, rows, bars=False, last="own" if own else ""))
    )


def _curves(report: Report) -> str:
    words = WORDS[report.lang]
    train = [row for row in report.rows if row.get("kind") == "train"]
    valid = [row for row in report.rows if row.get("kind") == "valid"]
    held_out = _points(valid, "loss") or _points(valid, "nats")
    loss = [*_smoothed(_points(train, "loss"), 1, words), Series(words["valid"], held_out, 2, "dots")]
    figures = [_figure(report, words["loss"], loss, words["nats"] if report.loss_in_nats else "")]
    tags = [tag for tag in _tags(valid) if tag not in NOT_METRICS and "/" not in tag]
    for tag in _by_weight(tags, report.monitor)[:MAX_METRIC_CHARTS]:
        curve = [Series(words["valid"], _points(valid, tag), 2, "dots")]
        figures.append(_figure(report, metric_name(tag, report.lang), curve))
    rate = [Series(words["train"], _points(train, "learning_rate"), 3)]
    norm = _smoothed(_points(train, "gradient_norm"), 4, words)
    speed = _smoothed(_points(train, "tokens_per_second"), 1, words)
    figures.append(_figure(report, words["learning_rate"], rate))
    figures.append(_figure(report, words["gradient_norm"], norm, note=words["gradient_note"]))
    figures.append(_through_time(report))
    figures.append(_figure(report, words["speed"], speed, words["terms_a_second"]))
    content = "".join(figures)
    return section(words["curves"], f'<div class="charts">{content}</div>' if content else "")


def _pictures(report: Report) -> str:
    words = WORDS[report.lang]
    figures = []
    for picture in report.pictures:
        if isinstance(picture, Alignment):
            continue
        drawn = forecast_chart(picture, words) if isinstance(picture, ForecastPicture) else score_chart(picture, words)
        figures.append(figure(picture.name, "", *drawn, ""))
    content = "".join(figures)
    return section(words["pictures"], f'<div class="wide">{content}</div>' if content else "")


def _smoothed(points: Sequence[Point], colour: int, words: Mapping[str, str]) -> list[Series]:
    window = len(points) // SMOOTHED_PARTS
    if window < 2:
        return [Series(words["train"], points, colour)]
    return [
        Series(words["train"], points, colour, "faint"),
        Series(words["smoothed"], smooth(points, window), colour),
    ]


def _figure(report: Report, title: str, series: Sequence[Series], unit: str = "", note: str = "") -> str:
    words = WORDS[report.lang]
    shown = [line for line in series if line.points]
    log = wants_log(y for line in shown for _, y in line.points)
    chart = line_chart(shown, words["update"], title, log, report.best_update)
    legend = [(line.label, f"s{line.colour} {line.style}") for line in shown]
    if 'class="mark"' in chart:
        legend.append((words["best"], "mark"))
    return figure(title, unit, chart, legend, note)


def _through_time(report: Report) -> str:
    words = WORDS[report.lang]
    lines = [
        Series(layer, [(float(back), norm) for back, norm in enumerate(norms)], colour)
        for (layer, norms), colour in zip(report.gradient_through_time.items(), itertools.cycle((4, 1, 2, 3)))
    ]
    log = wants_log(norm for line in lines for _, norm in line.points if 0 < norm < math.inf)
    chart = line_chart(lines, words["back"], words["through_time"], log)
    legend = [(line.label, f"s{line.colour} {line.style}") for line in lines] if len(lines) > 1 else []
    return figure(words["through_time"], "‖dL/dh‖", chart, legend, words["through_note"])


def _classes(report: Report) -> str:
    words, classes = WORDS[report.lang], report.per_class or {}
    names = {tag: metric_name(tag, report.lang) for tag in _tags(classes.values())}
    rows = {label: _finite_only(metrics) for label, metrics in classes.items()}
    return section(words["classes"], card(metrics_table(words["class"], names, rows, bars=True)) if names else "")


def _confusion(report: Report) -> str:
    words = WORDS[report.lang]
    if report.confusion is None or not report.confusion.labels:
        return ""
    labels, counts = report.confusion.labels, report.confusion.counts
    if len(labels) <= MATRIX_CLASSES:
        matrix = heat_map(labels, counts, words["truth"], words["predicted"])
        return section(words["confusion"], card(f'<div class="scroll">{matrix}</div>{muted(words["confusion_note"])}'))
    pairs = [(count, i, j) for i, row in enumerate(counts) for j, count in enumerate(row) if count and i != j]
    pairs.sort(key=lambda pair: (-pair[0], pair[1:]))
    rows = [(labels[i], labels[j], f"{count:,}", f"{count / sum(counts[i]):.1%}") for count, i, j in pairs[:MAX_PAIRS]]
    head = (words["truth"], words["predicted"], words["count"], words["share"])
    note = words["pairs_note"].format(len(labels)) if rows else words["no_pairs"]
    return section(words["pairs"], card((table(head, rows, "pairs") if rows else "") + muted(note)))


def _samples(report: Report) -> str:
    cards = "".join(card(f"<pre>{escape(_clip(sample, MAX_SAMPLE_CHARACTERS))}</pre>") for sample in report.samples)
    return section(WORDS[report.lang]["samples"], f'<div class="samples">{cards}</div>' if cards else "")


def _worst(report: Report) -> str:
    words = WORDS[report.lang]
    wanted = any(shown[2] for _, shown in report.worst)
    rows = []
    for loss, shown in report.worst:
        parts = (_clip(part, MAX_EXAMPLE_CHARACTERS) for part in shown[: 3 if wanted else 2])
        rows.append((format_number(loss), *parts))
    head = (words["item_loss"], words["asked"], words["answered"], *([words["wanted"]] if wanted else []))
    content = card(table(head, rows, "texts worst") + muted(words["worst_note"])) if rows else ""
    return section(words["worst"], content)


def _examples(report: Report) -> str:
    words = WORDS[report.lang]
    rows = [tuple(_clip(part, MAX_EXAMPLE_CHARACTERS) for part in row) for row in report.examples]
    head = (words["asked"], words["answered"], words["wanted"])
    return section(words["examples"], card(table(head, rows, "texts")) if rows else "")


def _config(report: Report) -> str:
    words = WORDS[report.lang]
    text = f"<details><summary>{words['show']}</summary><pre>{escape(report.config_yaml)}</pre></details>"
    return section(words["config"], card(text) if report.config_yaml else "")


def _tags(systems: Iterable[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(tag for metrics in systems for tag in metrics))


def _by_weight(tags: Iterable[str], monitor: str | None) -> list[str]:
    """The tags that say most first; the others follow as they stood."""
    order = [monitor, *TELLING]
    return sorted(tags, key=lambda tag: order.index(tag) if tag in order else len(order))


def _finite_only(metrics: Metrics) -> dict[str, float | None]:
    return {tag: _finite(value) for tag, value in metrics.items()}


def _points(rows: Iterable[Mapping[str, Any]], tag: str) -> list[Point]:
    found = {_finite(row.get("update")): _finite(row.get(tag)) for row in rows}
    return sorted((x, y) for x, y in found.items() if x is not None and y is not None)


def _largest(rows: Iterable[Mapping[str, Any]], key: str) -> float | None:
    return max((value for row in rows if (value := _finite(row.get(key))) is not None), default=None)


def _finite(value: object) -> float | None:
    """The value as a float where it is a finite number, else None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if math.isfinite(value) else None


def _clip(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}…"


def _duration(seconds: float, clock: str) -> str:
    """The two largest units of a time, for example "1 h 5 min"."""
    minutes, rest = divmod(round(seconds), 60)
    parts = zip((*divmod(minutes, 60), rest), clock.split(","), strict=True)
    return " ".join([unit.format(count) for count, unit in parts if count][:2]) or clock.split(",")[2].format(0)
