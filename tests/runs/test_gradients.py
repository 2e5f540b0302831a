"""How far back the loss reaches, against torch.nn.LSTM on copied weights."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from recurra.core.batch import Batch, InputKind, Resolution, TaskSpec
from recurra.core.sequences import Sequences
from recurra.data import VocabularyConfig, fit_vocabulary
from recurra.losses import cross_entropy
from recurra.models import LanguageModel, LanguageModelConfig, TextClassifier, TextClassifierConfig
from recurra.runs.gradients import gradient_through_time
from recurra.tasks import LanguageModelling, LanguageModellingConfig


@pytest.fixture
def task() -> LanguageModelling:
    return LanguageModelling(LanguageModellingConfig(), fit_vocabulary(VocabularyConfig(kind="char"), ["abcde"]))


def test_the_curve_is_that_of_autograd(task: LanguageModelling) -> None:
    model = LanguageModel(LanguageModelConfig(embedding_dim=4, hidden_size=5), task.spec).eval()
    tokens = torch.randint(0, 7, (3, 9))
    found = gradient_through_time(model, task, Batch(Sequences(tokens[:, :8]), tokens[:, 1:]))["layer 1"]
    assert len(found) == 8

    cell = torch.nn.LSTMCell(4, 5)
    own = dict(model.named_parameters())
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        cell.get_parameter(name).data.copy_(own[f"encoder.recurrent.cells.0.{name}"])
    state = (torch.zeros(3, 5), torch.zeros(3, 5))
    states = []
    for step in range(8):
        state = cell(F.embedding(tokens[:, step], own["encoder.embedding.weight"]), state)
        states.append(state)
    logits = state[0] @ own["head.weight"].T + own["head.bias"]
    loss = F.cross_entropy(logits, tokens[:, 8], reduction="sum")
    wanted = []
    for h, c in reversed(states):
        parts = torch.autograd.grad(loss, (h, c), retain_graph=True, allow_unused=True)
        joined = torch.cat([part for part in parts if part is not None], dim=1)
        wanted.append(float(joined.norm(dim=1).mean()))
    # The last cell state gets no gradient of the last loss, and the one before it gets some.
    assert found == pytest.approx(wanted, rel=1e-4)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_each_row_counts_from_its_own_end(task: LanguageModelling) -> None:
    model = LanguageModel(LanguageModelConfig(embedding_dim=4, hidden_size=5, num_layers=2), task.spec).eval()
    tokens = torch.randint(0, 7, (2, 5))
    lengths = (5, 3)
    both = gradient_through_time(model, task, Batch(Sequences(tokens, torch.tensor(lengths)), tokens))
    alone = [
        gradient_through_time(
            model, task, Batch(Sequences(tokens[row : row + 1, :length]), tokens[row : row + 1, :length])
        )
        for row, length in enumerate(lengths)
    ]
    for layer in ("layer 1", "layer 2"):
        assert both[layer][:3] == pytest.approx([(alone[0][layer][k] + alone[1][layer][k]) / 2 for k in range(3)])
        assert both[layer][3:] == pytest.approx(alone[0][layer][3:])


def test_a_reset_ends_the_curve(task: LanguageModelling) -> None:
    model = LanguageModel(LanguageModelConfig(embedding_dim=4, hidden_size=5), task.spec).eval()
    tokens = torch.randint(0, 7, (1, 6))
    reset = torch.tensor([[True, False, False, True, False, False]])
    found = gradient_through_time(model, task, Batch(Sequences(tokens, reset=reset), tokens))
    alone = gradient_through_time(model, task, Batch(Sequences(tokens[:, 3:]), tokens[:, 3:]))
    assert found["layer 1"] == pytest.approx(alone["layer 1"])


class Labels:
    """A task of two classes."""

    spec = TaskSpec(InputKind.TOKENS, 7, 2, Resolution.SEQUENCE)

    def loss(self, prediction: torch.Tensor, batch: Batch) -> object:
        return cross_entropy(prediction, batch.targets)


def test_both_directions_have_a_curve() -> None:
    model = TextClassifier(TextClassifierConfig(embedding_dim=4, hidden_size=5, bidirectional=True), Labels.spec).eval()
    batch = Batch(Sequences(torch.randint(0, 7, (3, 6))), torch.tensor([0, 1, 0]))
    found = gradient_through_time(model, Labels(), batch)  # type: ignore[arg-type]
    assert list(found) == ["layer 1 forward", "layer 1 backward"]
    assert all(len(curve) == 6 and min(curve) > 0 for curve in found.values())
