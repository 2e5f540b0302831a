"""The encoder-decoder: a step is a step of the whole, copying, coverage, scheduled sampling, what is tied."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from recurra.core.batch import InputKind, Resolution, TaskSpec
from recurra.core.errors import ConfigError
from recurra.core.inputs import Pair
from recurra.core.sequences import Sequences, pad
from recurra.core.state import leaves
from recurra.kernels import dispatch
from recurra.losses import cross_entropy
from recurra.models import EncoderDecoder, EncoderDecoderConfig

V, S = 11, 13
SPARSE = {"kind": "general", "normaliser": "entmax"}
CELLS: list[Any] = ["gru", "lstm", {"kind": "lstm", "layer_norm": True, "proj_size": 6}, "elman"]
DECODERS: dict[str, dict[str, Any]] = {
    "luong": {"attention": "general"},
    "multi-head": {"attention": "multi-head", "num_layers": 2},
    "bahdanau": {"attention": "additive", "input_feeding": "context"},
    "input feeding": {"attention": "general", "input_feeding": "output", "num_layers": 2, "readout_size": 6},
    "coverage": {"attention": {"kind": "additive", "coverage": True}, "coverage_loss": 1.0},
    "fed coverage": {"attention": {"kind": "additive", "coverage": True}, "input_feeding": "output", "hidden_size": 7},
    "location": {"attention": {"kind": "location", "kernel_size": 3, "cumulative": False}},
    "without attention": {"attention": None, "num_layers": 2},
    "without bridge": {"bridge": False},
    "copying": {"copying": True},
    "fed copying": {
        "copying": True,
        "input_feeding": "context",
        "attention": {"kind": "general", "normaliser": "entmax"},
    },
}
EVERY = pytest.mark.parametrize("decoder", DECODERS.values(), ids=DECODERS.keys())


def build(decoder: dict[str, Any], **options: Any) -> EncoderDecoder:
    torch.manual_seed(1)
    spec = TaskSpec(InputKind.TOKENS, options.pop("input_size", S), V, Resolution.STEP)
    config = {"embedding_dim": 8, "hidden_size": 10, "decoder": decoder, **options}
    return EncoderDecoder(EncoderDecoderConfig.model_validate(config), spec).eval()


def pair(sources: tuple[int, ...] = (5, 2, 4), targets: tuple[int, ...] = (3, 6, 1)) -> Pair:
    """Random rows; every second source token is known to the target vocabulary, the others are not."""
    draw = torch.Generator().manual_seed(4)
    source = pad([torch.randint(0, S, (length,), generator=draw) for length in sources])
    target = pad([torch.randint(0, V, (length,), generator=draw) for length in targets])
    place = torch.arange(source.num_steps)
    copies = torch.where(place % 2 == 0, source.data % V, V + place // 2).masked_fill(~source.mask, 0)
    return Pair(source, target, copies, max(sources) // 2)


def stepped(model: EncoderDecoder, inputs: Pair, copies: int = 1) -> tuple[Tensor, Tensor]:
    """Scores (R, T, V) and attention (R, T, S) of feeding the target token by token."""
    stepper, state = model.decoder(inputs, copies)
    tokens = inputs.target.data.masked_fill(~inputs.target.mask, 0).repeat_interleave(copies, 0)
    scores, weights = [], []
    for step in tokens.unbind(1):
        found, state = stepper.step(step, state)
        scores.append(found)
        weights.append(stepper.attention(state))
        assert list(leaves(state))[-1] is weights[-1]
    return torch.stack(scores, 1), torch.stack(weights, 1)


@EVERY
@pytest.mark.parametrize(
    "cell", ["gru", "lstm", {"kind": "lstm", "layer_norm": True, "proj_size": 6}, "elman"], ids=str
)
@torch.no_grad()
def test_steps_are_the_teacher_forced_whole(decoder: Any, cell: Any) -> None:
    model, inputs = build(decoder, cell=cell), pair()
    whole = inputs.target.with_data(model(inputs).prediction).unpad()
    scores, weights = stepped(model, inputs)
    mask = inputs.source.mask
    for row, (wanted, length) in enumerate(zip(whole, inputs.target.lengths.tolist(), strict=True)):  # type: ignore[union-attr]
        torch.testing.assert_close(scores[row, :length], wanted, atol=1e-5, rtol=1e-5)
        assert (weights[row, :, ~mask[row]] == 0).all()
    if decoder.get("attention", "") is None:
        assert (weights == 0).all()
    else:
        torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:2]))


@pytest.mark.parametrize("decoder", [DECODERS[name] for name in ("bahdanau", "input feeding", "coverage", "copying")])
def test_large_products_give_the_numbers_of_plain_torch(decoder: Any) -> None:
    options = {**decoder, "hidden_size": 128, "readout_size": 128}
    model = build(options, embedding_dim=128, hidden_size=128, cell="gru")
    inputs = pair((9,) * 64, (7,) * 64)
    both = []
    for kernel in ("native", "reference"):
        model.zero_grad()
        with dispatch.use(kernel):  # type: ignore[arg-type]
            output = model.train()(inputs)
            cross_entropy(output.prediction, inputs.target.data, inputs.target.mask).mean().backward()
            with torch.no_grad():
                scores, _ = stepped(model.eval(), inputs)
        both.append([scores, *[p.grad.clone() for p in model.parameters() if p.grad is not None]])
    for found, wanted in zip(*both, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-5)


@EVERY
@torch.no_grad()
def test_several_rows_may_decode_one_source(decoder: Any) -> None:
    model, inputs = build(decoder), pair()
    once, _ = stepped(model, inputs)
    thrice, _ = stepped(model, inputs, copies=3)
    torch.testing.assert_close(thrice, once.repeat_interleave(3, 0), atol=1e-6, rtol=1e-5)


@EVERY
def test_no_step_sees_the_target_after_it(decoder: Any) -> None:
    model, inputs = build(decoder), pair(targets=(6, 6, 6))
    with torch.no_grad():
        wanted = model(inputs).prediction
        changed = inputs.target.data.clone()
        changed[:, 3] = (changed[:, 3] + 1) % V
        found = model(Pair(inputs.source, Sequences(changed), inputs.copies, inputs.num_copies)).prediction
    assert torch.equal(found[:, :3], wanted[:, :3]) and not torch.equal(found[:, 3], wanted[:, 3])


@EVERY
def test_padding_of_either_side_is_never_read(decoder: Any) -> None:
    model, inputs = build(decoder).train(), pair()
    targets = torch.randint(0, V, inputs.target.data.shape)
    found = []
    for filler in (0, 10**9):
        model.zero_grad()
        spoilt = [part.with_data(part.data.masked_fill(~part.mask, filler)) for part in (inputs.source, inputs.target)]
        assert inputs.copies is not None
        copies = inputs.copies.masked_fill(~inputs.source.mask, filler)
        output = model(Pair(*spoilt, copies, inputs.num_copies))
        wanted = targets.masked_fill(~inputs.target.mask, filler)
        loss = cross_entropy(output.prediction, wanted, inputs.target.mask, 0.1).mean()
        (loss if output.penalty is None else loss + output.penalty).backward()
        found.append([loss.detach(), *[p.grad for p in model.parameters() if p.grad is not None]])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


@EVERY
def test_dropout_everywhere_it_can_be_had(decoder: Any) -> None:
    fed = decoder.get("input_feeding", "none") != "none"
    dropout = dict.fromkeys(("embedding", "input", "hidden", "output", "layer", "recurrent"), 0.3)
    model = build(decoder, dropout=dropout).train()
    inputs = pair()
    torch.manual_seed(0)
    first, second = (
        cross_entropy(model(inputs).prediction, inputs.target.data, inputs.target.mask).total for _ in range(2)
    )
    assert torch.isfinite(first) and not torch.equal(first, second)
    if fed:
        with pytest.raises(ConfigError, match=r"dropout\.zoneout_hidden"):
            build(decoder, dropout={"zoneout_hidden": 0.1})
    else:
        model = build(decoder, dropout={"zoneout_hidden": 0.1, "weight": 0.1})
        with torch.no_grad():
            torch.testing.assert_close(stepped(model, inputs)[0][1], model(inputs).prediction[1], atol=1e-5, rtol=1e-5)


@EVERY
def test_bfloat16_autocast(decoder: Any) -> None:
    model, inputs = build(decoder), pair()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        with torch.no_grad():
            scores, _ = stepped(model, inputs)
            whole = model(inputs).prediction
        loss = cross_entropy(model.train()(inputs).prediction, inputs.target.data, inputs.target.mask).total
    loss.backward()
    torch.testing.assert_close(scores[0, :3].float(), whole[0, :3].float(), atol=0.1, rtol=0.1)
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())


def test_the_output_after_dropout_is_not_what_is_fed() -> None:
    """With all of the readout dropped the scores are the bias alone, and the state lives on."""
    model = build({"input_feeding": "output"}, dropout={"output": 1.0}, softmax="full").train()
    scores = model(pair()).prediction
    torch.testing.assert_close(scores, model.head.bias.expand_as(scores))


@torch.no_grad()
def test_copying_mixes_the_two_distributions() -> None:
    model, inputs = build({"copying": True}), pair()
    found = model(inputs).prediction
    torch.testing.assert_close(found.exp().sum(-1), torch.ones(found.shape[:2]))
    # By hand, word by word.
    assert inputs.copies is not None and model.gate is not None
    memory, cells = model._encode(inputs)
    decoded = model.target_decoder(model.embedding(inputs.target), memory, cells)
    gate = torch.sigmoid(model.gate(decoded.features)[..., 0])
    vocabulary = model.head(decoded.readout).softmax(-1)
    for row in range(3):
        for step in range(6):
            wanted = torch.zeros(V + inputs.num_copies)
            wanted[:V] = gate[row, step] * vocabulary[row, step]
            for place in range(int(inputs.source.mask[row].sum())):
                wanted[inputs.copies[row, place]] += (1 - gate[row, step]) * decoded.weights[row, step, place]
            torch.testing.assert_close(found[row, step].exp(), wanted)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
def test_the_copying_loss_in_training_is_that_of_the_log_probabilities(label_smoothing: float) -> None:
    model, inputs = build({"copying": True}), pair()
    targets = torch.randint(0, V, inputs.target.data.shape)
    assert inputs.copies is not None
    targets[0, 1], targets[1, 2] = inputs.copies[0, 1], inputs.copies[1, 0]
    assert targets[0, 1] >= V
    mask = inputs.target.mask
    total = cross_entropy(model.train()(inputs).prediction, targets, mask, label_smoothing)
    with torch.no_grad():
        log_probs = model.eval()(inputs).prediction
        at_target = log_probs.gather(-1, targets[..., None])[..., 0][mask].sum()
        memory, cells = model._encode(inputs)
        readout = model.target_decoder(model.embedding(inputs.target), memory, cells).readout
        spread = model.head(readout).log_softmax(-1).mean(-1)[mask].sum()
    assert int(total.count) == 10
    wanted = -(1 - label_smoothing) * at_target - label_smoothing * spread
    torch.testing.assert_close(total.total.detach(), wanted)


def test_a_target_that_can_neither_be_made_nor_copied_costs_much_and_breaks_nothing() -> None:
    model, inputs = build({"copying": True}).train(), pair()
    targets = torch.full_like(inputs.target.data, V + inputs.num_copies - 1)
    loss = cross_entropy(model(inputs).prediction, targets, inputs.target.mask)
    loss.total.backward()
    assert 0 < loss.mean() < 100
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_coverage_loss_is_the_mean_overlap() -> None:
    model, inputs = build({"coverage_loss": 0.5, "attention": "general"}), pair()
    memory, cells = model._encode(inputs)
    weights = model.target_decoder(model.embedding(inputs.target), memory, cells).weights
    overlap = 0.0
    for row, length in enumerate((3, 6, 1)):
        for step in range(length):
            overlap += float(torch.minimum(weights[row, step], weights[row, :step].sum(0)).sum().detach())
    assert model(inputs).penalty is None
    assert model.train()(inputs).penalty.item() == pytest.approx(0.5 * overlap / 10)


@pytest.mark.parametrize("decoder", [{}, {"input_feeding": "context"}, {"copying": True}], ids=str)
def test_scheduled_sampling_feeds_the_models_own_choices(decoder: Any) -> None:
    inputs = pair()
    model = build({**decoder, "scheduled_sampling": 1.0}).train()
    found = model._with_own_predictions(inputs).target.data
    assert all(module.training for module in model.modules())
    stepper, state = model.eval().decoder(inputs)
    tokens = inputs.target.data[:, 0]
    for step in range(6):
        assert torch.equal(found[:, step], tokens)
        scores, state = stepper.step(tokens, state)
        tokens = scores.argmax(-1)
        tokens = torch.where(tokens < V, tokens, 0)
    none = build({**decoder, "scheduled_sampling": 1e-9}).train()._with_own_predictions(inputs)
    assert torch.equal(none.target.data, inputs.target.data.masked_fill(~inputs.target.mask, 0))
    assert torch.isfinite(cross_entropy(model.train()(inputs).prediction, inputs.target.data, inputs.target.mask).total)


def test_what_is_tied() -> None:
    counts = {
        tied: sum(p.numel() for p in build({}, tied=tied, input_size=V).parameters())
        for tied in ("none", "output", "all")
    }
    assert counts["none"] - counts["output"] == counts["output"] - counts["all"] == V * 8
    with pytest.raises(ConfigError, match="one vocabulary"):
        build({}, tied="all")


def test_an_unknown_copied_word_is_read_as_the_unknown_token() -> None:
    model, inputs = build({"copying": True}), pair()
    stepper, state = model.decoder(inputs)
    first, _ = stepper.step(torch.tensor([V, V + 1, 0]), state)
    second, _ = stepper.step(torch.tensor([0, 0, 0]), state)
    assert torch.equal(first, second) and first.shape == (3, V + inputs.num_copies)


def test_refusals() -> None:
    with pytest.raises(ConfigError, match="full or chunked"):
        build({"copying": True}, softmax="sampled")
    for options in ({"copying": True}, {"input_feeding": "output"}, {"coverage_loss": 1.0}, {"bridge": False}):
        with pytest.raises(ValueError, match="needs an attention"):
            EncoderDecoderConfig.model_validate({"decoder": {"attention": None, **options}})
    inputs = pair()
    with pytest.raises(ConfigError, match="copying"):
        build({"copying": True})(Pair(inputs.source, inputs.target))
