"""Floor 2: from a Stepper to tokens."""

from recurra.decoding.sampling import SamplingConfig, adjust_logits, sample
from recurra.decoding.stepper import Stepper

__all__ = ["SamplingConfig", "Stepper", "adjust_logits", "sample"]
