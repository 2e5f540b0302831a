"""The search space of a run that names none: its own values, and what lies around them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from recurra.core.config import flatten
from recurra.runs import RunConfig
from recurra.runs.tune_options import Range, Values

_CELLS = ["lstm", "gru"]
_SECTIONS = ("model", "model.member", "optimizer", "training")
_SHAPE = ("hidden_size", "num_layers", "cell", "forget_bias")
"""Options that decide the shape or the start of the weights: those of a saved model stay what they are."""


def default_space(config: RunConfig) -> dict[str, Values]:
    """What usually decides how well a recurrent model learns, where the run has such an option."""
    values = config.model_dump(mode="json")
    found: dict[str, Values] = {}
    for name, value in flatten(values).items():
        section, _, option = name.rpartition(".")
        if section in _SECTIONS and option in _AROUND:
            found[name] = _AROUND[option](value)
        elif name in ("model.cell.kind", "model.member.cell.kind"):
            found |= {section: list(dict.fromkeys([value, *_CELLS])), f"{section}.forget_bias": [0.0, 1.0, 2.0]}
        elif "dropout" in name and isinstance(value, float) and (value > 0 or name in _DROPOUTS):
            found[name] = Range(low=0.0, high=max(0.6, value))
    if config.task.kind != "language-modelling":
        del found["training.tbptt_length"]
    if config.finetune is not None:
        return {name: entry for name, entry in found.items() if name.rpartition(".")[2] not in _SHAPE}
    return found


def _sizes(value: int) -> list[int]:
    return sorted({max(1, value // 2), value, 2 * value})


def _clips(value: float) -> Values:
    return Range(low=value / 4, high=value * 4, log=True) if value else [0.0, 0.25, 1.0, 5.0]


_DROPOUTS = ("model.dropout.input", "model.dropout.output", "model.member.dropout.input", "model.member.dropout.output")
_AROUND: dict[str, Callable[[Any], Values]] = {
    "learning_rate": lambda value: Range(low=value / 5, high=value * 5, log=True),
    "clip_norm": _clips,
    "batch_size": _sizes,
    "tbptt_length": _sizes,
    "hidden_size": _sizes,
    "num_layers": lambda value: sorted({1, 2, value}),
}
