"""Contestants, their agreement before the clock, and the rounds of a list of races."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .cases import Arrays, Settings
from .clock import CLOCKS, Call, alternate, geometric_mean, say

TOLERANCE = 1e-4
# Where float32 itself is worse than the tolerance, ours may be this many times as far from float64 as the peer.
_EXCUSED = 3
_TINY = 1e-6


@dataclass
class Contestant:
    """One implementation with the problem's numbers in it.

    Attributes:
        name: for the tables.
        calls: mode -> the work; a mode that it cannot do is left out.
        read: mode -> what turns the work's result into arrays: "y" (B, T, H), for training also "dx" and the gradients
            of the weights under torch's names and in torch's order.
        path: which kernel ran last.
    """

    name: str
    calls: dict[str, Call]
    read: dict[str, Callable[[Any], Arrays]] = field(default_factory=dict)
    path: Callable[[], str] = lambda: ""


@dataclass
class Race:
    """Contestants on one row of a table, the first of them ours.

    Attributes:
        labels: of the row.
        mode: "train" or "inference".
        contestants: the first is the one that the others are compared with.
        flops: of one call, 0 where the figure says nothing.
        uncompared: names of contestants that do another thing, whose numbers need not agree.
        witness: not timed, but must have the numbers of the first; None is nobody.
        exact: the numbers in float64, asked for where two float32 results differ; None excuses nothing.
    """

    labels: dict[str, str]
    mode: str
    contestants: list[Contestant]
    flops: int = 0
    uncompared: tuple[str, ...] = ()
    witness: Contestant | None = None
    exact: Callable[[], Arrays] | None = None


def norm_errors(found: Arrays, wanted: Arrays) -> dict[str, float]:
    """The norm-relative error of each array; endless where the arrays themselves differ."""
    if found.keys() != wanted.keys():
        return {f"names {sorted(found)} and {sorted(wanted)}": np.inf}
    errors = {}
    for name in wanted:
        own, other = (np.asarray(arrays[name], dtype=np.float64) for arrays in (found, wanted))
        # A gradient may be exactly zero, as that of the recurrent weights after one step from zero.
        scale = max(float(np.linalg.norm(other)), _TINY)
        errors[name] = float(np.linalg.norm(own - other)) / scale if own.shape == other.shape else np.inf
    return errors


def check(race: Race) -> tuple[dict[str, float], str]:
    """Compare everybody's numbers with the first one's.

    Returns:
        name -> worst error, and a sentence where one is above the tolerance and float32 does not excuse it.
    """
    ours, *others = race.contestants
    if race.witness is not None:
        others.append(race.witness)
    wanted = _numbers(ours, race.mode)
    errors, complaint = {}, ""
    for other in (other for other in others if other.name not in race.uncompared):
        found = _numbers(other, race.mode)
        each = norm_errors(found, wanted)
        where, errors[other.name] = max(each.items(), key=lambda item: np.nan_to_num(item[1], nan=np.inf))
        if errors[other.name] <= TOLERANCE or (race.exact is not None and _is_rounding(wanted, found, race.exact())):
            continue
        complaint = f"{other.name} and {ours.name} differ by {errors[other.name]:.1e} in {where}"
    return errors, complaint


def _is_rounding(ours: Arrays, theirs: Arrays, exact: Arrays) -> bool:
    """Whether ours is not much farther from the exact numbers than theirs: then the sum itself is ill-conditioned."""
    own, other = norm_errors(ours, exact), norm_errors(theirs, exact)
    return all(own[name] <= max(TOLERANCE, _EXCUSED * other.get(name, 0.0)) for name in own)


def run_races(races: Sequence[Race], settings: Settings, clock: str) -> list[dict]:
    """Check all, then measure all, round after round.

    Returns:
        A row for each race, ready for JSON: labels, mode, flops, paths, errors, complaint, names, and rounds (a list of
        name -> sample); no rounds where there is a complaint.
    """
    rows = []
    for race in races:
        errors, complaint = check(race)
        if complaint:
            say(f"  {_title(race)}: {complaint}")
        rows.append(
            {
                "labels": race.labels,
                "mode": race.mode,
                "flops": race.flops,
                "names": [contestant.name for contestant in race.contestants],
                "paths": {contestant.name: contestant.path() for contestant in race.contestants},
                "errors": errors,
                "complaint": complaint,
                "clock": clock,
                "rounds": [],
            }
        )
    for number in range(settings.rounds):
        for race, row in zip(races, rows, strict=True):
            if row["complaint"]:
                continue
            calls = [contestant.calls[race.mode] for contestant in race.contestants]
            samples = alternate(calls, CLOCKS[clock], settings.budget_seconds)
            row["rounds"].append({name: s.to_dict() for name, s in zip(row["names"], samples, strict=True)})
            times = "  ".join(f"{n} {s.median * 1e3:.3f} ms" for n, s in zip(row["names"], samples, strict=True))
            say(f"  round {number + 1}/{settings.rounds} {_title(race)}: {times}")
    return rows


def ratio(row: dict, peer: str, ours: str, figure: str = "median") -> float | None:
    """Peer's time / ours: the geometric mean over the rounds; None where it was not measured."""
    if not row["rounds"]:
        return None
    return geometric_mean([samples[peer][figure] / samples[ours][figure] for samples in row["rounds"]])


def milliseconds(row: dict, name: str) -> float | None:
    """The geometric mean of the rounds' medians."""
    if not row["rounds"]:
        return None
    return 1e3 * geometric_mean([samples[name]["median"] for samples in row["rounds"]])


def complaints(rows: Sequence[dict]) -> list[str]:
    """A sentence for each row whose contestants disagree."""
    return [f"{json.dumps(row['labels'])} {row['mode']}: {row['complaint']}" for row in rows if row["complaint"]]


def _numbers(contestant: Contestant, mode: str) -> Arrays:
    return contestant.read[mode](contestant.calls[mode].run())


def _title(race: Race) -> str:
    return " ".join([*race.labels.values(), race.mode])
