"""Comparisons and slices as lines for the terminal and as JSON values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from recurra.comparison.findings import Comparison, Cost, Row
from recurra.comparison.significance import Interval
from recurra.comparison.slices import Slicing
from recurra.core.files import json_values
from recurra.runs.axes import display_width

SIGNIFICANT = 0.05
SENTENCES = {
    "en": {
        "better": "{} is better than {} ({}, {}, {}).",
        "worse": "{} is worse than {} ({}, {}, {}).",
        "same": "{} and {} can't be told apart on these items ({}, {}, {}).",
        "few": "{} against {}: {}, on too few items to tell it from chance.",
        "bootstrap": "paired bootstrap",
        "baseline": "No run beats the baseline {}: {}.",
        "seeds": "Items alone are drawn anew, not the training: where a row is of one seed, another may change it.",
    },
    "zh": {
        "better": "{} 优于 {}（{}，{}，{}）。",
        "worse": "{} 不如 {}（{}，{}，{}）。",
        "same": "在这些样本上无法区分 {} 与 {}（{}，{}，{}）。",
        "few": "{} 与 {} 相差 {}，但样本太少，无法与偶然区分。",
        "bootstrap": "配对自助法",
        "baseline": "没有一个运行胜过基线 {}：{}。",
        "seeds": "这里只重抽了样本，没有重新训练：只有一个种子的行，换一个种子结果可能不同。",
    },
}


def comparison_lines(found: Comparison) -> list[str]:
    """A table, a line for each row and baseline, then what can be said of it."""
    less = "less" if found.wanted == "min" else "more"
    title = f"{found.task}, {found.split} ({found.num_items:,} items): {found.tag}, {less} is better"
    head = ["", found.tag, "95 %", "difference", "95 %", "p", "McNemar", "core-s", "weights", "MB", "ms/item"]
    table = [head, *(_cells(row) for row in found.rows)]
    table += [
        [f"baseline: {name}", figure(figures[found.tag]), *[""] * (len(head) - 2)]
        for name, figures in found.baselines.items()
    ]
    used = [place for place in range(len(head)) if any(row[place] for row in table[1:])]
    return [title, "", *aligned([[row[place] for place in used] for row in table]), "", *verdicts(found)]


def verdicts(found: Comparison, lang: Literal["en", "zh"] = "en") -> list[str]:
    """Sentences: each row against the reference, and the best row against the best baseline."""
    say = SENTENCES[lang]
    reference = next(row for row in found.rows if row.name == found.reference)
    said = []
    for row in found.rows:
        if (gap := row.difference) is None:
            continue
        p, test = (gap.p, say["bootstrap"]) if gap.mcnemar is None else (gap.mcnemar, "McNemar")
        if p is None:
            said.append(say["few"].format(row.name, reference.name, signed(gap.mean)))
            continue
        better = found.better(row.figure.mean, reference.figure.mean)
        key = "same" if p >= SIGNIFICANT else "better" if better else "worse"
        chance = "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
        said.append(say[key].format(row.name, reference.name, signed(gap.mean), chance, test))
    best = found.rows[0]
    name = next(iter(found.baselines), None)
    if name is not None and not found.better(best.figure.mean, found.baselines[name][found.tag]):
        said.append(say["baseline"].format(name, figure(found.baselines[name][found.tag])))
    if len(found.rows) > 1 and any(len(row.runs) == 1 for row in found.rows):
        said.append(say["seeds"])
    return said


def comparison_json(found: Comparison) -> dict[str, Any]:
    """All of it as JSON values."""
    values: dict[str, Any] = json_values(found)
    return values | {"verdicts": verdicts(found)}


def slicing_lines(found: Slicing) -> list[str]:
    """A table of the parts, and a sentence that names the weakest."""
    head = [found.by, "items", found.tag, "95 %", "loss"]
    table = [head]
    for part in found.parts:
        table.append([part.name, f"{part.items:,}", figure(part.figure), span(part.interval), f"{part.loss:.3g}"])
    used = [place for place in range(len(head)) if any(row[place] for row in table[1:])]
    lines = aligned([[row[place] for place in used] for row in table])
    if found.left_out:
        lines.append(f"(and {found.left_out:,} smaller parts)")
    return [*lines, "", weakest(found)]


def weakest(found: Slicing) -> str:
    """Which parts are clearly worse than the whole."""
    if not found.weak:
        return f"by {found.by}: no part is clearly worse than the whole ({found.tag} {figure(found.whole)})."
    figures = {part.name: part for part in found.parts}
    named = "; ".join(
        f"{name} ({figures[name].items:,} items): {figure(figures[name].figure)}" for name in found.weak[:3]
    )
    return f"by {found.by}: weakest {named}, against {found.tag} {figure(found.whole)} of all."


def slicing_json(found: Slicing) -> dict[str, Any]:
    """All of it as JSON values; what is not defined is None."""
    values: dict[str, Any] = json_values(found)
    return values


def aligned(table: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells as lines: the first column to the left, the others to the right."""
    widths = [max(display_width(row[place]) for row in table) for place in range(len(table[0]))]
    lines = []
    for row in table:
        cells = [row[0] + " " * (widths[0] - display_width(row[0]))]
        cells += [" " * (width - display_width(cell)) + cell for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return lines


def figure(value: float) -> str:
    """Four significant places, and as many behind the point of what is below 1."""
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.2f}"


def signed(value: float) -> str:
    """With its sign."""
    return ("+" if value >= 0 else "-") + figure(abs(value))


def spread(row: Row) -> str:
    """Mean, and over several seeds the deviation."""
    own = row.figure
    return figure(own.mean) if own.deviation is None else f"{figure(own.mean)} ± {figure(own.deviation)}"


def span(own: Interval | None, shown: Callable[[float], str] = figure) -> str:
    """Both ends of an interval; nothing where there is none."""
    return "" if own is None else f"{shown(own.low)} to {shown(own.high)}"


def seconds(cost: Cost) -> str:
    """Core-seconds of the training, and behind a plus those of what it started from."""
    own = "" if cost.core_seconds is None else f"{cost.core_seconds:,.0f}"
    return own if cost.pretraining is None else f"{own} + {cost.pretraining:,.0f}"


def _cells(row: Row) -> list[str]:
    cost, gap = row.cost, row.difference
    seeds = f" ({len(row.runs)} seeds)" if len(row.runs) > 1 else ""
    cells = [row.name + seeds, spread(row), span(row.interval)]
    if gap is None:
        cells += ["(reference)", "", "", ""]
    else:
        chances = ("" if p is None else f"{p:.4f}" for p in (gap.p, gap.mcnemar))
        cells += [signed(gap.mean), span(gap.interval, signed), *chances]
    return [*cells, seconds(cost), f"{cost.parameters:,}", f"{cost.num_bytes / 1e6:.1f}", f"{cost.milliseconds:.3g}"]
