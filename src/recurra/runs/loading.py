"""From a folder to a model that predicts: saved models, and adapters on the models that they were trained on."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from recurra.core.config import parse
from recurra.core.errors import ModelFileError
from recurra.models import MODELS
from recurra.runs.adapter import DESCRIPTION, Base, load_adapter
from recurra.runs.config import RunConfig
from recurra.runs.model_files import ModelFiles, explained, read_tensors, require_format, require_sizes
from recurra.runs.saved import SavedModel
from recurra.tasks import TASKS
from recurra.training.checkpoint import load_model_tensors


def load(folder: str | Path, device: str = "cpu", base: Base | Sequence[Base] | None = None) -> SavedModel:
    """Load a saved model, the model of a run folder, or an adapter.

    Args:
        folder: of the model.
        device: where the network is to be.
        base: of an adapter: the model that it was trained on, loaded or as its folder; of one on language models of
            both directions, the forward one and the backward one. An adapter shares the tensors that it does not change
            with a loaded base, and is where that is. None looks for the base where it was when the adapter was trained.
    Raises:
        ModelFileError: no such folder, or a file in it is missing, damaged or of another kind; an adapter without its
            base, or with another one.
    """
    if not str(folder).strip():
        raise ModelFileError("the name of the model's folder is empty.")
    path = Path(folder)
    if (path / DESCRIPTION).is_file():
        bases = [base] if isinstance(base, (str, Path, SavedModel)) else base
        return load_adapter(path, bases, lambda at: load(at, device))
    if base is not None:
        raise ModelFileError(f"{folder}: no adapter there ({DESCRIPTION} is missing), so that it has no base.")
    if (path / "model" / "config.json").is_file():
        path = path / "model"
    if not (path / "config.json").is_file():
        if (path / "config.yaml").is_file():
            raise ModelFileError(
                f"{folder}: the run there is not finished, and has no model yet. Go on with it: recurra train --resume "
                f"--out {shlex.quote(str(folder))}"
            )
        what = "no such folder" if not path.exists() else "no saved model there (config.json is missing)"
        raise ModelFileError(f"{folder}: {what}. Give the --out folder of a finished `recurra train`.")
    files = ModelFiles(path)
    described = files["config.json"]
    with explained(path):
        require_format(described, path / "config.json")
        config = parse(RunConfig, described["run"])
        task = TASKS[config.task.kind].from_files(config.task, files)
        tensors = read_tensors(path / "model.safetensors", described["sha256"], "config.json")
        require_sizes(task.spec, described["spec"], path)
    model = MODELS[config.model.kind](config.model, task.spec)
    load_model_tensors(model, tensors, str(path / "model.safetensors"))
    return SavedModel(config, task, model.to(device), files["metrics.json"], described["sha256"])
