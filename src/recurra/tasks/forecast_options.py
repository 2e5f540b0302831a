"""Options of forecasting."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from recurra.core.config import Config
from recurra.losses import LikelihoodConfig, QuantileConfig

Level = Annotated[float, Field(gt=0, lt=100)]


class WindowsConfig(Config):
    """Which origins a series is cut at."""

    stride: int = Field(1, ge=1, description="steps from one training origin to the next")
    evaluation_stride: int = Field(1, ge=1, description="the same for validation and test")
    samples_per_epoch: int | None = Field(
        None, ge=1, description="training windows drawn anew for each epoch; none: all of them"
    )


class CalendarConfig(Config):
    """What the model is told of the date and time of each step."""

    features: list[str] | Literal["auto"] = Field(
        "auto", description="hour, weekday, month, ...; auto: those that the time between steps makes sense of"
    )
    holidays: list[str] | str = Field(
        [], description="dates such as 2026-12-25, or a file with a date a line, that a feature of their own marks"
    )


class IntervalsConfig(Config):
    """How sure a forecast is of itself."""

    levels: list[Level] = Field([80, 95], description="intervals that are forecast, in per cent")
    num_paths: int = Field(100, ge=2, description="paths that a model which goes step by step draws for a forecast")
    recalibrate: bool = Field(
        True, description="widen or narrow intervals to what they held on the validation part, as far as it can tell"
    )

    @field_validator("levels")
    @classmethod
    def _levels_rise(cls, given: list[float]) -> list[float]:
        return sorted(set(given))


class ForecastingConfig(Config):
    """Options of forecasting."""

    kind: Literal["forecasting"] = "forecasting"
    horizon: int = Field(24, ge=1, description="steps ahead")
    context_length: int = Field(96, ge=1, description="steps of history that a training window holds")
    likelihood: LikelihoodConfig = QuantileConfig()
    channels: Literal["independent", "joint"] = Field(
        "independent", description="independent: each column is forecast from its own history, by one model for all"
    )
    scaling: Literal["standard", "mean", "none"] = Field(
        "standard", description="of each series, fitted on its training part: mean and spread, or mean size, or nothing"
    )
    normalised_loss: bool = Field(
        False, description="measure the loss in units of each window, where the model normalises windows"
    )
    periods: list[Annotated[int, Field(ge=2)]] | None = Field(
        None, description="seasonal periods in steps, such as [24, 168]; none: those that the time between steps has"
    )
    calendar: CalendarConfig = CalendarConfig()
    windows: WindowsConfig = WindowsConfig()
    intervals: IntervalsConfig = IntervalsConfig()

    @field_validator("periods")
    @classmethod
    def _periods_rise(cls, given: list[int] | None) -> list[int] | None:
        return None if given is None else sorted(set(given))

    @model_validator(mode="after")
    def _counts_stay_counts(self) -> ForecastingConfig:
        if self.likelihood.kind == "negative-binomial" and self.scaling != "none":
            raise ValueError("likelihood negative-binomial is for counts as they are: set task.scaling=none")
        if self.likelihood.kind == "negative-binomial" and self.normalised_loss:
            raise ValueError("normalised_loss makes no sense of counts: leave it out with negative-binomial")
        return self
