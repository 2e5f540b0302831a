"""Tokens per core-second of recurra's training loop over a hand-written torch loop with the same nn.LSTM.

One process, alternating, medians of process CPU time. Both do the same work: embedding, LSTM, linear softmax, carried
and detached state, gradient clipping, fused AdamW, a cosine schedule; recurra logs, checks for NaN and writes its
checkpoint besides.

    python benchmarks/loop_overhead.py [--rounds 9] [--updates 150]
"""

from __future__ import annotations

import argparse
import math
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from recurra.data import TokenCorpus, TokenStream, VocabularyConfig, fit_vocabulary
from recurra.models import LanguageModel, LanguageModelConfig
from recurra.tasks import LanguageModelling, LanguageModellingConfig
from recurra.training import Job, Loop, TrainingConfig, start_world
from recurra.training.optimizer import AdamWConfig
from recurra.training.schedule import CosineConfig

VOCABULARY, EMBEDDING, HIDDEN, ROWS, LENGTH = 65, 64, 256, 32, 64


class HandWritten(nn.Module):
    """What a user would write with torch.nn alone."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, EMBEDDING)
        self.lstm = nn.LSTM(EMBEDDING, HIDDEN, batch_first=True)
        self.output = nn.Linear(HIDDEN, VOCABULARY)

    def forward(self, tokens, state):
        hidden, state = self.lstm(self.embedding(tokens), state)
        return self.output(hidden), state


def hand_written(tokens: np.ndarray, updates: int) -> float:
    """Core-seconds for `updates` updates."""
    torch.manual_seed(0)
    model = HandWritten()
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, betas=(0.9, 0.99), weight_decay=0.0, fused=True)
    rows = torch.from_numpy(tokens[: len(tokens) // ROWS * ROWS].astype(np.int64)).view(ROWS, -1)
    state = None
    began = time.process_time()
    for update in range(updates):
        start = update * LENGTH
        inputs, targets = rows[:, start : start + LENGTH], rows[:, start + 1 : start + LENGTH + 1]
        logits, state = model(inputs, state)
        loss = nn.functional.cross_entropy(logits.reshape(-1, VOCABULARY), targets.reshape(-1))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = 4e-3 * (1 + math.cos(math.pi * update / updates)) / 2
        optimizer.step()
        state = tuple(part.detach() for part in state)
        loss.item()
    return time.process_time() - began


def with_recurra(corpus: TokenCorpus, task: LanguageModelling, updates: int) -> float:
    """Core-seconds for `updates` updates."""
    torch.manual_seed(0)
    model = LanguageModel(LanguageModelConfig(embedding_dim=EMBEDDING, hidden_size=HIDDEN), task.spec)
    with tempfile.TemporaryDirectory() as folder:
        job = Job(
            model=model,
            layer_groups=model.layer_groups,
            task=task,
            train=TokenStream(corpus, ROWS, LENGTH),
            valid=None,
            optimizer=AdamWConfig(learning_rate=4e-3, beta2=0.99, weight_decay=0.0, clip_norm=1.0),
            schedule=CosineConfig(),
            training=TrainingConfig(epochs=1, max_updates=updates, tensorboard="never"),
            world=start_world("cpu"),
            folder=Path(folder),
            quiet=True,
        )
        loop = Loop(job)
        began = time.process_time()
        loop.run()
        return time.process_time() - began


def main() -> None:
    """Print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--updates", type=int, default=150)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    alphabet = "".join(chr(0x21 + i) for i in range(VOCABULARY - 2))
    vocabulary = fit_vocabulary(VocabularyConfig(kind="char"), [alphabet])
    assert vocabulary.size == VOCABULARY, vocabulary.size
    rng = np.random.default_rng(0)
    tokens = rng.integers(2, VOCABULARY, ROWS * (given.updates + 1) * LENGTH, dtype=np.int32)
    corpus = TokenCorpus(tokens, np.zeros(1, dtype=np.int64))
    task = LanguageModelling(LanguageModellingConfig(), vocabulary)
    hand_written(tokens, 20), with_recurra(corpus, task, 20)
    updates = given.updates
    pairs = [(hand_written(tokens, updates), with_recurra(corpus, task, updates)) for _ in range(given.rounds)]
    work = given.updates * ROWS * LENGTH
    ours, theirs = (statistics.median(work / pair[i] for pair in pairs) for i in (1, 0))
    ratio = statistics.median(hand / own for hand, own in pairs)
    print(f"hand-written torch loop: {theirs:,.0f} tokens per core-second")
    print(f"recurra's loop:          {ours:,.0f} tokens per core-second")
    print(f"ratio (median of {given.rounds} alternating pairs): {ratio:.3f}")


if __name__ == "__main__":
    main()
