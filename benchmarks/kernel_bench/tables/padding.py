"""Rows of unequal length: ours with `lengths` beside the full batch, and torch.nn with packing and unpacking."""

from __future__ import annotations

import copy

import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from ..cases import Problem, Settings, cases
from ..contest import Contestant, Race, milliseconds, ratio, run_races
from ..markdown import number, table
from ..peers import torch_layers


def measure(peer: str, settings: Settings, clock: str) -> list[dict]:
    """Ours padded and full, torch's packed and full, alternating; lengths uniform in 1..T."""
    races = []
    for case in cases(settings):
        if case.batch_size == 1:
            continue
        problem = Problem(case)
        generator = torch.Generator().manual_seed(2)
        lengths = torch.randint(1, case.num_steps + 1, (case.batch_size,), generator=generator)
        ours = torch_layers.our_layer(problem)
        contestants = [
            torch_layers.layer_contestant("recurra", ours, problem, lengths=lengths),
            torch_layers.layer_contestant("recurra full", ours, problem),
            _packed(problem, lengths),
            torch_layers.layer_contestant("torch full", problem.layer, problem),
        ]
        real = float(lengths.sum()) / (case.batch_size * case.num_steps)
        labels = {**case.labels, "real steps": f"{100 * real:.0f} %"}
        races += [Race(labels, mode, contestants, uncompared=("recurra full", "torch full")) for mode in settings.modes]
    return run_races(races, settings, clock)


def render(results: dict[str, list[dict]], environment: dict) -> str:
    """One line a race."""
    lines = [
        [
            *row["labels"].values(),
            row["mode"],
            number(milliseconds(row, "recurra"), 3),
            number(ratio(row, "recurra", "recurra full"), 2),
            number(ratio(row, "torch packed", "recurra"), 2),
            number(ratio(row, "torch full", "recurra"), 2),
            row["paths"]["recurra"],
            row["complaint"],
        ]
        for row in results["torch"]
    ]
    head = ["cell", "(T,B,I,H)", "real steps", "mode", "ms", "padded / our full batch", "torch packed / ours"]
    return "\n".join(["## Lengths uniform in 1..T", "", table([*head, "torch full batch / ours", "path", ""], lines)])


def _packed(problem: Problem, lengths: torch.Tensor) -> Contestant:
    """torch.nn's layer with packing before and unpacking behind it, as its users write it."""
    forwards = {}
    modules = {"train": copy.deepcopy(problem.layer).train(), "inference": copy.deepcopy(problem.layer).eval()}
    for mode, module in modules.items():

        def forward(x: torch.Tensor, module: torch.nn.Module = module) -> torch.Tensor:
            packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
            return pad_packed_sequence(module(packed)[0], batch_first=True, total_length=x.shape[1])[0]

        forwards[mode] = forward
    named = {name.removesuffix("_l0"): weight for name, weight in modules["train"].named_parameters()}
    return torch_layers.contestant("torch packed", forwards, named, problem)
