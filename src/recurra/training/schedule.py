"""Learning-rate schedules: a factor on the optimizer's rate as a function of the update number."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import Field

from recurra.core.config import Config, by_kind


class BaseScheduleConfig(Config):
    """Linear warm-up, common to all schedules."""

    warmup_updates: int = Field(0, ge=0, description="updates over which the rate rises linearly to its value")

    def factor(self, update: int, total: int, epoch: float) -> float:
        """The factor after warm-up.

        Args:
            update: updates done, 0..total-1, counted from the end of the warm-up.
            total: updates of the run after the warm-up.
            epoch: epochs done, fractional.
        """
        raise NotImplementedError


class ConstantConfig(BaseScheduleConfig):
    """The rate stays."""

    kind: Literal["constant"] = "constant"

    def factor(self, update: int, total: int, epoch: float) -> float:
        """1."""
        return 1.0


class StepConfig(BaseScheduleConfig):
    """The rate falls by `gamma` every `every_epochs`, from `first_epoch` on."""

    kind: Literal["step"] = "step"
    every_epochs: float = Field(1.0, gt=0)
    gamma: float = Field(0.5, gt=0, le=1)
    first_epoch: float = Field(0.0, ge=0)

    def factor(self, update: int, total: int, epoch: float) -> float:
        """gamma ^ (whole steps done)."""
        return float(self.gamma ** max(0, math.floor((epoch - self.first_epoch) / self.every_epochs)))


class ExponentialConfig(BaseScheduleConfig):
    """The rate falls by `gamma` an epoch, smoothly."""

    kind: Literal["exponential"] = "exponential"
    gamma: float = Field(0.9, gt=0, le=1)

    def factor(self, update: int, total: int, epoch: float) -> float:
        """gamma ^ epoch."""
        return float(self.gamma**epoch)


class CosineConfig(BaseScheduleConfig):
    """Half a cosine down to `final` (Loshchilov and Hutter 2017, without restarts)."""

    kind: Literal["cosine"] = "cosine"
    final: float = Field(0.0, ge=0, le=1)

    def factor(self, update: int, total: int, epoch: float) -> float:
        """final + (1 - final) * (1 + cos(pi * progress)) / 2."""
        return self.final + (1 - self.final) * (1 + math.cos(math.pi * update / max(1, total))) / 2


class CyclicConfig(BaseScheduleConfig):
    """Half a cosine down to `final`, again and again (Loshchilov and Hutter 2017; Huang et al. 2017, equation 2)."""

    kind: Literal["cyclic"] = "cyclic"
    cycles: int = Field(5, ge=1, description="how often the rate falls; so many snapshots go with it")
    final: float = Field(0.0, ge=0, le=1)

    def factor(self, update: int, total: int, epoch: float) -> float:
        """As the cosine schedule's, within a cycle."""
        within = update * self.cycles / max(1, total) % 1
        return self.final + (1 - self.final) * (1 + math.cos(math.pi * within)) / 2


class LinearConfig(BaseScheduleConfig):
    """A straight line down to `final`."""

    kind: Literal["linear"] = "linear"
    final: float = Field(0.0, ge=0, le=1)

    def factor(self, update: int, total: int, epoch: float) -> float:
        """1 at the start, `final` at the end."""
        return 1 - (1 - self.final) * update / max(1, total)


class OneCycleConfig(BaseScheduleConfig):
    """Cosine up from 1/`start_divisor`, cosine down to 1/`final_divisor` (Smith 2018)."""

    kind: Literal["one-cycle"] = "one-cycle"
    rise: float = Field(0.3, gt=0, lt=1, description="part of the run in which the rate rises")
    start_divisor: float = Field(25.0, ge=1)
    final_divisor: float = Field(1e4, ge=1)

    def factor(self, update: int, total: int, epoch: float) -> float:
        """Rises to 1 at `rise`, then falls."""
        progress = update / max(1, total)
        if progress < self.rise:
            low, part = 1 / self.start_divisor, progress / self.rise
            return low + (1 - low) * (1 - math.cos(math.pi * part)) / 2
        low, part = 1 / self.final_divisor, (progress - self.rise) / (1 - self.rise)
        return low + (1 - low) * (1 + math.cos(math.pi * part)) / 2


class SlantedTriangularConfig(BaseScheduleConfig):
    """A short straight rise and a long straight fall (Howard and Ruder 2018, equation 3)."""

    kind: Literal["slanted-triangular"] = "slanted-triangular"
    rise: float = Field(0.1, gt=0, lt=1, description="cut_frac")
    ratio: float = Field(32.0, ge=1, description="peak rate over lowest rate")

    def factor(self, update: int, total: int, epoch: float) -> float:
        """(1 + p (ratio - 1)) / ratio, p the height in the triangle."""
        cut = max(1.0, total * self.rise)
        height = update / cut if update < cut else 1 - (update - cut) / max(1.0, total - cut)
        return (1 + max(0.0, height) * (self.ratio - 1)) / self.ratio


class PlateauConfig(BaseScheduleConfig):
    """The rate falls by `gamma` after `patience` evaluations without a new best."""

    kind: Literal["plateau"] = "plateau"
    gamma: float = Field(0.5, gt=0, lt=1)
    patience: int = Field(2, ge=1)

    def factor(self, update: int, total: int, epoch: float) -> float:
        """1; the falls are kept by `Schedule`."""
        return 1.0


class RisingConfig(BaseScheduleConfig):
    """The rate rises exponentially to its value, so that the loss shows what each rate is good for (Smith 2017)."""

    kind: Literal["rising"] = "rising"
    first: float = Field(1e-5, gt=0, lt=1, description="part of the rate at the first update")

    def factor(self, update: int, total: int, epoch: float) -> float:
        """`first` at the first update, 1 at the last."""
        return float(self.first ** (1 - update / max(1, total - 1)))


SCHEDULES: dict[str, type[BaseScheduleConfig]] = {
    "constant": ConstantConfig,
    "step": StepConfig,
    "exponential": ExponentialConfig,
    "cosine": CosineConfig,
    "cyclic": CyclicConfig,
    "linear": LinearConfig,
    "one-cycle": OneCycleConfig,
    "slanted-triangular": SlantedTriangularConfig,
    "plateau": PlateauConfig,
    "rising": RisingConfig,
}
ScheduleConfig = by_kind(SCHEDULES.values())


class Schedule:
    """A schedule at work: the config, the length of the run, and what evaluations have changed."""

    def __init__(self, config: BaseScheduleConfig, total_updates: int, updates_per_epoch: float) -> None:
        self.config = config
        self.total_updates = total_updates
        self.updates_per_epoch = max(updates_per_epoch, 1e-9)
        self._scale = 1.0
        self._waited = 0

    def factor(self, update: int) -> float:
        """The factor for update number `update`, 0..total_updates-1."""
        warm = self.config.warmup_updates
        if update < warm:
            return self._scale * (update + 1) / warm
        return self._scale * self.config.factor(
            update - warm, max(1, self.total_updates - warm), update / self.updates_per_epoch
        )

    def after_evaluation(self, improved: bool) -> None:
        """Let a plateau schedule see an evaluation."""
        if not isinstance(self.config, PlateauConfig):
            return
        self._waited = 0 if improved else self._waited + 1
        if self._waited >= self.config.patience:
            self._scale *= self.config.gamma
            self._waited = 0

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"scale": self._scale, "waited": self._waited}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put back what `state_dict` gave."""
        self._scale, self._waited = float(state["scale"]), int(state["waited"])
