"""Text that a language model writes itself, for another one to learn from.

A teacher was trained on the training text, and believes more of it than of any other text; what it writes itself is
fresh, and as much as is wanted of it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recurra.core import state as states
from recurra.core.errors import ConfigError
from recurra.data import TokenCorpus
from recurra.runs.saved import SavedModel
from recurra.tasks import LanguageModelling, Prepared

_ROWS = 128


def with_written(prepared: Prepared, teacher: SavedModel, num_tokens: int, seed: int, cache: Path) -> Prepared:
    """The data, what the teacher writes added to the training part.

    Args:
        prepared: of a language model.
        teacher: the writer.
        num_tokens: how much it writes.
        seed: of what it draws.
        cache: keeps it for a run that is resumed.
    Raises:
        ConfigError: the teacher is no language model.
    """
    if not isinstance(prepared.task, LanguageModelling):
        raise ConfigError("`distill.written`: only language models write; leave it away.")
    path = cache / "written.npy"
    if not path.is_file():
        cache.mkdir(exist_ok=True)
        np.save(path, write(teacher, num_tokens, seed))
    train = _joined(prepared.splits.train, np.load(path))
    return replace(prepared, splits=prepared.splits._replace(train=train))


@torch.no_grad()
def write(teacher: SavedModel, num_tokens: int, seed: int) -> np.ndarray:
    """(rows, T) int32 of drawn tokens, at least `num_tokens` of them; each row begins with a document."""
    task: Any = teacher.task
    generator = torch.Generator(device=teacher.device).manual_seed(seed)
    eos, never = task.vocabulary.eos_index, task.vocabulary.unk_index
    tokens = torch.full((_ROWS,), eos, device=teacher.device)
    fresh, first = teacher.model.step(tokens, None)  # type: ignore[operator]
    logits, state = fresh, first
    written: list[Tensor] = []
    for _ in range(-(-num_tokens // _ROWS)):
        chances = logits.float().softmax(-1)
        if never is not None:
            chances[:, never] = 0
        tokens = torch.multinomial(chances, 1, generator=generator)[:, 0]
        written.append(tokens.int().cpu())
        logits, state = teacher.model.step(tokens, state)  # type: ignore[operator]
        if bool((ended := tokens == eos).any()):
            logits = torch.where(ended[:, None], fresh, logits)
            state = states.where(ended, first, state)
    found: np.ndarray = torch.stack(written, 1).numpy()
    return found


def _joined(corpus: TokenCorpus, written: np.ndarray) -> TokenCorpus:
    """The corpus, then the written rows; documents start at rows and after each eos."""
    tokens = written.reshape(-1)
    begins = np.zeros(len(tokens), bool)
    begins[:: written.shape[1]] = True
    begins[1:] |= tokens[:-1] == corpus.eos_index
    size = len(corpus.tokens)
    starts = np.concatenate([corpus.starts, size + np.flatnonzero(begins)])
    return TokenCorpus(np.concatenate([np.asarray(corpus.tokens), tokens]), starts, corpus.eos_index)
