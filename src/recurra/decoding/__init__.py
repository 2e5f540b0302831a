"""Floor 2: from a model, one step at a time, to tokens."""

from recurra.decoding.beam import beam_search
from recurra.decoding.sampling import SamplingConfig, adjust_logits, sample
from recurra.decoding.search import Hypothesis, SearchConfig
from recurra.decoding.stepper import Attending, Feed, Selecting, Stepper
from recurra.decoding.walking import Sampled, greedy_search, sample_batch

__all__ = [
    "Attending",
    "Feed",
    "Hypothesis",
    "Sampled",
    "SamplingConfig",
    "SearchConfig",
    "Selecting",
    "Stepper",
    "adjust_logits",
    "beam_search",
    "greedy_search",
    "sample",
    "sample_batch",
]
