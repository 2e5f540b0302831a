"""The saved models that a run starts from, and whether they fit it."""

from __future__ import annotations

from dataclasses import dataclass

from recurra.core.errors import ConfigError
from recurra.data import Vocabulary
from recurra.runs.config import RunConfig
from recurra.runs.loading import load
from recurra.runs.saved import SavedModel
from recurra.tasks import LanguageModelling


@dataclass(frozen=True, slots=True)
class Start:
    """What a run starts from.

    Attributes:
        first: the model of `finetune.start`.
        backward: that of `finetune.backward`, a language model that reads backward, or None.
    """

    first: SavedModel
    backward: SavedModel | None

    def is_same_task(self, config: RunConfig) -> bool:
        """Whether the first model already does what the new one is to do."""
        return bool(self.first.config.task.kind == config.task.kind)

    @property
    def vocabulary(self) -> Vocabulary:
        """Of the language models."""
        assert isinstance(self.first.task, LanguageModelling)
        return self.first.task.vocabulary


def load_start(config: RunConfig) -> Start | None:
    """The saved models to start from, if any.

    Raises:
        ConfigError: they don't fit the run, or each other.
    """
    if config.finetune is None:
        return None
    paths = config.finetune
    start = Start(load(paths.start), None if paths.backward is None else load(paths.backward))
    if start.is_same_task(config):
        if start.backward is not None:
            raise ConfigError("`finetune.backward` is for a model of another task: leave it away.")
    else:
        _require_language_model(start.first, paths.start, "forward")
    known, asked = getattr(start.first.config.task, "vocabulary", None), getattr(config.task, "vocabulary", None)
    takes_over = start.is_same_task(config) or config.task.kind == "text-classification"
    if takes_over and known != asked:
        raise ConfigError("`task.vocabulary` is that of the pretrained model, and can't be changed: leave it away.")
    if start.backward is not None and paths.backward is not None:
        backward = _require_language_model(start.backward, paths.backward, "backward")
        if backward.vocabulary.to_json() != start.vocabulary.to_json():
            raise ConfigError(
                f"{paths.start} and {paths.backward} have different vocabularies. Train both language models on the "
                "same files, with the same options but task.direction."
            )
    return start


def _require_language_model(saved: SavedModel, path: str, direction: str) -> LanguageModelling:
    if not isinstance(saved.task, LanguageModelling):
        raise ConfigError(
            f"{path}: a {saved.config.model.kind}, and fine-tuning for another task starts from a language model. "
            "Give the folder of one, or train it first: recurra train char-lm --data.train FILE."
        )
    if saved.task.config.direction != direction:
        raise ConfigError(
            f"{path}: this language model reads {saved.task.config.direction}, and one that reads {direction} is "
            f"wanted there. Train it with task.direction={direction}."
        )
    return saved.task
