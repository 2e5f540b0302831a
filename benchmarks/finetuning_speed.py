"""How long an update takes by each way to fine-tune, against one of all weights.

    python benchmarks/finetuning_speed.py [--rounds 8] [--threads 1]

A text classifier learns from 64 rows of 25 words; the ways take turns, and the median counts. Core-milliseconds.
"""

from __future__ import annotations

from measured import command, conclude, parse  # isort: skip

import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn

from recurra.core.batch import InputKind, Resolution, TaskSpec
from recurra.core.config import Config
from recurra.core.sequences import Sequences
from recurra.finetuning import tune
from recurra.finetuning.methods import BiasConfig, DoRAConfig, FrozenConfig, FullConfig, LoRAConfig
from recurra.models import TextClassifier, TextClassifierConfig
from recurra.training.optimizer import AdamWConfig

METHODS: dict[str, Config] = {
    "full": FullConfig(),
    "lora": LoRAConfig(),
    "lora, cells only": LoRAConfig(targets=("input", "recurrent")),
    "dora": DoRAConfig(),
    "bias": BiasConfig(),
    "frozen": FrozenConfig(),
}
SIZES = {"23,000 words, 1 layer": (23_000, 256, 256, 1), "5,000 words, 2 layers": (5_000, 128, 256, 2)}
ROWS, WORDS, UPDATES = 64, 25, 4


class Learner:
    """A classifier and its optimizer."""

    def __init__(self, method: Config, sizes: tuple[int, int, int, int]) -> None:
        vocab_size, embedding_dim, hidden_size, num_layers = sizes
        config = TextClassifierConfig(embedding_dim=embedding_dim, hidden_size=hidden_size, num_layers=num_layers)
        model = TextClassifier(config, TaskSpec(InputKind.TOKENS, vocab_size, 2, Resolution.SEQUENCE))
        new = [name for name, _ in model.named_parameters() if not name.startswith("encoder.")]
        self.model: nn.Module = tune(model, method, new).train()
        self.optimizer = AdamWConfig().build(self.model.layer_groups())  # type: ignore[operator]

    def update(self, words: Sequences, labels: torch.Tensor) -> None:
        """One update."""
        self.optimizer.zero_grad()
        F.cross_entropy(self.model(words).prediction, labels).backward()
        self.optimizer.step()


def measure(sizes: tuple[int, int, int, int], rounds: int) -> dict[str, float]:
    """Core-milliseconds of an update by each way."""
    learners = {name: Learner(method, sizes) for name, method in METHODS.items()}
    words = Sequences(torch.randint(0, sizes[0], (ROWS, WORDS)), torch.full((ROWS,), WORDS))
    labels = torch.randint(0, 2, (ROWS,))
    spent: dict[str, list[float]] = {name: [] for name in learners}
    for turn in range(rounds + 1):
        for name, learner in learners.items():
            began = time.process_time()
            for _ in range(UPDATES):
                learner.update(words, labels)
            if turn:  # the first one warms up
                spent[name].append((time.process_time() - began) / UPDATES)
    return {name: 1000 * statistics.median(times) for name, times in spent.items()}


def main() -> None:
    """Measure each size, print the table."""
    parser = command(__doc__)
    parser.add_argument("--rounds", type=int, default=8)
    given = parse(parser)
    torch.manual_seed(given.seed)
    found = {}
    for name, sizes in SIZES.items():
        times = measure(sizes, given.rounds)
        found[name] = {way: [round(ms, 1), round(ms / times["full"], 2)] for way, ms in times.items()}
        for way, (ms, ratio) in found[name].items():
            print(f"{name:>24}  {way:<16} {ms:7.1f} core-ms  {ratio:.2f}")
    conclude(given, found)


if __name__ == "__main__":
    main()
