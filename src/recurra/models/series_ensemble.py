"""Several networks of one kind with weights of their own, whose answers are averaged.

Source: Ismail Fawaz et al. (2020), InceptionTime, section 3, https://arxiv.org/abs/1909.04939: on small data sets most
of what separates two trainings of a network is chance, and an ensemble takes it out.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import nn

from recurra.core.batch import ModelOutput, TaskSpec
from recurra.core.config import Config
from recurra.core.sequences import Sequences
from recurra.core.state import State
from recurra.models.crnn import CRNN, CRNNConfig
from recurra.models.lstm_fcn import LSTMFCN, LSTMFCNConfig
from recurra.models.series_classifier import SeriesClassifier, SeriesClassifierConfig

_MEMBERS: dict[str, Any] = {"lstm-fcn": LSTMFCN, "series-classifier": SeriesClassifier, "crnn": CRNN}
MemberConfig = Annotated[LSTMFCNConfig | SeriesClassifierConfig | CRNNConfig, Field(discriminator="kind")]


class SeriesEnsembleConfig(Config):
    """How many members, and what each is."""

    kind: Literal["series-ensemble"] = "series-ensemble"
    num_members: int = Field(3, ge=1, description="how many networks; time and memory grow with it")
    member: MemberConfig = LSTMFCNConfig()


class SeriesEnsemble(nn.Module):
    """Networks that learn side by side from the same batches, each by its own loss."""

    Config: ClassVar[type[Config]] = SeriesEnsembleConfig

    def __init__(self, config: SeriesEnsembleConfig, spec: TaskSpec) -> None:
        super().__init__()
        self.config = config
        member = _MEMBERS[config.member.kind]
        self.members = nn.ModuleList(member(config.member, spec) for _ in range(config.num_members))

    def forward(self, inputs: Sequences, state: State | None = None) -> ModelOutput:
        """Ask every member.

        Args:
            inputs: data (B, T, input_size), whole series.
            state: None.
        Returns:
            Logits or estimates (B, num_members, output_size), and no state.
        """
        assert state is None, "an ensemble needs whole series"
        return ModelOutput(torch.stack([member(inputs).prediction for member in self.members], dim=1), None)

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Layer by layer, those of all members together."""
        groups = zip(*(member.layer_groups() for member in self.members), strict=True)  # type: ignore[operator]
        return [[parameter for group in together for parameter in group] for together in groups]
