"""What each option costs: its time / that of our own plain cell, and beside torch.nn's plain layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from recurra.cells import CELLS
from recurra.core.errors import ConfigError
from recurra.kernels import dispatch

from ..cases import Case, Problem, Settings, cases
from ..clock import say
from ..contest import Contestant, Race, milliseconds, ratio, run_races
from ..markdown import number, table
from ..peers import torch_layers

_RESET_SHARE = 0.05


@dataclass(frozen=True)
class Option:
    """One option.

    Attributes:
        name: for the table.
        kinds: of cells that have it.
        of_cell: arguments of the cell's constructor, from the case.
        of_layer: keyword arguments of the recurra.nn layer's constructor, where it is an option of the layer.
        of_call: keyword arguments of the call, from the case.
        random: in training it draws at random, so that no reference can have the same numbers.
        modes: where it acts.
    """

    name: str
    kinds: Sequence[str] = ("lstm", "gru")
    of_cell: Callable[[Case], dict[str, Any]] | None = None
    of_layer: dict[str, Any] = field(default_factory=dict)
    of_call: Callable[[Case], dict[str, Any]] = lambda case: {}
    random: bool = False
    modes: Sequence[str] = ("train", "inference")


def _resets(case: Case) -> dict[str, Any]:
    drawn = torch.rand(case.batch_size, case.num_steps, generator=torch.Generator().manual_seed(1))
    return {"reset": drawn < _RESET_SHARE}


def _full_lengths(case: Case) -> dict[str, Any]:
    return {"lengths": torch.full((case.batch_size,), case.num_steps)}


OPTIONS = (
    Option("peephole", ("lstm",), lambda case: {"peephole": True}),
    Option("coupled gates", ("lstm",), lambda case: {"coupled": True}),
    Option("cell_clip 3", ("lstm",), lambda case: {"cell_clip": 3.0}),
    Option("projection to H/2", ("lstm",), lambda case: {"proj_size": max(1, case.hidden_size // 2)}),
    Option("reset before product", ("gru",), lambda case: {"reset_after": False}),
    Option("layer norm", of_cell=lambda case: {"layer_norm": True}),
    Option("reverse", of_cell=lambda case: {}, of_call=lambda case: {"reverse": True}),
    Option("zoneout 0.1", of_layer={"zoneout": 0.1}, random=True),
    Option("recurrent dropout 0.25", of_layer={"recurrent_dropout": 0.25}, random=True, modes=("train",)),
    Option("weight drop 0.5", of_layer={"weight_drop": 0.5}, random=True, modes=("train",)),
    Option("resets at 5 % of steps", of_call=_resets),
    Option("full lengths", of_call=_full_lengths),
)


def measure(peer: str, settings: Settings, clock: str) -> list[dict]:
    """The option, our plain cell or layer, and torch.nn's plain layer, alternating."""
    races, missing = [], []
    for case in cases(settings):
        problem = Problem(case)
        plain_of = {True: _cell(case, problem), False: torch_layers.build_ours(problem)}
        plain_of[True].name = plain_of[False].name = "plain"
        torchs = torch_layers.build(problem, settings)
        for option in (option for option in OPTIONS if case.kind in option.kinds):
            labels = {**case.labels, "option": option.name}
            try:
                own, witness = _build(option, problem)
            except ConfigError as error:
                say(f"  {' '.join(labels.values())}: left out, {error}")
                missing.append(f"{labels['cell']} {option.name}")
                continue
            for mode in (mode for mode in option.modes if mode in settings.modes):
                sure = None if option.random and mode == "train" else witness
                contestants = [own, plain_of[option.of_cell is not None], torchs]
                races.append(Race(labels, mode, contestants, uncompared=("plain", "torch"), witness=sure))
    # A row that was not measured, so that the report can name what is missing.
    absent = {"labels": {}, "mode": "", "rounds": [], "complaint": "", "missing": sorted(set(missing))}
    return [absent, *run_races(races, settings, clock)]


def render(results: dict[str, list[dict]], environment: dict) -> str:
    """One line a race."""
    absent, *rows = results["torch"]
    lines = [
        [
            *(row["labels"][name] for name in ("cell", "option", "shape")),
            row["mode"],
            number(milliseconds(row, "option"), 3),
            number(ratio(row, "option", "plain"), 2),
            number(ratio(row, "torch", "option"), 2),
            row["paths"]["option"],
            row["complaint"],
        ]
        for row in sorted(rows, key=lambda row: (row["labels"]["cell"], row["labels"]["option"]))
    ]
    head = ["cell", "option", "(T,B,I,H)", "mode", "ms", "option / our plain", "torch.nn plain / option", "path", ""]
    lacking = [f"Not an option yet: {', '.join(absent['missing'])}.", ""] if absent["missing"] else []
    return "\n".join(
        [*lacking, "## Time of each option / time of our plain cell (below 1.1 is cheap)", "", table(head, lines)]
    )


def _build(option: Option, problem: Problem) -> tuple[Contestant, Contestant]:
    """The contestant, and the same by the plain reference."""
    case, given = problem.case, option.of_call(problem.case)
    if option.of_cell is not None:
        module: nn.Module = CELLS[case.kind](case.input_size, case.hidden_size, **option.of_cell(case))
    else:
        module = torch_layers.our_layer(problem, **option.of_layer)
    own = torch_layers.layer_contestant("option", module, problem, **given)
    witness = torch_layers.layer_contestant("reference", _ByReference(module), problem, **given)
    return own, witness


def _cell(case: Case, problem: Problem) -> Contestant:
    return torch_layers.layer_contestant("plain", CELLS[case.kind](case.input_size, case.hidden_size), problem)


class _ByReference(nn.Module):
    """A module run by the loop in plain torch."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *args: Any, **options: Any) -> Any:
        with dispatch.use("reference"):
            return self.module(*args, **options)

    def named_parameters(self, *args: Any, **options: Any) -> Any:
        """Under the module's own names."""
        return self.module.named_parameters(*args, **options)
