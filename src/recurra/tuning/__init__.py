"""Floor 8: a search over the options of a run, by trials that any number of processes and hosts share."""

from recurra.tuning.defaults import default_space
from recurra.tuning.options import Search
from recurra.tuning.outcome import Outcome
from recurra.tuning.search import tune
from recurra.tuning.space import Space

__all__ = ["Outcome", "Search", "Space", "default_space", "tune"]
