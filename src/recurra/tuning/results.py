"""What a search leaves behind: results.json, trials.csv, best.yaml, report.html, and the table on the screen."""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recurra.core.config import to_yaml
from recurra.core.files import write_json, write_text
from recurra.runs import RunConfig
from recurra.runs.axes import format_number
from recurra.tuning.finals import AS_IT_STANDS, summarise
from recurra.tuning.options import Search
from recurra.tuning.space import Space
from recurra.tuning.storage import public

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

_SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came out of a search.

    Attributes:
        search: as it was asked for.
        space: what was searched.
        tag: of the metric that the trials were judged by.
        study: with all trials.
        best: the best trial.
        finals: the final runs that came to their end.
    """

    search: Search
    space: Space
    tag: str
    study: optuna.Study
    best: FrozenTrial
    finals: list[FrozenTrial]

    @property
    def best_config(self) -> RunConfig:
        """The run with the options of the best trial."""
        return self.space.settle(self.space.values(self.best.params))

    @property
    def trials(self) -> list[FrozenTrial]:
        """All trials; of one that was begun again, the last try."""
        kept = {trial.system_attrs.get("failed_trial", trial.number): trial for trial in self.study.get_trials(False)}
        return [kept[number] for number in sorted(kept)]

    @property
    def as_it_stands(self) -> FrozenTrial | None:
        """The trial of the run as it stands, if it came to its end."""
        own = self.space.current()
        same = (trial for trial in self.trials if trial.value is not None and trial.params.items() <= own.items())
        return next(same, None)

    def importance(self) -> dict[str, float]:
        """How much of the spread of the trials each option explains, 0 to 1 (PED-ANOVA); nothing of too few trials."""
        from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

        if len({trial.value for trial in self.trials if trial.state.name == "COMPLETE"}) < 4:
            return {}
        found = get_param_importances(self.study, evaluator=PedAnovaImportanceEvaluator())
        return {name: round(float(share), 4) for name, share in found.items()}

    def summary(self) -> dict[str, Any]:
        """Everything as JSON values."""
        states = Counter(trial.state.name.lower() for trial in self.trials)
        stood = self.as_it_stands
        return {
            "study": self.search.name,
            "storage": public(self.search.storage),
            "task": self.search.config.task.kind,
            "method": self.search.method,
            "monitor": self.tag,
            "better": "less" if self.study.direction.name == "MINIMIZE" else "more",
            "trials": dict(states),
            "trial_core_seconds": round(sum(trial.user_attrs.get("core_seconds", 0.0) for trial in self.trials), 1),
            "as_it_stands": None if stood is None else stood.value,
            "best": {
                "trial": self.best.number,
                "value": self.best.value,
                "options": self.space.values(self.best.params),
            },
            "importance": self.importance(),
            "final": summarise(self.finals),
        }


def write_results(outcome: Outcome) -> dict[str, Any]:
    """Write the files of a finished search; what stands in results.json.

    Raises:
        OutputError: a file can't be written.
    """
    out, summary = outcome.search.out, outcome.summary()
    write_text(out / "best.yaml", to_yaml(outcome.best_config))
    write_text(out / "trials.csv", _table(outcome))
    write_json(out / "results.json", summary)
    return summary


def shown(outcome: Outcome, summary: dict[str, Any]) -> str:
    """The results for the screen."""
    finished = [trial for trial in outcome.trials if trial.state.name == "COMPLETE"]
    ranked = sorted(finished, key=lambda trial: trial.value or 0.0, reverse=summary["better"] == "more")
    lines = [f"{'trial':>6}  {outcome.tag:>10}  options"]
    for trial in ranked[:_SHOWN]:
        values = outcome.space.values(trial.params)
        lines.append(f"{trial.number:>6}  {format_number(trial.value or 0.0):>10}  {_told(values)}")
    lines.append(", ".join(f"{count} {state}" for state, count in summary["trials"].items()))
    for name, found in summary["final"].items():
        metrics = "  ".join(f"{tag} {_spread(spread)}" for tag, spread in found["metrics"].items())
        lines.append(f"{name}, {found['split']}, {len(found['seeds'])} seeds: {metrics}")
    if summary["final"].keys() == {AS_IT_STANDS}:
        lines.append("no trial was better than the run as it stands")
    lines.append(f"best options: {outcome.search.out / 'best.yaml'}; report: {outcome.search.out / 'report.html'}")
    return "\n".join(lines)


def _told(values: dict[str, Any]) -> str:
    return " ".join(
        f"{name}={format_number(value) if isinstance(value, float) else value}" for name, value in values.items()
    )


def _spread(spread: dict[str, Any]) -> str:
    mean = format_number(spread["mean"])
    return f"{mean} ± {format_number(spread['deviation'])}" if len(spread["values"]) > 1 else mean


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
