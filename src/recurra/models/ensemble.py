"""Several trained models of one task that answer together; their architectures may differ.

Reference: Hansen and Salamon (1990), Neural network ensembles, IEEE PAMI 12(10); weights that are learnt: Wolpert
(1992), Stacked generalization, Neural Networks 5(2), and Breiman (1996), Stacked regressions, Machine Learning 24.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from recurra.core.batch import Choosing, ModelOutput, TaskSpec
from recurra.core.config import Config
from recurra.core.inputs import Window
from recurra.core.state import State
from recurra.decoding import Feed
from recurra.models.mixing import mean_of, mix
from recurra.models.single import SINGLE, SingleConfig


class EnsembleConfig(Config):
    """The members, and how much each counts."""

    kind: Literal["ensemble"] = "ensemble"
    members: tuple[SingleConfig, ...] = Field(min_length=1, description="options of each model; `recurra ensemble`")
    shares: tuple[float, ...] = Field((), description="how much each counts, summing to 1; none: all the same")

    @model_validator(mode="after")
    def _one_share_a_member(self) -> EnsembleConfig:
        if self.shares and len(self.shares) != len(self.members):
            raise ValueError(f"{len(self.members)} members and {len(self.shares)} shares: one each is wanted")
        if self.shares and (min(self.shares) < 0 or abs(sum(self.shares) - 1) > 1e-6):
            raise ValueError("shares must be at least 0 and sum to 1")
        return self


class Ensemble(nn.Module):
    """Answers by the pooled predictions of its members; its state is theirs, side by side.

    It has every method that a task asks of one of its members: `step`, `stream`, `decoder`, `observe`.
    """

    Config: ClassVar[type[Config]] = EnsembleConfig
    shares: Tensor

    def __init__(self, config: EnsembleConfig, spec: TaskSpec) -> None:
        super().__init__()
        self.config, self.spec = config, spec
        self.members = nn.ModuleList(SINGLE[member.kind](member, spec) for member in config.members)
        shares = config.shares or (1 / len(config.members),) * len(config.members)
        self.register_buffer("shares", torch.tensor(shares), persistent=False)

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode, whatever is asked for: the members are trained already."""
        super().train(False)
        return self

    def parts(self) -> tuple[Any, ...]:
        """The members."""
        return tuple(self.members)

    def pool(self, predictions: list[Any]) -> Any:
        """One prediction out of one of each member."""
        return mix(predictions, self.shares, self.spec)

    def forward(self, inputs: Any, state: State | None = None) -> ModelOutput:
        """Ask every member.

        Args:
            inputs: as the members take them.
            state: of an earlier call, same B; None starts afresh.
        Returns:
            The pooled prediction, and the members' states.
        """
        states = self._parted(state)
        outputs = [member(inputs, own) for member, own in zip(self.members, states, strict=True)]
        kept = [output.state for output in outputs if output.state is not None]
        after = tuple(kept) if len(kept) == len(outputs) else None
        return ModelOutput(self.pool([output.prediction for output in outputs]), after)

    def step(self, tokens: Tensor, state: State | None) -> tuple[Tensor, State]:
        """One step of generation: (B,) tokens -> log-probabilities (B, V) of the next, and the state."""
        pairs = zip(self.parts(), self._parted(state), strict=True)
        found = [member.step(tokens, own) for member, own in pairs]
        return self.pool([scores for scores, _ in found]), tuple(after for _, after in found)

    def stream(self, batch_size: int = 1) -> Feed:
        """`step` from the initial state on, with the states kept inside."""
        feeds = [member.stream(batch_size) for member in self.parts()]
        return lambda tokens: self.pool([feed(tokens) for feed in feeds])

    def decoder(self, inputs: Any, copies: int = 1) -> tuple[JointStepper, State]:
        """Encode the source for decoding step by step, as `EncoderDecoder.decoder`."""
        found = [member.decoder(inputs, copies) for member in self.parts()]
        return JointStepper(self, [stepper for stepper, _ in found]), tuple(state for _, state in found)

    def observe(self, window: Window, state: State | None = None) -> State:
        """Take in the history of a window, which goes on where `state` stood."""
        return tuple(member.observe(window, own) for member, own in zip(self.parts(), self._parted(state), strict=True))

    def require(self, inputs: Any) -> None:
        """Check that every member can read the inputs.

        Raises:
            DataError: one can't.
        """
        for member in self.parts():
            if isinstance(member, Choosing):
                member.require(inputs)

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """All weights as one group: members of different depth have no layers in common."""
        return [list(self.parameters())]

    def _parted(self, state: State | None) -> tuple[State | None, ...]:
        return (None,) * len(self.members) if state is None else cast("tuple[State, ...]", state)


class JointStepper:
    """The decoders of several encoder-decoders, one target token at a time."""

    def __init__(self, ensemble: Ensemble, steppers: list[Any]) -> None:
        self.ensemble, self.steppers = ensemble, steppers

    def step(self, tokens: Tensor, state: State | None) -> tuple[Tensor, State]:
        """Feed one token a row: (R,) -> log-probabilities (R, V) of the next, and the state."""
        states = self._parted(state)
        found = [stepper.step(tokens, own) for stepper, own in zip(self.steppers, states, strict=True)]
        return self.ensemble.pool([scores for scores, _ in found]), tuple(after for _, after in found)

    def attention(self, state: State) -> Tensor:
        """(R, S): the mean of the members' weights at the step that led to `state`."""
        parts = [stepper.attention(own) for stepper, own in zip(self.steppers, self._parted(state), strict=True)]
        return mean_of(parts, self.ensemble.shares)

    def select(self, rows: Tensor) -> JointStepper:
        """The stepper of the given rows (int64 indices) alone."""
        return JointStepper(self.ensemble, [stepper.select(rows) for stepper in self.steppers])

    def _parted(self, state: State | None) -> tuple[State, ...]:
        assert isinstance(state, tuple), "the first state is made along with the stepper"
        return state
