"""Random and extreme shapes: where is ours slower than torch.nn?"""

from __future__ import annotations

import itertools
import math
import random
from dataclasses import replace
from functools import partial

from ..cases import MODES, TITLES, Case, Problem, Settings, Shape
from ..clock import geometric_mean, say
from ..contest import TOLERANCE, Race, milliseconds, ratio, run_races
from ..markdown import number, table
from ..peers import torch_layers

_LARGEST = 2048
_SLOWER = 0.97
# Training at 30 GF/s takes 0.2 s; the two others bound the pointwise work and the inputs.
_MAX_TRAIN_FLOPS, _MAX_OUTPUTS, _MAX_INPUTS = 6e9, 4e6, 2e7
# A first look is short: rows that seem slow are measured again with the whole budget.
_LOOK = 0.1


def measure(peer: str, settings: Settings, clock: str) -> list[dict]:
    """A short look at all shapes, then the rounds for those that seem slower; only the rounds count there."""
    look = replace(settings, rounds=min(settings.rounds, 1), budget_seconds=settings.budget_seconds * _LOOK)
    rows = []
    for kind in settings.cells:
        for shape in _shapes(kind, settings):
            case = Case(kind, *shape)
            found = run_races(_races(case, settings), look, clock)
            slow = [row["mode"] for row in found if row["rounds"] and ratio(row, "torch", "recurra") < _SLOWER]
            if slow:
                say("  again:")
                again = run_races(_races(case, replace(settings, modes=tuple(slow))), settings, clock)
                found = [row for row in found if row["mode"] not in slow] + again
            rows += found
    return rows


def render(results: dict[str, list[dict]], environment: dict) -> str:
    """A summary for each cell and mode, then every row that is slower."""
    rows = results["torch"]
    summary = []
    for title, mode in itertools.product(TITLES.values(), MODES):
        own = [row for row in rows if (row["labels"]["cell"], row["mode"]) == (title, mode) and row["rounds"]]
        if own:
            ratios = sorted(ratio(row, "torch", "recurra") for row in own)
            figures = [ratios[0], ratios[len(ratios) // 10], geometric_mean(ratios), ratios[-1]]
            slower = sum(value < _SLOWER for value in ratios)
            summary.append([title, mode, str(len(own)), *(number(value, 2) for value in figures), str(slower)])
    measured = [row for row in rows if row["rounds"]]
    slow = sorted((row for row in measured if ratio(row, "torch", "recurra") < _SLOWER), key=_ratio)
    lines = [
        [
            *row["labels"].values(),
            row["mode"],
            number(milliseconds(row, "torch"), 4),
            number(milliseconds(row, "recurra"), 4),
            number(ratio(row, "torch", "recurra"), 2),
            row["paths"]["recurra"],
        ]
        for row in slow
    ]
    wrong = [
        f"- {row['labels']['cell']} {row['labels']['shape']}: {row['complaint']}" for row in rows if row["complaint"]
    ]
    head = ["cell", "mode", "rows", "lowest", "10th percentile", "geometric mean", "highest", "slower by > 3 %"]
    parts = ["## torch.nn / recurra over T, B, I, H in 1..2048, log-uniform, and the corners", "", table(head, summary)]
    parts += ["", "## Every row where recurra is slower by more than 3 %", ""]
    parts.append(
        table(["cell", "(T,B,I,H)", "mode", "torch ms", "recurra ms", "ratio", "path"], lines) if lines else "None."
    )
    excused = sum(not row["complaint"] and max(row["errors"].values()) > TOLERANCE for row in rows)
    parts += ["", f"Rows where float32 itself is off by more than {TOLERANCE}, by float64: {excused}."]
    if wrong:
        parts += ["", "## Not timed, since the numbers differ", "", *wrong]
    return "\n".join(parts)


def _races(case: Case, settings: Settings) -> list[Race]:
    problem = Problem(case)
    contestants = [torch_layers.build_ours(problem), torch_layers.build(problem, settings)]
    return [
        Race(case.labels, mode, contestants, case.flops(mode), exact=partial(torch_layers.exact, problem, mode))
        for mode in settings.modes
    ]


def _shapes(kind: str, settings: Settings) -> list[Shape]:
    """The corners of 1..2048 that are small enough, then random ones; the same for every run of a seed."""
    found = [shape for shape in itertools.product((1, _LARGEST), repeat=4) if _fits(kind, shape)]
    generator = random.Random(f"{settings.seed} {kind}")
    while settings.sweep_rows > 0:
        drawn = [round(math.exp(generator.uniform(0, math.log(_LARGEST)))) for _ in range(4)]
        shape = drawn[0], drawn[1], drawn[2], drawn[3]
        if _fits(kind, shape):
            found.append(shape)
            settings = replace(settings, sweep_rows=settings.sweep_rows - 1)
    return found


def _fits(kind: str, shape: Shape) -> bool:
    num_steps, batch_size, input_size, hidden_size = shape
    num_rows = num_steps * batch_size
    small = num_rows * hidden_size <= _MAX_OUTPUTS and num_rows * input_size <= _MAX_INPUTS
    return small and Case(kind, *shape).flops("train") <= _MAX_TRAIN_FLOPS


def _ratio(row: dict) -> float:
    return ratio(row, "torch", "recurra") or 0.0
