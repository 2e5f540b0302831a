"""The final runs: the best options and the run as it stood, each over the same seeds, so that luck shows."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recurra.runs import Run, RunConfig, train
from recurra.tuning.study import Claim
from recurra.tuning.work import Result, Watch

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

AS_IT_STANDS, BEST = "as it stands", "best"
_OPTIONS, _SEED, _METRICS = "options", "seed", "metrics"


class Finals:
    """Whole runs: trained, evaluated on validation and test split, compared with baselines, saved.

    Args:
        configs: by name, what is run.
        tag: of the metric that is the trial's value.
        out: folder of the runs.
    """

    def __init__(self, configs: Mapping[str, RunConfig], tag: str, out: Path) -> None:
        self._configs, self._tag, self._out = configs, tag, out

    def run(self, claim: Claim, watch: Watch) -> Result:
        """Train one of the configs with one of the seeds."""
        name = claim.trial.suggest_categorical(_OPTIONS, list(self._configs))
        seed = claim.trial.suggest_int(_SEED, 0, 2**62)
        folder = self._out / f"{name.replace(' ', '-')}-seed{seed}"
        run = Run(
            config=self._configs[name].model_copy(update={"seed": seed}),
            out=folder,
            resume=(folder / "config.yaml").is_file(),
            quiet=True,
            say=lambda _: None,
            observer=watch,
        )
        metrics = train(run).metrics
        return Result(metrics["valid"][self._tag], {_METRICS: metrics, "folder": str(folder)})

    def clear(self, claim: Claim) -> None:
        """Final runs are kept."""

    def title(self, claim: Claim) -> str:
        """The run for the person who waits."""
        return f"{claim.trial.params[_OPTIONS]}, seed {claim.trial.params[_SEED]}"


def cells(configs: Mapping[str, RunConfig], seed: int, count: int) -> list[dict[str, Any]]:
    """The final runs as parameters; none has the seed of the trials, on which the best options were chosen."""
    return [{_OPTIONS: name, _SEED: seed + 1 + index} for index in range(count) for name in configs]


def summarise(trials: Sequence[FrozenTrial]) -> dict[str, Any]:
    """Mean and deviation over the seeds, by options, of each metric of the test split, or else of validation.

    Returns:
        By options: `seeds`, and `metrics` by tag with `mean`, `deviation` and `values`; `core_seconds` of each run.
    """
    found: dict[str, Any] = {}
    for name in dict.fromkeys(trial.params[_OPTIONS] for trial in trials):
        runs = {trial.params[_SEED]: trial for trial in trials if trial.params[_OPTIONS] == name}
        kept = [runs[seed].user_attrs[_METRICS] for seed in sorted(runs)]
        split = "test" if "test" in kept[0] else "valid"
        common = set.intersection(*(set(metrics[split]) for metrics in kept))
        tags = [tag for tag in kept[0][split] if tag in common and "/" not in tag and tag != "tokens"]
        found[name] = {
            "split": split,
            "seeds": sorted(runs),
            "metrics": {tag: _spread([metrics[split][tag] for metrics in kept]) for tag in tags},
            "core_seconds": [metrics["training"]["core_seconds"] for metrics in kept],
        }
    return found


def _spread(values: list[float]) -> dict[str, Any]:
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return {"mean": statistics.fmean(values), "deviation": deviation, "values": values}
