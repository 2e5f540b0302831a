"""Attention: the laws of every kind, and each formula and normaliser against a computation of its own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor

from recurra.core.config import Config, parse
from recurra.core.errors import ConfigError, ShapeError
from recurra.layers.attention import ATTENTIONS, Attention, AttentionConfig, entmax, normalise, sparsemax

Q, K, LENGTHS = 8, 8, (5, 2, 0, 4)
CASES: list[dict[str, Any]] = [
    {"kind": "additive"},
    {"kind": "additive", "coverage": True, "attention_size": 3},
    {"kind": "additive", "normaliser": "entmax"},
    {"kind": "dot"},
    {"kind": "dot", "normaliser": "sparsemax"},
    {"kind": "scaled-dot"},
    {"kind": "general"},
    {"kind": "general", "normaliser": "entmax"},
    {"kind": "local", "window": 2},
    {"kind": "local", "normaliser": "sparsemax"},
    {"kind": "location", "kernel_size": 3, "num_filters": 2},
    {"kind": "location", "cumulative": False},
    {"kind": "multi-head", "num_heads": 2, "attention_size": 6},
]
EVERY = pytest.mark.parametrize("options", CASES, ids=lambda options: "-".join(str(v) for v in options.values()))


class Holder(Config):
    attention: AttentionConfig


def build(options: dict[str, Any], query_size: int = Q, key_size: int = K) -> Attention:
    torch.manual_seed(3)
    attention: Attention = parse(Holder, {"attention": options}).attention.build(query_size, key_size)
    return attention.double()


def masks(lengths: tuple[int, ...] = LENGTHS, num_keys: int = 5) -> Tensor:
    return torch.arange(num_keys)[None] < torch.tensor(lengths)[:, None]


def sample() -> tuple[Tensor, Tensor, Tensor]:
    """A query, keys and their mask."""
    generator = torch.Generator().manual_seed(5)
    keys = torch.randn(len(LENGTHS), 5, K, dtype=torch.float64, generator=generator)
    return torch.randn(len(LENGTHS), Q, dtype=torch.float64, generator=generator), keys, masks()


def earlier(attention: Attention, mask: Tensor) -> Tensor | None:
    if attention.past == "none":
        return None
    weights = torch.rand(mask.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    return weights * mask


def test_every_kind_has_a_case() -> None:
    assert {options["kind"] for options in CASES} == set(ATTENTIONS)


@EVERY
def test_weights_are_zero_on_padding_and_sum_to_one(options: Any) -> None:
    attention = build(options)
    query, keys, mask = sample()
    context, weights = attention(query, attention.prepare(keys, mask), earlier(attention, mask))
    assert context.shape == (4, attention.context_size) and weights.shape == (4, 5)
    assert (weights[~mask] == 0).all() and (weights >= 0).all()
    torch.testing.assert_close(weights.sum(1), mask.any(1).double())
    assert (context[2] == 0).all()


@EVERY
def test_what_stands_on_padding_reaches_neither_values_nor_gradients(options: Any) -> None:
    attention = build(options)
    query, keys, mask = sample()
    past = earlier(attention, mask)
    found = []
    for filler in (0.0, torch.nan, torch.inf):
        attention.zero_grad()
        filled = keys.masked_fill(~mask[..., None], filler).requires_grad_()
        context, weights = attention(query, attention.prepare(filled, mask), past)
        (context.square().sum() + weights.square().sum()).backward()
        assert filled.grad is not None
        found.append([context, weights, filled.grad, *[p.grad for p in attention.parameters() if p.grad is not None]])
    for one, other, third in zip(*found, strict=True):
        assert torch.isfinite(one).all() and torch.equal(one, other) and torch.equal(one, third)


@EVERY
def test_a_row_alone_is_the_row_in_a_padded_batch(options: Any) -> None:
    attention = build(options)
    query, keys, mask = sample()
    past = earlier(attention, mask)
    context, weights = attention(query, attention.prepare(keys, mask), past)
    for row, length in enumerate(LENGTHS):
        part = slice(row, row + 1)
        memory = attention.prepare(keys[part, :length], mask[part, :length])
        alone = attention(query[part], memory, None if past is None else past[part, :length])
        torch.testing.assert_close(alone.context, context[part])
        torch.testing.assert_close(alone.weights, weights[part, :length])


@pytest.mark.parametrize("options", [case for case in CASES if case["kind"] not in ("local", "location")])
def test_permuted_keys_permute_the_weights(options: Any) -> None:
    attention = build(options)
    query, keys, _ = sample()
    mask = masks((5, 5, 5, 5))
    past, order = earlier(attention, mask), torch.tensor([3, 0, 4, 1, 2])
    context, weights = attention(query, attention.prepare(keys, mask), past)
    moved = attention(query, attention.prepare(keys[:, order], mask), None if past is None else past[:, order])
    torch.testing.assert_close(moved.weights, weights[:, order])
    torch.testing.assert_close(moved.context, context)


@EVERY
def test_many_queries_at_once_are_the_queries_one_by_one(options: Any) -> None:
    attention = build(options)
    _, keys, mask = sample()
    queries = torch.randn(4, 3, Q, dtype=torch.float64)
    memory = attention.prepare(keys, mask)
    if attention.past != "none":
        with pytest.raises(ShapeError, match="one step at a time"):
            attention(queries, memory)
        return
    context, weights = attention(queries, memory)
    for step in range(3):
        one = attention(queries[:, step], memory)
        torch.testing.assert_close(one.context, context[:, step])
        torch.testing.assert_close(one.weights, weights[:, step])


@EVERY
def test_gradients(options: Any) -> None:
    attention = build(options)
    query, keys, mask = sample()
    past = earlier(attention, mask)

    def run(query: Tensor, keys: Tensor) -> tuple[Tensor, ...]:
        return tuple(attention(query, attention.prepare(keys, mask), past))

    assert torch.autograd.gradcheck(run, (query.requires_grad_(), keys.requires_grad_()))
    sum(part.square().sum() for part in run(query, keys)).backward()  # type: ignore[union-attr]
    for name, parameter in attention.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


@EVERY
def test_no_keys_and_no_rows(options: Any) -> None:
    attention = build(options)
    for batch_size, num_keys in ((3, 0), (0, 4)):
        memory = attention.prepare(torch.zeros(batch_size, num_keys, K).double(), masks((0,) * batch_size, num_keys))
        context, weights = attention(torch.randn(batch_size, Q).double(), memory)
        assert context.shape == (batch_size, K) and weights.shape == (batch_size, num_keys) and (context == 0).all()


@EVERY
def test_a_repeated_memory(options: Any) -> None:
    attention = build(options)
    query, keys, mask = sample()
    past = earlier(attention, mask)
    context, _ = attention(query, attention.prepare(keys, mask), past)
    rows = torch.arange(4).repeat_interleave(3)
    memory = attention.prepare(keys, mask).repeat(3)
    again, _ = attention(query[rows], memory, None if past is None else past[rows])
    torch.testing.assert_close(again, context[rows])


@torch.no_grad()
def test_scores_of_each_kind() -> None:
    """Row 0, key 1 against key 0: the log-ratio of their weights is the difference of their scores."""
    query, keys, mask = sample()
    q, k = query[0], keys[0]

    def difference(attention: Attention, past: Tensor | None = None) -> float:
        weights = attention(query, attention.prepare(keys, mask), past).weights[0]
        return (weights[1] / weights[0]).log().item()

    additive: Any = build({"kind": "additive", "coverage": True})
    past = torch.rand(4, 5).double() * mask
    scores = [
        float(
            additive.value
            @ torch.tanh(
                additive.query.weight @ q
                + additive.query.bias
                + additive.key.weight @ k[s]
                + additive.coverage * past[0, s]
            )
        )
        for s in range(2)
    ]
    assert difference(additive, past) == pytest.approx(scores[1] - scores[0])
    assert difference(build({"kind": "dot"})) == pytest.approx(float(q @ (k[1] - k[0])))
    assert difference(build({"kind": "scaled-dot"})) == pytest.approx(float(q @ (k[1] - k[0])) / K**0.5)
    general: Any = build({"kind": "general"})
    assert difference(general) == pytest.approx(float((general.query.weight @ q) @ (k[1] - k[0])))
    location: Any = build({"kind": "location", "kernel_size": 3, "num_filters": 2})
    windows = torch.stack([torch.cat([torch.zeros(1).double(), past[0, :2]]), past[0, :3]])
    seen = windows @ location.filters.weight[:, 0].T @ location.location.weight.T
    hidden = torch.tanh(location.query(q) + k[:2] @ location.key.weight.T + seen)
    wanted = hidden @ location.value
    assert difference(location, past) == pytest.approx(float(wanted[1] - wanted[0]))


def test_the_local_window_lies_round_the_predicted_place() -> None:
    attention: Any = build({"kind": "local", "window": 2})
    with torch.no_grad():
        attention.query.weight.zero_()
        attention.place[2].weight.zero_()
        attention.place[2].bias.fill_(torch.tensor(0.5).logit())
    keys = torch.randn(1, 21, K).double()
    (weights,) = attention(torch.randn(1, Q).double(), attention.prepare(keys, masks((21,), 21))).weights
    wanted = torch.exp(-0.5 * torch.arange(-2, 3).double().square())
    torch.testing.assert_close(weights[8:13], wanted / wanted.sum())
    assert weights[:8].sum() == 0 and weights[13:].sum() == 0


def test_multi_head_attention_is_torchs() -> None:
    attention: Any = build({"kind": "multi-head", "num_heads": 2})
    reference = torch.nn.MultiheadAttention(Q, 2, bias=False, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        reference.in_proj_weight.copy_(torch.cat([attention.query.weight, attention.key_and_value.weight]))
        reference.out_proj.weight.copy_(attention.output.weight)
        attention.query.bias.zero_()
    _, keys, mask = sample()
    keys, mask, queries = keys[:2], mask[:2], torch.randn(2, 3, Q).double()
    wanted, weights = reference(queries, keys, keys, key_padding_mask=~mask)
    found = attention(queries, attention.prepare(keys, mask))
    torch.testing.assert_close(found.context, wanted)
    torch.testing.assert_close(found.weights, weights)


def by_bisection(scores: Tensor, power: float) -> Tensor:
    """p = max(s - tau, 0) ** power with the tau that makes p sum to 1, found by halving an interval."""
    low, high = scores.max() - 1, scores.max()
    for _ in range(80):
        middle = (low + high) / 2
        if (scores - middle).clamp(min=0).pow(power).sum() > 1:
            low = middle
        else:
            high = middle
    return (scores - low).clamp(min=0).pow(power)


@pytest.mark.parametrize("spread", [0.1, 1.0, 10.0])
def test_sparse_normalisers_solve_their_equation(spread: float) -> None:
    for scores in torch.randn(50, 7, dtype=torch.float64) * spread:
        torch.testing.assert_close(sparsemax(scores), by_bisection(scores, 1), atol=1e-9, rtol=1e-9)
        torch.testing.assert_close(entmax(scores), by_bisection(scores / 2, 2), atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("kind", ["softmax", "sparsemax", "entmax"])
def test_normalisers_have_the_gradients_of_their_values(kind: Any) -> None:
    scores = torch.randn(6, 5, dtype=torch.float64, requires_grad=True)
    mask = masks((5, 3, 1, 0, 5, 4))
    assert torch.autograd.gradcheck(lambda values: normalise(values, mask, kind), (scores,))
    assert torch.autograd.gradgradcheck(lambda values: normalise(values, mask, kind), (scores,))


@pytest.mark.parametrize("kind", ["sparsemax", "entmax"])
def test_sparse_normalisers_at_ties_and_far_scores(kind: Any) -> None:
    scores = torch.tensor([[0.0, 0.0, 0.0, 0.0], [1e6, 1e6, 0.0, -1e6], [5.0, -5.0, 5.0, 5.0]], requires_grad=True)
    weights = normalise(scores, torch.ones(3, 4, dtype=torch.bool), kind)
    wanted = torch.tensor([[0.25, 0.25, 0.25, 0.25], [0.5, 0.5, 0, 0], [1 / 3, 0, 1 / 3, 1 / 3]])
    torch.testing.assert_close(weights.detach(), wanted)
    weights.square().sum().backward()
    assert scores.grad is not None and torch.isfinite(scores.grad).all()


def test_refusals() -> None:
    with pytest.raises(ConfigError, match="general or additive"):
        build({"kind": "dot"}, query_size=4)
    with pytest.raises(ConfigError, match="multiple of num_heads"):
        build({"kind": "multi-head", "num_heads": 3})
    with pytest.raises(ConfigError, match="odd"):
        build({"kind": "location", "kernel_size": 4})
    query, keys, mask = sample()
    attention = build({"kind": "general"})
    with pytest.raises(ShapeError, match=r"keys of shape \(4, 5, 8\)"):
        build({"kind": "general"}, key_size=6).prepare(keys, mask)
    with pytest.raises(ShapeError, match="queries of shape"):
        attention(query[:3], attention.prepare(keys, mask))
    with pytest.raises(ShapeError, match="earlier weights"):
        attention(query, attention.prepare(keys, mask), torch.zeros(4, 3))


def test_a_bare_name_is_a_config() -> None:
    assert TypeAdapter(AttentionConfig).validate_python("general") == ATTENTIONS["general"]()
