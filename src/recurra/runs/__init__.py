"""Floor 7: from a config to a run folder, and from a folder to a model that predicts."""

from recurra.runs.config import RunConfig, override, read_run_config
from recurra.runs.loading import load
from recurra.runs.saved import SavedModel
from recurra.runs.train import Run, prepare, rehearse, train

__all__ = ["Run", "RunConfig", "SavedModel", "load", "override", "prepare", "read_run_config", "rehearse", "train"]
