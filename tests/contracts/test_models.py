"""The laws of a model, for every entry of MODELS."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from recurra.core.batch import Batch, InputKind, LossSum, Resolution, TaskSpec
from recurra.core.sequences import Sequences, pad
from recurra.losses import cross_entropy
from recurra.models import MODELS
from recurra.training.checkpoint import load_model_tensors, model_tensors

V, LABELS = 11, 3
STEP, SEQUENCE = Resolution.STEP, Resolution.SEQUENCE
CASES: list[tuple[str, Resolution, dict[str, Any]]] = [
    ("language-model", STEP, {}),
    ("language-model", STEP, {"tied": True, "num_layers": 2, "last_size": 8, "cell": "gru"}),
    ("language-model", STEP, {"softmax": {"kind": "sampled", "num_samples": 6}}),
    ("language-model", STEP, {"softmax": {"kind": "adaptive", "cutoffs": [4]}}),
    ("text-classifier", SEQUENCE, {}),
    ("text-classifier", SEQUENCE, {"bidirectional": True, "num_layers": 2, "pooling": "attention", "head_size": 5}),
    ("text-classifier", SEQUENCE, {"pooling": "last", "cell": "elman"}),
    ("text-classifier", SEQUENCE, {"pooling": "mean", "cell": {"kind": "lstm", "layer_norm": True}}),
    ("text-classifier", SEQUENCE, {"pooling": "max", "residual": True, "learn_initial_state": True}),
    ("generative-classifier", SEQUENCE, {}),
    ("generative-classifier", SEQUENCE, {"generative": 0.0, "tied": False}),
]
EVERY = pytest.mark.parametrize(("kind", "resolution", "options"), CASES)


def prior_of(resolution: Resolution) -> tuple[float, ...]:
    weights = [1 / (rank + 1) for rank in range(V if resolution is STEP else LABELS)]
    return tuple(weight / sum(weights) for weight in weights)


def build(kind: str, resolution: Resolution, options: dict[str, Any], seed: int = 1) -> nn.Module:
    torch.manual_seed(seed)
    spec = TaskSpec(InputKind.TOKENS, V, V if resolution is STEP else LABELS, resolution, prior_of(resolution))
    cls = MODELS[kind]
    config = cls.Config.model_validate({"kind": kind, "embedding_dim": 8, "hidden_size": 9, **options})
    model: nn.Module = cls(config, spec)
    return model


def batch_of(resolution: Resolution, lengths: tuple[int, ...] = (7, 2, 5, 4)) -> Batch:
    generator = torch.Generator().manual_seed(7)
    inputs = pad([torch.randint(0, V, (length,), generator=generator) for length in lengths])
    targets = torch.randint(0, V, inputs.data.shape, generator=generator)
    return Batch(inputs, targets if resolution is STEP else torch.arange(len(lengths)) % LABELS)


def loss_of(model: nn.Module, batch: Batch) -> Tensor:
    prediction, _, penalty = model(batch.inputs)
    mask = batch.inputs.mask if batch.targets.dim() == 2 else None
    found: LossSum = cross_entropy(prediction, batch.targets, mask)
    return found.mean() if penalty is None else found.mean() + penalty


def rows_of(model: nn.Module, inputs: Sequences) -> list[Tensor]:
    """The prediction of each row, without padding."""
    prediction: Tensor = model(inputs).prediction
    return list(prediction) if prediction.dim() == 2 else inputs.with_data(prediction).unpad()


def test_every_model_has_a_case() -> None:
    assert {kind for kind, _, _ in CASES} == set(MODELS)


@EVERY
def test_a_row_alone_is_the_row_in_a_padded_batch(kind: str, resolution: Resolution, options: Any) -> None:
    model = build(kind, resolution, options).eval()
    batch = batch_of(resolution)
    together = rows_of(model, batch.inputs)
    for row, found in zip(batch.inputs.unpad(), together, strict=True):
        (alone,) = rows_of(model, Sequences(row[None]))
        torch.testing.assert_close(found, alone, rtol=1e-5, atol=1e-6)


@EVERY
def test_padding_is_never_read(kind: str, resolution: Resolution, options: Any) -> None:
    model = build(kind, resolution, options).eval()
    batch = batch_of(resolution)
    spoilt = batch.inputs.data.masked_fill(~batch.inputs.mask, 10**9)
    found = rows_of(model, Sequences(spoilt, batch.inputs.lengths))
    for one, other in zip(found, rows_of(model, batch.inputs), strict=True):
        assert torch.equal(one, other)


@EVERY
def test_the_order_of_rows_does_not_matter(kind: str, resolution: Resolution, options: Any) -> None:
    model = build(kind, resolution, options).eval()
    inputs = batch_of(resolution).inputs
    order = torch.tensor([2, 0, 3, 1])
    assert inputs.lengths is not None
    shuffled = rows_of(model, Sequences(inputs.data[order], inputs.lengths[order]))
    rows = rows_of(model, inputs)
    for place, index in enumerate(order.tolist()):
        torch.testing.assert_close(shuffled[place], rows[index], rtol=1e-5, atol=1e-6)


@EVERY
@pytest.mark.parametrize("lengths", [(0, 3), (0, 0), (1,), ()])
def test_empty_rows_and_no_rows_give_finite_numbers(
    lengths: tuple[int, ...], kind: str, resolution: Resolution, options: Any
) -> None:
    model = build(kind, resolution, options)
    widest = max((1, *lengths))
    inputs = Sequences(torch.zeros(len(lengths), widest, dtype=torch.int64), torch.tensor(lengths, dtype=torch.int64))
    shape = (len(lengths), widest) if resolution is STEP else (len(lengths),)
    loss = loss_of(model.train(), Batch(inputs, torch.zeros(shape, dtype=torch.int64)))
    assert torch.isfinite(loss)
    assert all(torch.isfinite(row).all() for row in rows_of(model.eval(), inputs))


@EVERY
def test_every_parameter_learns(kind: str, resolution: Resolution, options: Any) -> None:
    model = build(kind, resolution, options).train()
    loss_of(model, batch_of(resolution)).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
        # An embedding row or class that does not occur may stay; a whole tensor may not.
        assert parameter.grad.abs().sum() > 0, name


@EVERY
def test_groups_hold_every_parameter_once(kind: str, resolution: Resolution, options: Any) -> None:
    model = build(kind, resolution, options)
    grouped = [id(parameter) for group in model.layer_groups() for parameter in group]  # type: ignore[operator]
    assert sorted(grouped) == sorted(id(parameter) for parameter in model.parameters())


@EVERY
def test_one_batch_can_be_learnt_by_heart(kind: str, resolution: Resolution, options: Any) -> None:
    model = build(kind, resolution, options).train()
    if options == {} and kind == "generative-classifier":
        pytest.skip("learns how likely the texts are, too")
    batch = batch_of(resolution)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    for _ in range(150):
        optimizer.zero_grad()
        loss_of(model, batch).backward()
        optimizer.step()
    prediction = model.eval()(batch.inputs).prediction
    mask = batch.inputs.mask if resolution is STEP else None
    assert cross_entropy(prediction, batch.targets, mask).mean() < 0.1


@EVERY
def test_the_first_loss_is_the_entropy_of_the_prior(kind: str, resolution: Resolution, options: Any) -> None:
    prior = torch.tensor(prior_of(resolution))
    entropy = -(prior * prior.log()).sum()
    found = []
    for seed in range(5):
        log_probs = torch.cat(
            [
                row.reshape(-1, len(prior)).log_softmax(-1)
                for row in rows_of(build(kind, resolution, options, seed).eval(), batch_of(resolution).inputs)
            ]
        )
        found.append(-(log_probs @ prior).mean())
    assert torch.stack(found).mean().item() == pytest.approx(entropy.item(), rel=0.02)


@EVERY
def test_evaluation_is_the_same_each_time_and_weights_travel(kind: str, resolution: Resolution, options: Any) -> None:
    dropout = {"input": 0.5, "output": 0.5, "embedding": 0.3}
    first = build(kind, resolution, {**options, "dropout": dropout}).eval()
    second = build(kind, resolution, {**options, "dropout": dropout}, seed=9).eval()
    inputs = batch_of(resolution).inputs
    wanted = rows_of(first, inputs)
    load_model_tensors(second, model_tensors(first), "here")
    for one, again, other in zip(wanted, rows_of(first, inputs), rows_of(second, inputs), strict=True):
        assert torch.equal(one, again) and torch.equal(one, other)


@pytest.mark.parametrize("options", [options for _, resolution, options in CASES if resolution is STEP])
def test_a_language_model_goes_on_where_it_stopped(options: Any) -> None:
    model = build("language-model", STEP, options).eval()
    tokens = batch_of(STEP, (9, 9, 9)).inputs.data
    whole, _, _ = model(Sequences(tokens))
    first, state, _ = model(Sequences(tokens[:, :4]))
    rest, state, _ = model(Sequences(tokens[:, 4:8]), state)
    last, _ = model.step(tokens[:, 8], state)  # type: ignore[operator]
    parts = torch.cat([first, rest, last[:, None]], dim=1)
    torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-6)
    feed = model.stream(len(tokens))  # type: ignore[operator]
    streamed = torch.stack([feed(step) for step in tokens.unbind(1)], dim=1)
    torch.testing.assert_close(streamed, whole, rtol=1e-5, atol=1e-6)
