"""What came out of a search, as objects and as JSON values."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from recurra.runs import RunConfig
from recurra.runs.axes import format_number
from recurra.tuning.finals import summarise
from recurra.tuning.options import Search
from recurra.tuning.space import Space
from recurra.tuning.storage import public

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

_FEWEST = 4
"""So many different figures it takes to say which option mattered."""


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
    def finished(self) -> list[FrozenTrial]:
        """The trials that came to their end."""
        return [trial for trial in self.trials if trial.state.name == "COMPLETE"]

    @property
    def as_it_stands(self) -> FrozenTrial | None:
        """The trial of the run as it stands, if it came to its end."""
        own = self.space.current()
        same = (trial for trial in self.finished if trial.params.items() <= own.items())
        return next(same, None)

    def importance(self) -> dict[str, float]:
        """How much of the spread of the trials each option explains, 0 to 1 (PED-ANOVA); nothing of too few trials."""
        from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

        if len({trial.value for trial in self.finished}) < _FEWEST:
            return {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that few trials tell little, the report says itself
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


def spread(found: Mapping[str, Any]) -> str:
    """Mean and deviation for a person: two digits of the deviation, and as many decimals of the mean."""
    mean, deviation = found["mean"], found["deviation"]
    if len(found["values"]) < 2 or not deviation:
        return format_number(mean)
    decimals = min(6, max(0, 1 - math.floor(math.log10(deviation))))
    return f"{mean:,.{decimals}f} ± {deviation:.{decimals}f}"
