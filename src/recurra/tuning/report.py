"""The page of a search: one HTML file that needs nothing else, readable offline, in light and dark."""

from __future__ import annotations

from typing import Any

from recurra.core.config import to_yaml
from recurra.runs.axes import escape, format_number
from recurra.runs.page import card, document, figure, muted, section, table
from recurra.tuning import plots
from recurra.tuning.finals import AS_IT_STANDS, BEST
from recurra.tuning.outcome import Outcome, spread
from recurra.tuning.scales import written

_MOST_ROWS = 100
_SPLITS = {"valid": "validation", "test": "test"}


def render(outcome: Outcome, summary: dict[str, Any]) -> str:
    """The page as HTML."""
    title = f"Search · {outcome.search.name}"
    points = [
        plots.Point(trial.number, trial.value, outcome.space.values(trial.params))
        for trial in outcome.finished
        if trial.value is not None
    ]
    parts = [
        f"<header><h1>{escape(title)}</h1><p>{escape(_facts(outcome, summary))}</p></header>",
        _tiles(outcome, summary),
        section("What luck is worth", _finals(summary)),
        section("What changes", _changes(outcome)),
        section("Trials", _charts(outcome, summary, points)),
        section("All options at once", _parallel(outcome, points)),
        section("Option by option", _slices(outcome, points)),
        section("Table", _table(outcome)),
        section("Best options", _config(outcome)),
    ]
    return document(title, "en", "".join(parts))


def _facts(outcome: Outcome, summary: dict[str, Any]) -> str:
    counts = ", ".join(f"{count} {state}" for state, count in summary["trials"].items())
    return f"{summary['task']} · {outcome.search.method} · {counts} · judged by {outcome.tag} on validation data"


def _tiles(outcome: Outcome, summary: dict[str, Any]) -> str:
    stood = summary["as_it_stands"]
    shown = {
        f"best {outcome.tag}, trial {outcome.best.number}": format_number(summary["best"]["value"]),
        f"{outcome.tag} as it stands": "–" if stood is None else format_number(stood),
        "trials": str(sum(summary["trials"].values())),
        "core-seconds of all trials": format_number(summary["trial_core_seconds"]),
    }
    tiles = "".join(card(f"<b>{escape(value)}</b><span>{escape(name)}</span>") for name, value in shown.items())
    return f'<div class="tiles">{tiles}</div>'


def _finals(summary: dict[str, Any]) -> str:
    found = summary["final"]
    if not found:
        return ""
    tags = list(dict.fromkeys(tag for runs in found.values() for tag in runs["metrics"]))
    rows = []
    for name in (AS_IT_STANDS, BEST):
        if name in found:
            runs = found[name]
            cost = format_number(sum(runs["core_seconds"]) / len(runs["core_seconds"]))
            rows.append([name, *(spread(runs["metrics"][tag]) for tag in tags), cost])
    split, count = next((runs["split"], len(runs["seeds"])) for runs in found.values())
    over = "over 1 seed" if count == 1 else f"± deviation over {count} seeds"
    told = f"Mean {over} that no trial had, on the {_SPLITS[split]} split."
    if BEST not in found:
        told += " No trial was better than the run as it stands."
    return card(table(["options", *tags, "core-seconds"], rows, last="own") + muted(told))


def _changes(outcome: Outcome) -> str:
    own = outcome.space.values(outcome.space.current())
    values = outcome.space.values(outcome.best.params)
    rows = [[name, written(own.get(name, "–")), written(value)] for name, value in values.items()]
    return card(table(["option", AS_IT_STANDS, BEST], rows))


def _charts(outcome: Outcome, summary: dict[str, Any], points: list[plots.Point]) -> str:
    less = summary["better"] == "less"
    legend = [("a trial", "s1"), ("best so far", "s2")]
    drawn = figure(outcome.tag, "by trial", plots.history(points, less, outcome.tag), legend, "")
    if summary["importance"]:
        note = "Share of the spread of the best trials that each option explains (PED-ANOVA). Few trials tell little."
        drawn += figure("Importance", "", plots.importance(summary["importance"]), [], note)
    return f'<div class="charts">{drawn}</div>'


def _parallel(outcome: Outcome, points: list[plots.Point]) -> str:
    less = outcome.study.direction.name == "MINIMIZE"
    drawn = plots.parallel(outcome.space.entries, points, less, outcome.tag)
    note = "A line is a trial: the stronger, the better. A line passes an option by where it doesn't apply."
    return figure("Parallel coordinates", "", drawn, [("a trial", "s1"), ("the best one", "s2")], note)


def _slices(outcome: Outcome, points: list[plots.Point]) -> str:
    drawn = (
        figure(name, "", plots.slices(name, entry, points, outcome.tag), [], "")
        for name, entry in outcome.space.entries.items()
    )
    return f'<div class="charts">{"".join(drawn)}</div>'


def _table(outcome: Outcome) -> str:
    names = list(outcome.space.entries)
    worst = float("inf") if outcome.study.direction.name == "MINIMIZE" else float("-inf")
    ranked = sorted(outcome.trials, key=lambda trial: worst if trial.value is None else trial.value)
    if worst < 0:
        ranked.reverse()
    rows = []
    for trial in ranked[:_MOST_ROWS]:
        values = outcome.space.values(trial.params)
        value = "–" if trial.value is None else format_number(trial.value)
        shown = [written(values[name]) if name in values else "–" for name in names]
        seconds = format_number(trial.user_attrs.get("seconds", float("nan")))
        rows.append([str(trial.number), trial.state.name.lower(), value, seconds, *shown])
    left_out = len(ranked) - len(rows)
    note = muted(f"{left_out} more stand in trials.csv.") if left_out else ""
    return card(table(["trial", "state", outcome.tag, "seconds", *names], rows) + note)


def _config(outcome: Outcome) -> str:
    text = f"<details><summary>best.yaml</summary><pre>{escape(to_yaml(outcome.best_config))}</pre></details>"
    return card(text)
