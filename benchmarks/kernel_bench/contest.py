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
    """

    labels: dict[str, str]
    mode: str
    contestants: list[Contestant]
    flops: int = 0
    uncompared: tuple[str, ...] = ()
    witness: Contestant | None = None


def disagreement(found: Arrays, wanted: Arrays) -> tuple[float, str]:
    """The worst norm-relative error over all arrays, and its name."""
    if found.keys() != wanted.keys():
        return np.inf, f"names: {sorted(found)} and {sorted(wanted)}"
    worst = (0.0, "")
    for name in wanted:
        own, other = (np.asarray(arrays[name], dtype=np.float64) for arrays in (found, wanted))
        if own.shape != other.shape:
            return np.inf, f"shape {own.shape} of {name}"
        # A gradient may be exactly zero, as that of the recurrent weights after one step from zero.
        scale = max(float(np.linalg.norm(other)), 1e-6)
        error = float(np.linalg.norm(own - other)) / scale
        if not error <= worst[0]:
            worst = (error, name)
    return worst


def check(race: Race) -> tuple[dict[str, float], str]:
    """Compare everybody's numbers with the first one's.

    Returns:
        name -> error, and a sentence where one is above the tolerance.
    """
    ours, *others = race.contestants
    if race.witness is not None:
        others.append(race.witness)
    wanted = _numbers(ours, race.mode)
    errors, complaint = {}, ""
    for other in (other for other in others if other.name not in race.uncompared):
        error, where = disagreement(_numbers(other, race.mode), wanted)
        errors[other.name] = error
        if not error <= TOLERANCE:
            complaint = f"{other.name} and {ours.name} differ by {error:.1e} in {where}"
    return errors, complaint


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
