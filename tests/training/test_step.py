"""One update: truncated backpropagation, accumulation, clipping, precision."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recurra.core.batch import Batch, InputKind, LossSum, ModelOutput, Resolution, TaskSpec
from recurra.core.sequences import Sequences, pad
from recurra.layers import DropoutConfig
from recurra.losses import cross_entropy
from recurra.models import LanguageModel, LanguageModelConfig, TextClassifier, TextClassifierConfig
from recurra.training import World
from recurra.training.optimizer import BaseOptimizerConfig, SGDConfig
from recurra.training.step import TrainStep

ALONE = World(0, 1, torch.device("cpu"))
STEPS, SEQUENCE = Resolution.STEP, Resolution.SEQUENCE


class _NextToken:
    """The loss of a task, and nothing else."""

    def loss(self, prediction: Any, batch: Batch) -> LossSum:
        mask = None if batch.inputs.lengths is None or batch.targets.dim() == 1 else batch.inputs.mask
        return cross_entropy(prediction, batch.targets, mask)


def step_of(
    model: nn.Module,
    config: BaseOptimizerConfig | None = None,
    precision: str = "float32",
    carries_state: bool = True,
) -> TrainStep:
    config = config or SGDConfig(learning_rate=0.1)
    optimizer = config.build([list(model.parameters())])
    task: Any = _NextToken()
    return TrainStep(model, task, optimizer, config, ALONE, precision, carries_state=carries_state)


def language_model(**options: Any) -> LanguageModel:
    torch.manual_seed(3)
    config = LanguageModelConfig(embedding_dim=5, hidden_size=6, **options)
    return LanguageModel(config, TaskSpec(InputKind.TOKENS, 9, 9, STEPS))


def window(tokens: Tensor, begin: int, end: int) -> Batch:
    return Batch(Sequences(tokens[:, begin:end]), tokens[:, begin + 1 : end + 1])


def gradients(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def torch_gradients(model: LanguageModel, inputs: Tensor, targets: Tensor, state: Any) -> dict[str, Tensor]:
    """The same model written by hand on torch.nn.LSTM, with the weights copied and the state given as a constant."""
    own = {name: p.detach().clone().requires_grad_() for name, p in model.named_parameters()}
    cell = "encoder.recurrent.cells.0."
    weights = [own[cell + name] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    zeros = inputs.new_zeros(1, inputs.shape[0], 6, dtype=torch.float32)
    start = (zeros, zeros) if state is None else tuple(part[None].detach() for part in state[0])
    vectors = F.embedding(inputs, own["encoder.embedding.weight"])
    hidden = torch._VF.lstm(vectors, start, weights, True, 1, 0.0, True, False, True)[0]
    logits = hidden @ own["head.weight"].T + own["head.bias"]
    F.cross_entropy(logits.flatten(0, 1), targets.flatten()).backward()
    return {name: p.grad for name, p in own.items() if p.grad is not None}


@pytest.fixture
def tokens() -> Tensor:
    return torch.randint(0, 9, (3, 21), generator=torch.Generator().manual_seed(1))


def test_a_window_as_long_as_the_text_is_full_backpropagation(tokens: Tensor) -> None:
    model = language_model()
    whole = window(tokens, 0, 20)
    step_of(model)([whole], None, 1.0)
    wanted = torch_gradients(model, whole.inputs.data, whole.targets, None)
    torch.testing.assert_close(gradients(model), wanted, rtol=1e-5, atol=1e-7)


def test_a_truncated_window_is_autograd_on_the_detached_graph(tokens: Tensor) -> None:
    model = language_model()
    step = step_of(model)
    _, state = step([window(tokens, 0, 7)], None, 1.0)
    step.optimizer.zero_grad()
    second = window(tokens, 7, 14)
    step([second], state, 1.0)
    wanted = torch_gradients(model, second.inputs.data, second.targets, state)
    torch.testing.assert_close(gradients(model), wanted, rtol=1e-5, atol=1e-7)


def test_windows_give_the_loss_of_the_whole_and_another_gradient(tokens: Tensor) -> None:
    model = language_model()
    step = step_of(model)
    whole, _ = step([window(tokens, 0, 20)], None, 1.0)
    full = gradients(model)
    step.optimizer.zero_grad()
    parts, _ = step([window(tokens, begin, begin + 5) for begin in range(0, 20, 5)], None, 1.0)
    assert parts.loss == pytest.approx(whole.loss, rel=1e-6)
    assert parts.count == whole.count == 60
    cut = gradients(model)["encoder.recurrent.cells.0.weight_hh"]
    assert not torch.allclose(cut, full["encoder.recurrent.cells.0.weight_hh"], rtol=1e-3)


def test_the_state_that_comes_back_has_no_graph(tokens: Tensor) -> None:
    _, state = step_of(language_model())([window(tokens, 0, 7)], None, 1.0)
    assert state is not None
    hidden, cell = state[0]  # type: ignore[misc]
    assert not hidden.requires_grad and not cell.requires_grad  # type: ignore[union-attr]


def test_accumulating_batches_equals_one_batch_of_all_rows() -> None:
    rows = [torch.randint(0, 9, (length,)) for length in (7, 3, 5, 1, 6, 2, 4, 4, 7, 1, 2, 3)]
    targets = torch.arange(12) % 3

    def weights_after(sizes: list[int]) -> dict[str, Tensor]:
        torch.manual_seed(0)
        config = TextClassifierConfig(embedding_dim=5, hidden_size=6, pooling="concat")
        model = TextClassifier(config, TaskSpec(InputKind.TOKENS, 9, 3, SEQUENCE))
        step = step_of(model, SGDConfig(learning_rate=0.5, clip_norm=0.1, l2=0.01), carries_state=False)
        borders = [0, *torch.tensor(sizes).cumsum(0).tolist()]
        batches = [Batch(pad(rows[a:b]), targets[a:b]) for a, b in itertools.pairwise(borders)]
        step(batches, None, 1.0)
        step.apply()
        return model.state_dict()

    once = weights_after([12])
    for sizes in ([3, 3, 3, 3], [5, 1, 6]):
        torch.testing.assert_close(weights_after(sizes), once, rtol=0, atol=1e-6)


def test_a_penalty_weighs_as_much_as_with_one_batch(tokens: Tensor) -> None:
    one, several = language_model(activation_l2=2.0), language_model(activation_l2=2.0)
    step_of(one)([window(tokens, 0, 20)], None, 1.0)
    rows = [Batch(Sequences(row[None, :20]), row[None, 1:]) for row in tokens]
    step_of(several, carries_state=False)(rows, None, 1.0)
    torch.testing.assert_close(gradients(several), gradients(one), rtol=1e-4, atol=1e-7)


def test_the_norm_is_reported_before_and_used_after_clipping(tokens: Tensor) -> None:
    model = language_model()
    free, _ = step_of(model)([window(tokens, 0, 20)], None, 1.0)
    model.zero_grad()
    clipped, _ = step_of(model, SGDConfig(clip_norm=0.01))([window(tokens, 0, 20)], None, 1.0)
    assert clipped.gradient_norm == pytest.approx(free.gradient_norm) and free.gradient_norm > 0.01
    norm = torch.cat([g.flatten() for g in gradients(model).values()]).norm()
    assert norm.item() == pytest.approx(0.01, rel=1e-4)
    model.zero_grad()
    step_of(model, SGDConfig(clip_value=1e-3))([window(tokens, 0, 20)], None, 1.0)
    assert max(float(g.abs().max()) for g in gradients(model).values()) == pytest.approx(1e-3)


def test_a_blank_batch_changes_nothing(tokens: Tensor) -> None:
    model = language_model()
    result, _ = step_of(model)([replace(window(tokens, 0, 4), blank=True)], None, 1.0)
    assert result.loss == 0 and result.count == 0 and result.gradient_norm == 0


class _ActsAlone(_NextToken):
    """Learns the other way round from what it is given."""

    def act(self, model: Any, batch: Batch) -> Batch:
        assert isinstance(model, LanguageModel) and not torch.is_grad_enabled()
        return replace(batch, targets=batch.targets.flip(1))


def test_a_task_that_acts_is_learnt_from_its_own_batch(tokens: Tensor) -> None:
    acting, given = step_of(language_model()), window(tokens, 0, 8)
    acting.task = _ActsAlone()  # type: ignore[assignment]
    found, _ = acting([given], None, 1.0)
    plain, _ = step_of(language_model())([replace(given, targets=given.targets.flip(1))], None, 1.0)
    assert found == plain


class _Weighs(_NextToken):
    """Weighs what it is given."""

    def act(self, model: Any, batch: Batch) -> Batch:
        return replace(batch, weights=torch.ones(len(batch.targets)))


def test_what_the_model_said_itself_is_learnt_from_without_dropout(tokens: Tensor) -> None:
    dropout, given = DropoutConfig(input=0.5, output=0.5), window(tokens, 0, 8)
    acting = step_of(language_model(dropout=dropout))
    acting.task = _Weighs()  # type: ignore[assignment]
    found, _ = acting([given], None, 1.0)
    plain, _ = step_of(language_model())([given], None, 1.0)
    assert found == plain
    acting.task = _NextToken()  # type: ignore[assignment]
    acting.model.train()
    assert acting([given], None, 1.0)[0] != plain


class _NeedsFloat32(nn.Module):
    """Fails in half precision, as torch's LSTM does on most CPUs."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(1, 9)

    def forward(self, inputs: Sequences, state: Any) -> ModelOutput:
        logits = self.linear(F.dropout(inputs.data[..., None].float()))
        if logits.dtype != torch.float32:
            raise RuntimeError("this kernel is not made for bfloat16\nand more lines")
        return ModelOutput(logits, None)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_the_probe_falls_back_with_a_sentence_and_moves_nothing(precision: str, tokens: Tensor) -> None:
    model = _NeedsFloat32()
    step = step_of(model, precision=precision)
    before = torch.get_rng_state()
    note = step.probe(window(tokens, 0, 5))
    assert note == (
        f"precision {precision} can't run here (this kernel is not made for bfloat16); training in float32."
    )
    assert step.precision == "float32" and not step.scaler.is_enabled()
    assert torch.equal(torch.get_rng_state(), before)
    assert all(p.grad is None for p in model.parameters())
    result, _ = step([window(tokens, 0, 5)], None, 1.0)
    step.apply()
    assert result.loss > 0


@pytest.mark.parametrize("cell", ["lstm", "gru", "elman"])
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_trains_or_falls_back(cell: str, precision: str, tokens: Tensor) -> None:
    model = language_model(cell={"kind": cell})
    step = step_of(model, SGDConfig(learning_rate=0.5, clip_norm=1.0), precision)
    batch = window(tokens, 0, 20)
    step.probe(batch)
    losses = []
    for _ in range(12):
        result, _ = step([batch], None, 1.0)
        step.apply()
        losses.append(result.loss)
    assert losses[-1] < losses[0] - 0.05
    assert all(p.dtype == torch.float32 for p in model.parameters())


def test_float32_needs_no_probe(tokens: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    step = step_of(language_model())
    forward: Callable[..., Any] = lambda *_: pytest.fail("a forward pass")  # noqa: E731
    monkeypatch.setattr(step, "_forward", forward)
    assert step.probe(window(tokens, 0, 5)) is None
