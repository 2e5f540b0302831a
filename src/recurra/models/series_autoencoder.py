"""A recurrent autoencoder of windows of series: a few numbers must be enough to tell each window again.

Reference: Malhotra et al. (2016), the window told backwards from the encoder's last state,
https://arxiv.org/abs/1607.00148.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from recurra.cells import CellConfig, GRUConfig
from recurra.core.batch import ModelOutput, TaskSpec
from recurra.core.config import Config
from recurra.core.errors import ConfigError
from recurra.core.outputs import Forecast
from recurra.core.sequences import Sequences
from recurra.core.state import State
from recurra.layers import Recurrent, RecurrentConfig


class SeriesAutoencoderConfig(RecurrentConfig):
    """An autoencoder; its encoder and decoder are alike."""

    kind: Literal["series-autoencoder"] = "series-autoencoder"
    cell: CellConfig = Field(default=GRUConfig(), description="kind and options of the cells")
    hidden_size: int = Field(default=32, ge=1, description="of every layer of encoder and decoder")
    latent_size: int = Field(default=8, ge=1, description="numbers that a whole window is squeezed into")


class SeriesAutoencoder(nn.Module):
    """Tells windows again from their squeezed form."""

    Config: ClassVar[type[Config]] = SeriesAutoencoderConfig

    def __init__(self, config: SeriesAutoencoderConfig, spec: TaskSpec) -> None:
        super().__init__()
        if config.bidirectional:
            raise ConfigError(
                "`model.bidirectional`: an autoencoder's window ends with its last step; set it to false."
            )
        if spec.window is None or spec.window.horizon != 0:
            raise ConfigError("model=series-autoencoder tells windows again: it needs task.method=reconstruction.")
        self.config = config
        self.target_size, self.num_parameters = spec.window.target_size, spec.window.num_parameters
        self.encoder = Recurrent(spec.input_size, config)
        self.squeeze = nn.Linear(self.encoder.output_size, config.latent_size)
        self.decoder = Recurrent(config.latent_size, config)
        self.head = nn.Linear(self.decoder.output_size, spec.output_size)

    def forward(self, inputs: Sequences, state: State | None = None) -> ModelOutput:
        """Tell windows again.

        Args:
            inputs: windows (B, T, I), the C values first.
            state: None; windows are read whole.
        Returns:
            `Forecast` of (B, T, C, K): distributions of the values of each step.
        Raises:
            ConfigError: a state is given.
        """
        if state is not None:
            raise ConfigError("an autoencoder reads whole windows, and can't go on from a state. Pass state=None.")
        encoded = self.encoder(inputs).outputs
        place = _backwards(inputs)
        # the last real step stands where the backward telling begins
        last = encoded.data.gather(1, place[:, :1, None].expand(-1, -1, encoded.data.shape[-1]))
        latent = torch.tanh(self.squeeze(last)).expand(-1, inputs.num_steps, -1)
        told = self.head(self.decoder(Sequences(latent, inputs.lengths)).outputs.data)
        parameters = told.gather(1, place[..., None].expand_as(told)).unflatten(-1, (-1, self.num_parameters))
        shift = torch.zeros_like(parameters[..., 0])
        return ModelOutput(Forecast(parameters, shift, torch.ones_like(shift)), None)

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Parameters from the input to the head, for discriminative rates and unfreezing."""
        squeeze, head = list(self.squeeze.parameters()), list(self.head.parameters())
        return [*self.encoder.layer_parameters(), squeeze, *self.decoder.layer_parameters(), head]


def _backwards(inputs: Sequences) -> Tensor:
    """(B, T) the place of each real step counted from the row's end; on padding any place."""
    steps = torch.arange(inputs.num_steps, device=inputs.data.device)
    lengths = steps.new_full((inputs.batch_size,), inputs.num_steps) if inputs.lengths is None else inputs.lengths
    return (lengths[:, None] - 1 - steps).clamp(min=0)
