"""How far back the loss reaches, against torch.nn.LSTM on copied weights."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from recurra.core.batch import Batch
from recurra.core.sequences import Sequences
from recurra.data import VocabularyConfig, fit_vocabulary
from recurra.models import LanguageModel, LanguageModelConfig
from recurra.runs.gradients import gradient_through_time
from recurra.tasks import LanguageModelling, LanguageModellingConfig


@pytest.fixture
def task() -> LanguageModelling:
    return LanguageModelling(LanguageModellingConfig(), fit_vocabulary(VocabularyConfig(kind="char"), ["abcde"]))


def test_the_curve_is_that_of_autograd(task: LanguageModelling) -> None:
    model = LanguageModel(LanguageModelConfig(embedding_dim=4, hidden_size=5), task.spec).eval()
    tokens = torch.randint(0, 7, (3, 9))
    found = gradient_through_time(model, task, Batch(Sequences(tokens[:, :8]), tokens[:, 1:]))
    assert found is not None and len(found) == 8

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


def test_rows_with_padding_are_left_out(task: LanguageModelling) -> None:
    model = LanguageModel(LanguageModelConfig(embedding_dim=4, hidden_size=5), task.spec).eval()
    tokens = torch.randint(0, 7, (2, 5))
    ragged = Batch(Sequences(tokens, torch.tensor([5, 3])), tokens)
    alone = Batch(Sequences(tokens[:1]), tokens[:1])
    assert gradient_through_time(model, task, ragged) == gradient_through_time(model, task, alone)
    assert gradient_through_time(model, task, Batch(Sequences(tokens, torch.tensor([2, 3])), tokens)) is None
