"""Convolutions over padded sequences: padding stands for nothing, as what is beyond either end of a row does."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from recurra.core.config import Config
from recurra.core.errors import ShapeError
from recurra.core.sequences import Sequences, mask_from_lengths
from recurra.kernels.rows import clear_padding


class ConvolutionConfig(Config):
    """A stack of convolutions over time, each with batch normalisation and ReLU."""

    filters: tuple[int, ...] = Field((128, 256, 128), min_length=1, description="output channels of each convolution")
    kernel_sizes: tuple[int, ...] = Field((8, 5, 3), description="steps that each convolution looks at")
    strides: tuple[int, ...] = Field((), description="steps from one output to the next, of each; empty: 1 throughout")
    dropout: float = Field(0.0, ge=0, lt=1, description="channels that each convolution's output loses in training")

    @model_validator(mode="after")
    def _one_of_each(self) -> ConvolutionConfig:
        if len(self.kernel_sizes) != len(self.filters) or len(self.strides) not in (0, len(self.filters)):
            raise ValueError("filters, kernel_sizes and strides must have as many entries each (strides may be empty)")
        if min(*self.filters, *self.kernel_sizes, *self.strides, 1) < 1:
            raise ValueError("filters, kernel_sizes and strides must be 1 or more")
        return self

    def build(self, input_size: int) -> Convolutions:
        """The stack for inputs of `input_size` features."""
        return Convolutions(input_size, self)


class Convolutions(nn.Module):
    """Convolution, batch normalisation over the real steps, ReLU; several times over.

    A stack with strides 1 keeps the length; else a row of T steps has ceil(T / stride) steps after each convolution;
    rows without a step are given one step of padding.

    Attributes:
        output_size: channels of an output step.
    Reference: Wang, Yan and Oates (2017), section II-B, https://arxiv.org/abs/1611.06455.
    """

    def __init__(self, input_size: int, config: ConvolutionConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or ConvolutionConfig()
        self.input_size, self.output_size = input_size, config.filters[-1]
        strides = config.strides or (1,) * len(config.filters)
        sizes = zip((input_size, *config.filters), config.filters, config.kernel_sizes, strides, strict=False)
        self.blocks = nn.ModuleList(_Block(*block) for block in sizes)

    def forward(self, inputs: Sequences) -> Sequences:
        """(B, T, input_size) -> (B, T', output_size), zero on padding.

        Raises:
            ShapeError: another last axis.
        """
        if inputs.data.dim() != 3 or inputs.data.shape[2] != self.input_size:
            raise ShapeError(
                f"Convolutions(input_size={self.input_size}) got data of shape {tuple(inputs.data.shape)}: (B, T, "
                f"{self.input_size}) is wanted."
            )
        if inputs.num_steps == 0:
            inputs = Sequences(F.pad(inputs.data, (0, 0, 0, 1)), inputs.data.new_zeros(inputs.batch_size).long())
        hidden, lengths = clear_padding(inputs.data, inputs.lengths).transpose(1, 2), inputs.lengths
        for block in self.blocks:
            hidden, lengths = block(hidden, lengths)
            hidden = F.dropout1d(hidden, self.config.dropout, self.training)
        return Sequences(hidden.transpose(1, 2), lengths)

    def layer_parameters(self) -> list[list[nn.Parameter]]:
        """The parameters of each convolution with its normalisation, first to last."""
        return [list(block.parameters()) for block in self.blocks]

    def extra_repr(self) -> str:
        """For `print(model)`."""
        return f"{self.input_size}, output_size={self.output_size}"


class _Block(nn.Module):
    """One convolution with what follows it; (B, C, T) throughout."""

    def __init__(self, input_size: int, output_size: int, kernel_size: int, stride: int) -> None:
        super().__init__()
        self.before, self.stride = (kernel_size - 1) // 2, stride
        self.after = kernel_size - 1 - self.before
        self.weight = nn.Parameter(torch.empty(output_size, input_size, kernel_size))
        self.norm = StepNorm(output_size)
        nn.init.xavier_uniform_(self.weight)

    def forward(self, xs: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """(B, C, T) -> (B, C', T') and its lengths; both zero on padding."""
        hidden = F.conv1d(F.pad(xs, (self.before, self.after)), self.weight, stride=self.stride)
        lengths = None if lengths is None else (lengths + self.stride - 1) // self.stride
        return torch.relu(self.norm(hidden, lengths)), lengths


class StepNorm(nn.Module):
    """Batch normalisation whose mean and variance are those of the real steps of all rows.

    Args:
        size: channels.
        momentum: least weight of a batch in the running mean and variance, which stand in evaluation; the first batches
            count alike, so that a short training leaves no trace of the values at the start.
    Reference: Ioffe and Szegedy (2015), https://arxiv.org/abs/1502.03167.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches: Tensor

    def __init__(self, size: int, momentum: float = 0.05) -> None:
        super().__init__()
        self.momentum = momentum
        self.weight, self.bias = nn.Parameter(torch.ones(size)), nn.Parameter(torch.zeros(size))
        self.register_buffer("running_mean", torch.zeros(size))
        self.register_buffer("running_var", torch.ones(size))
        self.register_buffer("num_batches", torch.zeros(()))

    def forward(self, xs: Tensor, lengths: Tensor | None) -> Tensor:
        """(B, C, T) and (B,) lengths or None -> (B, C, T), zero on padding."""
        if lengths is None:
            return self._normalise(xs, xs.shape[0] * xs.shape[2])
        batch_size, channels, num_steps = xs.shape
        mask = mask_from_lengths(lengths, batch_size, num_steps, xs.device)
        real = mask.reshape(-1).nonzero()[:, 0]
        steps = xs.transpose(1, 2).reshape(batch_size * num_steps, channels)
        normed = self._normalise(steps.index_select(0, real), len(real))
        spread = steps.new_zeros(steps.shape).index_copy(0, real, normed)
        return spread.reshape(batch_size, num_steps, channels).transpose(1, 2)

    def _normalise(self, xs: Tensor, count: int) -> Tensor:
        """(N, C) or (B, C, T); one value alone has no variance, and the running ones stand in."""
        if not self.training or count < 2:
            return F.batch_norm(xs, self.running_mean, self.running_var, self.weight, self.bias)
        mean, variance = torch.zeros_like(self.running_mean), torch.zeros_like(self.running_var)
        normed = F.batch_norm(xs, mean, variance, self.weight, self.bias, True, 1.0)
        self.num_batches.add_(1)
        weight = (1 / self.num_batches).clamp(min=self.momentum)
        self.running_mean.lerp_(mean, weight)
        self.running_var.lerp_(variance, weight)
        return normed
