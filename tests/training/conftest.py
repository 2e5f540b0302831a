"""A small language-modelling job that the tests of the loop change in one place each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recurra.core.seeding import seed_everything
from recurra.data import TokenCorpus, VocabularyConfig, fit_vocabulary
from recurra.layers import DropoutConfig
from recurra.models import LanguageModel, LanguageModelConfig
from recurra.tasks import LanguageModelling, LanguageModellingConfig, StreamOptions
from recurra.training import Job, TrainingConfig, World
from recurra.training.optimizer import SGDConfig
from recurra.training.schedule import ConstantConfig

ALONE = World(0, 1, torch.device("cpu"))
ROWS, LENGTH = 4, 10

MakeJob = Callable[..., Job]


def _text(seed: int, size: int) -> str:
    """Letters of which each is one of two followers of the one before: something to learn in a few updates."""
    rng = np.random.default_rng(seed)
    letters = [0]
    for choice in rng.integers(0, 2, size - 1):
        letters.append((letters[-1] + 1 + int(choice)) % 6)
    return "".join("abcdef"[letter] for letter in letters)


@pytest.fixture
def corpora() -> tuple[LanguageModelling, TokenCorpus, TokenCorpus]:
    """A task, 600 training tokens (15 batches an epoch) and 160 for validation."""
    text, held = _text(1, 599), _text(2, 159)
    task = LanguageModelling(LanguageModellingConfig(), fit_vocabulary(VocabularyConfig(kind="char"), [text]))
    return task, *(task.encode([part]) for part in (text, held))


@pytest.fixture
def make_job(tmp_path: Path, corpora: tuple[LanguageModelling, TokenCorpus, TokenCorpus]) -> MakeJob:
    """Builds the job: an LSTM of 8 units, SGD; keywords change fields of Job, `training` those of TrainingConfig."""

    def make(
        seed: int = 0,
        dropout: float = 0.0,
        model: dict[str, Any] | None = None,
        training: dict[str, Any] | None = None,
        valid: bool = True,
        **job: Any,
    ) -> Job:
        task, train, held = corpora
        task = job.pop("task", task)
        seed_everything(seed)
        config = LanguageModelConfig(
            embedding_dim=6, hidden_size=8, dropout=DropoutConfig(output=dropout), **(model or {})
        )
        network = LanguageModel(config, task.spec)
        options = StreamOptions(batch_size=ROWS, length=LENGTH, seed=seed, shuffle=True)
        quiet = StreamOptions(batch_size=ROWS, length=LENGTH, seed=0, shuffle=False)
        given: dict[str, Any] = {
            "model": network,
            "layer_groups": network.layer_groups,
            "task": task,
            "train": task.stream(train, options),
            "valid": task.stream(held, quiet) if valid else None,
            "optimizer": SGDConfig(learning_rate=0.5),
            "schedule": ConstantConfig(),
            "training": TrainingConfig(tensorboard="never", **{"epochs": 2, "batch_size": ROWS, **(training or {})}),
            "world": ALONE,
            "folder": tmp_path / "run",
            "quiet": True,
        }
        return Job(**(given | job))

    return make
