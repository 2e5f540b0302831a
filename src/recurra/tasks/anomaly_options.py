"""Options of anomaly detection."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from recurra.core.config import Config
from recurra.detection import ScoringConfig, ThresholdConfig
from recurra.detection.thresholds import ExtremeThresholdConfig


class AnomalyDetectionConfig(Config):
    """Options of anomaly detection."""

    kind: Literal["anomaly-detection"] = "anomaly-detection"
    method: Literal["prediction", "reconstruction"] = Field(
        "prediction", description="errors of forecasts, or of windows told again by an autoencoder"
    )
    leads: list[int] = Field(
        [1], min_length=1, description="steps ahead that are forecast; errors are averaged over them"
    )
    distribution: Literal["normal", "student-t"] = Field("student-t", description="of a forecast value")
    window_length: int = Field(64, ge=2, description="steps of a training window, and of one that is told again")
    overlap: int = Field(4, ge=1, description="how often each step is trained on in an epoch, in windows cut at random")
    calendar: list[str] | Literal["auto"] = Field(
        "auto", description="features of the stamps, such as hour and weekday; auto: those that the data holds twice"
    )
    squash: bool = Field(
        True, description="take the inverse hyperbolic sine of standardised values: far ones come nearer"
    )
    scoring: ScoringConfig = ScoringConfig()
    threshold: ThresholdConfig = Field(ExtremeThresholdConfig(), description="from which score on a step is flagged")

    @property
    def offsets(self) -> list[int]:
        """From a step to those that are said of it: the leads, or itself."""
        return self.leads if self.method == "prediction" else [0]

    @field_validator("leads")
    @classmethod
    def _rise(cls, given: list[int]) -> list[int]:
        if given != sorted(set(given)) or given[0] < 1:
            raise ValueError("leads are steps from 1 on, rising, such as [1, 4, 16]")
        return given

    @model_validator(mode="after")
    def _leads_are_for_predictions(self) -> AnomalyDetectionConfig:
        if self.method == "reconstruction" and self.leads != [1]:
            raise ValueError("leads are for method=prediction")
        return self
