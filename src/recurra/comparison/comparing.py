"""Runs of one task on the same test data: figures with their spread over seeds, what chance may have done, and costs.

Worked example: three seeds of a fine-tuned model answer 0.83, 0.84 and 0.85 of the test texts rightly, one from scratch
0.81. The rows are 0.840 ± 0.010 and 0.810; the difference 0.030 is drawn 2,000 times over texts: of all draws the
middle 95 % lie between 0.012 and 0.047, and 4 are below 0, so that p = 0.004.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from recurra.comparison.entrants import Entrant, enter
from recurra.comparison.findings import Comparison, Cost, Difference, Row, Spread
from recurra.comparison.significance import bootstrap, interval, mcnemar, p_value
from recurra.core.errors import ConfigError, did_you_mean
from recurra.tasks.judging import Judged, mean_figure

_FEWEST = 10
"""Things to draw from; of fewer, an interval would be a fiction."""


def compare(
    folders: Sequence[str],
    *,
    against: str | None = None,
    data: str | list[str] | None = None,
    options: dict[str, Any] | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Comparison:
    """Measure runs on the same items and hold them against each other.

    Args:
        folders: of runs or saved models.
        against: the one that others are held against; None: the best.
        data: files to measure on; None: the runs' own test data.
        options: fields of DataConfig, for reading `data`.
        say: where progress goes.
    Raises:
        ConfigError: fewer than one run, the same twice, other tasks or test data, or an unknown reference.
    """
    names = [folder.rstrip("/") for folder in folders]
    _require_names(names, against)
    entrants = []
    for name in names:
        say(f"measuring {name}")
        entrants.append(enter(name, data, options or {}))
        _require_comparable(entrants[0], entrants[-1])
    groups = _grouped(entrants)
    first = entrants[0]
    tag, wanted = first.compared
    sign = 1.0 if wanted == "min" else -1.0
    order = sorted(groups, key=lambda key: sign * np.mean([_figure(one.judged) for one in groups[key]]))
    groups = {key: groups[key] for key in order}
    chosen = next((key for key, own in groups.items() if against in [one.name for one in own]), order[0])
    drawn = _draw(groups, first.judged)
    shown = _short_names({key: [one.name for one in own] for key, own in groups.items()})
    rows = tuple(_row(shown[key], key, chosen, groups, drawn) for key in groups)
    return Comparison(
        task=first.task,
        tag=tag,
        wanted=wanted,
        split=first.split,
        num_items=len(first.judged),
        rows=rows,
        reference=shown[chosen],
        baselines=_baselines(entrants, tag, sign),
    )


def _require_names(names: Sequence[str], against: str | None) -> None:
    if not names:
        raise ConfigError("no run is named: give the folders of at least one, as in `recurra compare runs/a runs/b`.")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"{', '.join(twice)}: named twice.")
    if against is not None and against.rstrip("/") not in names:
        raise ConfigError(f"--against {against}: not among the runs.{did_you_mean(against, names)}")


def _require_comparable(first: Entrant, other: Entrant) -> None:
    """Check that figures of both mean the same thing.

    Raises:
        ConfigError: says what differs.
    """
    if other.task != first.task:
        raise ConfigError(
            f"{first.name} is of the task {first.task} and {other.name} of {other.task}: compare like with like."
        )
    if other.compared != first.compared:
        raise ConfigError(
            f"{first.name} is measured by {first.compared[0]} and {other.name} by {other.compared[0]}: no figure is "
            "common to both."
        )
    if not _same_items(first.judged, other.judged):
        raise ConfigError(
            f"{first.name} and {other.name} were not measured on the same items with the same targets "
            f"({len(first.judged):,} of {first.split}, {len(other.judged):,} of {other.split}). What is held out at "
            "random differs by seed unless data.split_seed is set, and language models of other vocabularies have "
            "other targets. Name one file for all with --data.test FILE."
        )


def _same_items(first: Judged, other: Judged) -> bool:
    return (
        first.ids == other.ids
        and len(first.terms) == len(other.terms)
        and all(_same(*pair) for pair in zip(first.references, other.references, strict=True))
    )


def _same(one: Any, other: Any) -> bool:
    """Whether two references are the same but for rounding."""
    if hasattr(one, "values") and hasattr(other, "values"):
        one, other = one.values, other.values
    if isinstance(one, torch.Tensor | np.ndarray) and isinstance(other, torch.Tensor | np.ndarray):
        a, b = np.asarray(one), np.asarray(other)
        return a.shape == b.shape and np.allclose(a, b, rtol=1e-4, atol=1e-6, equal_nan=True)
    return bool(one == other)


def _grouped(entrants: Sequence[Entrant]) -> dict[str, list[Entrant]]:
    """Runs by their config without the seed; the same seed again is another row."""
    found: dict[str, list[Entrant]] = defaultdict(list)
    for one in entrants:
        key, again = repr({key: value for key, value in one.config.items() if key != "seed"}), 0
        while any(other.config["seed"] == one.config["seed"] for other in found.get(f"{again} {key}", ())):
            again += 1
        found[f"{again} {key}"].append(one)
    return {own[0].name: own for own in found.values()}


def _short_names(groups: dict[str, list[str]]) -> dict[str, str]:
    """The last part of each folder's name where these differ; of several seeds all of them."""
    every = [name for names in groups.values() for name in names]
    last = {name: name.split("/")[-1] for name in every}
    if len(set(last.values())) < len(every):
        last = {name: name for name in every}
    return {key: ", ".join(last[name] for name in names) for key, names in groups.items()}


