"""Recurrent stacks of which each reads every d-th step.

Reference: Chang et al. (2017), https://arxiv.org/abs/1710.02224; between the stacks, inputs are added to outputs, as in
Smyl (2020), https://doi.org/10.1016/j.ijforecast.2019.03.017.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from recurra.core.errors import ConfigError
from recurra.core.sequences import Sequences
from recurra.layers.recurrent import Recurrent, RecurrentConfig
from recurra.layers.scaling import last_step


class DilatedRecurrent(nn.Module):
    """One stack a dilation d: step t goes on from the state after step t - d.

    Args:
        input_size: features of a step.
        config: of each stack, with its `num_layers`.
        dilations: of the stacks, first to last.
    Attributes:
        output_size: features of an output step.
    Raises:
        ConfigError: a bidirectional stack.
    """

    def __init__(self, input_size: int, config: RecurrentConfig, dilations: Sequence[int]) -> None:
        super().__init__()
        if config.bidirectional:
            raise ConfigError("a dilated stack is causal: set bidirectional=false.")
        self.dilations = tuple(dilations)
        stacks: list[Recurrent] = []
        for _ in self.dilations:
            stacks.append(Recurrent(stacks[-1].output_size if stacks else input_size, config))
        self.stacks = nn.ModuleList(stacks)
        self.output_size = stacks[-1].output_size

    def forward(self, inputs: Sequences) -> Sequences:
        """(B, T, input_size) -> (B, T, output_size)."""
        for stack, dilation in zip(self.stacks, self.dilations, strict=True):
            folded = fold(inputs, dilation)
            outputs = unfold(stack(folded).outputs.data, dilation, inputs.num_steps)
            adds = outputs.shape[-1] == inputs.data.shape[-1]
            inputs = inputs.with_data(outputs + inputs.data if adds else outputs)
        return inputs

    def last(self, outputs: Sequences) -> Tensor:
        """(B, output_size) at each row's end."""
        return last_step(outputs.data, outputs)


def fold(sequences: Sequences, dilation: int) -> Sequences:
    """Every d-th step as a row of its own: (B, T, D) -> (B d, ceil(T / d), D); row b d + k holds steps k, k + d, ..."""
    if dilation == 1:
        return sequences
    data, count = sequences.data, sequences.batch_size
    steps = -(-sequences.num_steps // dilation)
    padded = nn.functional.pad(data, (0, 0, 0, steps * dilation - sequences.num_steps))
    folded = padded.reshape(count, steps, dilation, data.shape[-1]).transpose(1, 2).flatten(0, 1)
    lengths = torch.full((count,), sequences.num_steps) if sequences.lengths is None else sequences.lengths
    offsets = torch.arange(dilation, device=data.device)
    own = (lengths.to(data.device)[:, None] - offsets + dilation - 1).clamp(min=0) // dilation
    return Sequences(folded, own.flatten())


def unfold(data: Tensor, dilation: int, num_steps: int) -> Tensor:
    """The way back: (B d, ceil(T / d), D) -> (B, T, D)."""
    if dilation == 1:
        return data
    shape = (len(data) // dilation, dilation, *data.shape[1:])
    return data.reshape(shape).transpose(1, 2).flatten(1, 2)[:, :num_steps]
