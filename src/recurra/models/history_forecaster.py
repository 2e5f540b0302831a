"""What the models share that read a history first, and then give what follows it."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from recurra.core.batch import ModelOutput
from recurra.core.inputs import Window
from recurra.core.outputs import Forecast
from recurra.core.state import State


class HistoryForecaster(nn.Module, ABC):
    """A model whose state is all that it keeps of the history.

    `forecast(observe(window), future_known)` is `forward`, and the steps may be observed in any portions.
    """

    def forward(self, inputs: Window, state: State | None = None) -> ModelOutput:
        """Forecast.

        Args:
            inputs: history (B, L, C), any L.
            state: of an earlier call, whose history goes on in `inputs`.
        Returns:
            `Forecast` of (B, H, C, K), H as many steps as the window knows covariates of, or else the trained horizon.
        Raises:
            ShapeError: as `forecast`.
        """
        state = self.observe(inputs, state)
        return ModelOutput(self.forecast(state, inputs.future_known), state)

    @abstractmethod
    def observe(self, window: Window, state: State | None = None) -> State:
        """Take in the history of a window, which goes on where `state` stood; what lies ahead is not looked at."""

    @abstractmethod
    def forecast(self, state: State, future_known: Tensor | None = None, horizon: int | None = None) -> Forecast:
        """What follows the history observed so far.

        Args:
            state: from `observe`.
            future_known: (B, H, F), where the task has covariates that are known ahead.
            horizon: H where it has none; None: the trained one.
        Raises:
            ShapeError: covariates are missing, or more steps are asked for than the model can give.
        """
