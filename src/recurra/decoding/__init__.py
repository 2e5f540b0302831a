"""Floor 2: from a model, one step at a time, to tokens."""

from recurra.decoding.sampling import SamplingConfig, adjust_logits, sample
from recurra.decoding.stepper import Feed, Stepper

__all__ = ["Feed", "SamplingConfig", "Stepper", "adjust_logits", "sample"]
