"""What a search leaves behind: results.json, trials.csv, best.yaml, report.html, and the table on the screen."""

from __future__ import annotations

import csv
import io
from typing import Any

from recurra.core.config import to_yaml
from recurra.core.files import write_json, write_text
from recurra.runs.axes import format_number
from recurra.tuning.outcome import Outcome, spread
from recurra.tuning.report import render
from recurra.tuning.scales import short_names, told

_SHOWN, _METRICS = 10, 5


def write_results(outcome: Outcome) -> dict[str, Any]:
    """Write the files of a finished search; what stands in results.json.

    Raises:
        OutputError: a file can't be written.
    """
    out, summary = outcome.search.out, outcome.summary()
    write_text(out / "best.yaml", to_yaml(outcome.best_config))
    write_text(out / "trials.csv", _table(outcome))
    write_json(out / "results.json", summary)
    write_text(out / "report.html", render(outcome, summary))
    return summary


def shown(outcome: Outcome, summary: dict[str, Any]) -> str:
    """The results for the screen."""
    ranked = sorted(outcome.finished, key=lambda trial: trial.value or 0.0, reverse=summary["better"] == "more")
    lines, names = [f"{'trial':>6}  {outcome.tag:>10}  options"], short_names(outcome.space.entries)
    for trial in ranked[:_SHOWN]:
        values = told(outcome.space.values(trial.params), names)
        lines.append(f"{trial.number:>6}  {format_number(trial.value or 0.0):>10}  {values}")
    lines.append(", ".join(f"{count} {state}" for state, count in summary["trials"].items()))
    for name, found in summary["final"].items():
        ranked_tags = sorted(found["metrics"], key=lambda tag: tag != outcome.tag)[:_METRICS]
        metrics = "  ".join(f"{tag} {spread(found['metrics'][tag])}" for tag in ranked_tags)
        lines.append(f"{name}, {found['split']}, seeds {', '.join(map(str, found['seeds']))}: {metrics}")
    lines.append(f"best options: {outcome.search.out / 'best.yaml'}; report: {outcome.search.out / 'report.html'}")
    return "\n".join(lines)


def _table(outcome: Outcome) -> str:
    """All trials as CSV."""
    text = io.StringIO()
    names = list(outcome.space.entries)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["trial", "state", outcome.tag, "seconds", "core_seconds", "why", *names])
    for trial in outcome.trials:
        kept = [trial.user_attrs.get(name, "") for name in ("seconds", "core_seconds", "why")]
        values = outcome.space.values(trial.params)
        value = "" if trial.value is None else trial.value
        writer.writerow(
            [trial.number, trial.state.name.lower(), value, *kept, *(values.get(name, "") for name in names)]
        )
    return text.getvalue()