def _figure(judged: Judged) -> float:
    return float(judged.figure(judged.terms.sum(axis=0)))


def _draw(groups: dict[str, list[Entrant]], first: Judged) -> dict[str, np.ndarray] | None:
    """(R,) figures of each group, means over its seeds, on the same draws of items; None where there are too few."""
    if len(first.terms) < _FEWEST:
        return None
    every = [one for own in groups.values() for one in own]
    figures = bootstrap([one.judged.terms for one in every], first.figure)
    drawn = dict(zip((one.name for one in every), figures, strict=True))
    return {key: np.mean([drawn[one.name] for one in own], axis=0) for key, own in groups.items()}


def _row(
    name: str, key: str, chosen: str, groups: dict[str, list[Entrant]], drawn: dict[str, np.ndarray] | None
) -> Row:
    own = groups[key]
    tags = [tag for tag in own[0].metrics if all(tag in one.metrics for one in own)]
    return Row(
        name=name,
        runs=tuple(one.name for one in own),
        figure=_spread([_figure(one.judged) for one in own]),
        interval=None if drawn is None else interval(drawn[key]),
        difference=None if key == chosen else _difference(own, groups[chosen], key, chosen, drawn),
        cost=_cost(own),
        metrics={tag: _spread([one.metrics[tag] for one in own]) for tag in tags},
    )


def _difference(
    own: Sequence[Entrant], others: Sequence[Entrant], key: str, chosen: str, drawn: dict[str, np.ndarray] | None
) -> Difference:
    mean, other = (float(np.mean([_figure(one.judged) for one in part])) for part in (own, others))
    if drawn is None:
        return Difference(mean - other, None, None, None)
    gap = drawn[key] - drawn[chosen]
    return Difference(mean - other, interval(gap), p_value(gap), _mcnemar(own, others))


def _cost(own: Sequence[Entrant]) -> Cost:
    return Cost(
        _mean_of_noted([one.core_seconds for one in own]),
        _mean_of_noted([one.pretraining for one in own]),
        own[0].parameters,
        round(np.mean([one.num_bytes for one in own])),
        float(np.mean([one.milliseconds for one in own])),
    )


def _mean_of_noted(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if len(known) == len(values) else None


def _mcnemar(own: Sequence[Entrant], others: Sequence[Entrant]) -> float | None:
    """Of two single runs that are right or wrong on each item."""
    if len(own) > 1 or len(others) > 1 or not all(_right_or_wrong(one.judged) for one in (own[0], others[0])):
        return None
    first, second = (one.judged.terms[:, 0] > 0 for one in (own[0], others[0]))
    return mcnemar(first, second)


def _right_or_wrong(judged: Judged) -> bool:
    terms = judged.terms
    return judged.figure is mean_figure and bool((terms[:, 1] == 1).all() and np.isin(terms[:, 0], (0, 1)).all())


def _spread(values: Sequence[float]) -> Spread:
    return Spread(float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None)


def _baselines(entrants: Sequence[Entrant], tag: str, sign: float) -> dict[str, dict[str, float]]:
    """Those of the runs; of one name the best, as they depend on a run's vocabulary and training data."""
    found: dict[str, dict[str, float]] = {}
    for one in entrants:
        for name, figures in one.baselines.items():
            if tag in figures and (name not in found or sign * figures[tag] < sign * found[name][tag]):
                found[name] = figures
    return dict(sorted(found.items(), key=lambda item: sign * item[1][tag]))
