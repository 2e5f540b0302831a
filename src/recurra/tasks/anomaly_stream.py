"""Anomaly scores one step after another: the state of the network and of the scorer carries on."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from recurra.core.errors import DataError
from recurra.core.outputs import Forecast, Foreseen, each
from recurra.core.sequences import Sequences
from recurra.data import Series
from recurra.detection import Scorer
from recurra.detection.thresholds import load_threshold
from recurra.losses import Likelihood
from recurra.tasks.anomaly_fit import AnomalyFit
from recurra.tasks.anomaly_options import AnomalyDetectionConfig
from recurra.tasks.anomaly_results import NOTHING, mean_of_known


class AnomalyStream:
    """Scores steps as they come; n steps give what a series of n steps gives.

    Args:
        config: the options.
        fit: what was fitted.
        likelihood: of the values.
        model: the trained network.
        name: of the training series that goes on, or "".
    Attributes:
        flagged: whether the last step was flagged.
        threshold: from which score on a step is flagged.
    """

    def __init__(
        self, config: AnomalyDetectionConfig, fit: AnomalyFit, likelihood: Likelihood, model: nn.Module, name: str
    ) -> None:
        self._config, self._fit, self._likelihood, self._model = config, fit, likelihood, model.eval()
        self._name = name
        self._device = next(model.parameters()).device
        self._scorer = Scorer(config.scoring, len(fit.targets))
        if (history := fit.history(name)) is not None:
            self._scorer.load_state(history)
        self._flags = load_threshold((fit.threshold or NOTHING).state())
        self._state: Any = None
        self._said: deque[Forecast] = deque(maxlen=max(config.leads))
        self._rows: deque[np.ndarray] = deque(maxlen=config.window_length)
        self._before: Series | None = None
        self.flagged = False

    @property
    def threshold(self) -> float:
        """From which score on a step is flagged."""
        return self._flags.value

    def take(self, series: Series) -> None:
        """Take in a series step by step, for example what came before the first update."""
        others = np.concatenate([series.past, series.known[: len(series)]], axis=1)
        for stamp, values, own in zip(series.stamps, series.values, others, strict=True):
            self.update(values, stamp if self._fit.calendar else None, own)

    @torch.inference_mode()
    def update(self, value: Any, stamp: Any = None, covariates: Any = ()) -> float:
        """Take one step.

        Args:
            value: a number, or (C,) of them; NaN where missing.
            stamp: datetime64, or text of one; None: the next one at the frequency of the training.
            covariates: (P + F,) past covariates, then those known ahead, where the model has some.
        Returns:
            The step's score, 0 to 1.
        Raises:
            DataError: not as many numbers as columns, or no stamp where the model needs one.
        """
        step = self._step(value, stamp, covariates)
        scaled = self._fit.scaled(self._name, step.values, self._config.squash)
        inputs = self._inputs(step, scaled)
        errors = self._errors(torch.from_numpy(scaled[-1:]), inputs)
        score = float(self._scorer(errors, scaled[-1:])[0])
        self.flagged = self._flags.update(score)
        return score

    def _errors(self, scaled: Tensor, inputs: Tensor) -> np.ndarray:
        """(1, C) how wrong the forecasts of this step were; the next ones are made."""
        if self._config.method == "reconstruction":
            self._rows.append(inputs.numpy())
            window = torch.from_numpy(np.stack(self._rows)[None]).to(self._device)
            told = self._model(Sequences(window)).prediction
            last = each(told, lambda one: Forecast(*(part[:, -1:] for part in one[:3])))
            return self._error(last, scaled, 0)[:, :, None].mean(-1)
        size = scaled.shape[1]
        leads = self._config.leads
        found = np.full((1, size, len(leads)), np.nan)
        for place, lead in enumerate(leads):
            if lead <= len(self._said):
                found[:, :, place] = self._error(self._said[-lead], scaled, place)
        output = self._model(Sequences(inputs[None, None].to(self._device)), self._state)
        self._state = output.state
        self._said.append(output.prediction)
        return mean_of_known(found)

    def _error(self, said: Foreseen, scaled: Tensor, place: int) -> np.ndarray:
        """(1, C) of the forecasts of one lead."""
        own = slice(place, None, len(self._config.leads))
        forecast = each(said, lambda one: Forecast(*(part[:, :, own] for part in one[:3])))
        wanted = scaled.to(self._device)[None]
        if self._config.scoring.error == "surprise":
            nats = self._likelihood.loss(forecast, wanted.float().nan_to_num()).double()
            return nats.where(~wanted.isnan(), torch.nan)[0].cpu().numpy()
        # as the targets of whole series, which are of single precision
        gaps: np.ndarray = (wanted.float().double() - self._likelihood.mean(forecast).double())[0].cpu().numpy()
        return gaps if self._config.scoring.error == "signed" else np.abs(gaps)

    def _step(self, value: Any, stamp: Any, covariates: Any) -> Series:
        """The step before, with nothing missing, and this one."""
        fit = self._fit
        values = np.atleast_1d(np.asarray(value, dtype=np.float64))
        others = np.atleast_1d(np.asarray(covariates, dtype=np.float64))
        size = len(fit.past) + len(fit.known)
        if values.shape != (len(fit.targets),) or len(others) != size or np.isinf(values).any():
            raise DataError(
                f"a step of {values.tolist()} with covariates {others.tolist()}: {len(fit.targets)} finite values "
                f"({', '.join(fit.targets)}) and {size} covariates are wanted."
            )
        own = np.array([self._stamp(stamp)])
        last = self._before
        own_values, own_others = values[None], others[None]
        if last is not None:
            own = np.concatenate([last.stamps, own])
            own_values = np.concatenate([last.values, own_values])
            own_others = np.concatenate([np.concatenate([last.past, last.known], axis=1), own_others])
        parts = np.split(own_others, [len(fit.past)], axis=1)
        step = Series(self._name, own, own_values, parts[0], parts[1], np.empty(0))
        self._before = _filled_last(step)
        return step

    def _stamp(self, stamp: Any) -> Any:
        if not self._fit.calendar:
            return 0
        if stamp is not None:
            return np.datetime64(stamp, "s")
        if self._before is None or self._fit.frequency is None:
            raise DataError(
                f"the model knows the calendar ({', '.join(self._fit.calendar)}): give the stamp of the first step, as "
                "in update(3.2, stamp='2024-05-01 10:00')."
            )
        return self._fit.frequency.step(self._before.stamps, 1)[0]

    def _inputs(self, step: Series, scaled: np.ndarray) -> Tensor:
        return torch.from_numpy(self._fit.inputs(step, scaled)[-1])


def _filled_last(step: Series) -> Series:
    """The last step alone, what it misses taken from the one before."""
    values, past, known = (
        np.where(np.isnan(part[-1:]) & (len(part) > 1), part[:1], part[-1:])
        for part in (step.values, step.past, step.known)
    )
    return Series(step.name, step.stamps[-1:], values, past, known, step.static)
