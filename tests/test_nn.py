from __future__ import annotations

import copy
import itertools
import pickle
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

import recurra.nn
from recurra.core.errors import ConfigError, ShapeError
from recurra.kernels import dispatch, extension

pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")

FAST = "fused" if extension.MISSING else "native"
INPUT_SIZE, HIDDEN_SIZE, BATCH_SIZE, NUM_STEPS = 3, 5, 4, 6
NAMES = ("RNN", "LSTM", "GRU")
# Unsorted, with a row of one step.
LENGTHS = torch.tensor([3, 6, 1, 5])
OPTIONS = [
    (name, dict(zip(("num_layers", "bias", "batch_first", "bidirectional"), values, strict=True)) | special)
    for name, specials in (
        ("RNN", [{"nonlinearity": "tanh"}, {"nonlinearity": "relu"}]),
        ("LSTM", [{}, {"proj_size": 2}]),
        ("GRU", [{}]),
    )
    for special in specials
    for values in itertools.product((1, 2), (True, False), (False, True), (False, True))
]


def make(namespace: Any, name: str, **options: Any) -> Any:
    torch.manual_seed(3)
    return getattr(namespace, name)(INPUT_SIZE, HIDDEN_SIZE, **options)


def pair(name: str, **options: Any) -> tuple[torch.nn.Module, Any]:
    """Torch's module and ours, made at the same seed."""
    return make(torch.nn, name, **options), make(recurra.nn, name, **options)


def example(module: Any, batched: bool = True) -> tuple[Tensor, Any]:
    """An input and a state that fit a module."""
    axes = (BATCH_SIZE, NUM_STEPS) if module.batch_first else (NUM_STEPS, BATCH_SIZE)
    inputs = torch.randn(*axes, INPUT_SIZE) if batched else torch.randn(NUM_STEPS, INPUT_SIZE)
    slots = module.num_layers * (2 if module.bidirectional else 1)
    rows = (slots, BATCH_SIZE) if batched else (slots,)
    h = torch.randn(*rows, module.proj_size or HIDDEN_SIZE).requires_grad_()
    hx = (h, torch.randn(*rows, HIDDEN_SIZE).requires_grad_()) if "LSTM" in type(module).__name__ else h
    return inputs.requires_grad_(), hx


def flat(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, PackedSequence):
        return [value.data, value.batch_sizes]
    return [leaf for part in value for leaf in flat(part)]


def results(module: torch.nn.Module, inputs: Any, hx: Any, **options: Any) -> list[Tensor]:
    """Output, state, and the gradients of a function of both."""
    returned = flat(module(inputs, hx, **options))
    numbers = [tensor for tensor in returned if tensor.is_floating_point()]
    loss = sum((tensor.square() * torch.arange(1, 1 + tensor.shape[-1])).sum() for tensor in numbers)
    leaves = [leaf for leaf in flat((inputs, () if hx is None else hx)) if leaf.is_leaf and leaf.requires_grad]
    return [*returned, *torch.autograd.grad(loss, [*leaves, *module.parameters()])]


def assert_same(actual: list[Tensor], expected: list[Tensor]) -> None:
    assert len(actual) == len(expected)
    for ours, theirs in zip(actual, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("path", ["plain", "cells", "fused", "reference"])
@pytest.mark.parametrize(("name", "options"), OPTIONS, ids=str)
def test_same_as_torch(name: str, options: dict[str, Any], path: str) -> None:
    theirs, ours = pair(name, **options)
    for batched, with_state in ((True, True), (True, False), (False, True)):
        inputs, hx = example(theirs, batched)
        hx = hx if with_state else None
        extra = {"lengths": torch.tensor([NUM_STEPS] * (BATCH_SIZE if batched else 1))} if path == "cells" else {}
        forced = path in ("fused", "reference")
        with dispatch.use(path) if forced else nullcontext():  # type: ignore[arg-type]
            assert_same(results(ours, inputs, hx, **extra), results(theirs, inputs, hx))
        assert {found.name for found in ours.last_path} == {path if forced else FAST}
    assert len(ours.last_path) == options["num_layers"] * (2 if options["bidirectional"] else 1)


@pytest.mark.parametrize(("name", "options"), OPTIONS, ids=str)
def test_same_first_values_and_names(name: str, options: dict[str, Any]) -> None:
    theirs, ours = pair(name, **options)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for key, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[key], value)
    assert [[w.shape for w in group] for group in ours.all_weights] == [
        [w.shape for w in group] for group in theirs.all_weights
    ]
    theirs.load_state_dict(ours.state_dict())
    ours.load_state_dict(theirs.state_dict())


@pytest.mark.parametrize("name", NAMES)
def test_a_training_script_gives_the_same_losses(name: str) -> None:
    losses: dict[str, list[float]] = {}
    for namespace in (torch.nn, recurra.nn):
        torch.manual_seed(0)
        layer = getattr(namespace, name)(3, 8, num_layers=2, dropout=0.3, bidirectional=True, batch_first=True)
        model = torch.nn.ModuleList([layer, torch.nn.Linear(16, 1)])
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        inputs, targets = torch.randn(4, 7, 3), torch.randn(4, 7, 1)
        for _ in range(4):
            optimizer.zero_grad()
            output, _ = layer(inputs)
            loss = (model[1](output) - targets).square().mean()
            loss.backward()
            optimizer.step()
            losses.setdefault(namespace.__name__, []).append(loss.item())
    assert losses["recurra.nn"] == pytest.approx(losses["torch.nn"], rel=1e-6)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_packed_sequences_and_lengths_equal_torchs_packed(name: str, bidirectional: bool, batch_first: bool) -> None:
    theirs, ours = pair(name, num_layers=2, bidirectional=bidirectional, batch_first=batch_first)
    inputs, hx = example(theirs)
    for ordered in (False, True):
        lengths = LENGTHS.sort(descending=True).values if ordered else LENGTHS
        packed = pack_padded_sequence(inputs, lengths, batch_first=batch_first, enforce_sorted=ordered)
        expected = results(theirs, packed, hx)
        assert_same(results(ours, packed, hx), expected)
        returned = ours(packed, hx)[0]
        for field in ("sorted_indices", "unsorted_indices"):
            index = getattr(packed, field)
            assert getattr(returned, field) is index
        output, state = theirs(packed, hx)
        padded, _ = pad_packed_sequence(output, batch_first=batch_first)
        assert_same(flat(ours(inputs, hx, lengths=lengths)), flat((padded, state)))


@pytest.mark.parametrize("name", NAMES)
def test_padding_is_never_read_and_empty_rows_keep_their_state(name: str) -> None:
    module = make(
        recurra.nn, name, num_layers=2, batch_first=True, input_dropout=0.5, dropout=0.5, recurrent_dropout=0.5
    )
    inputs, hx = example(module)
    lengths = torch.tensor([3, 0, 6, 5])
    mask = torch.arange(NUM_STEPS) < lengths[:, None]
    found = []
    for padding in (0.0, float("nan")):
        torch.manual_seed(0)
        filled = torch.where(mask[..., None], inputs, padding).detach().requires_grad_()
        found.append(results(module, filled, hx, lengths=lengths))
    for first, second in zip(*found, strict=True):
        assert torch.equal(first, second)
    assert not found[0][0][~mask].any()
    for leaf, start in zip(flat(module(inputs, hx, lengths=lengths)[1]), flat(hx), strict=True):
        assert torch.equal(leaf[:, 1], start[:, 1])


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_a_reset_equals_a_new_row(name: str, batch_first: bool) -> None:
    module = make(recurra.nn, name, batch_first=batch_first, num_layers=2)
    inputs, hx = example(module)
    time = 1 if batch_first else 0
    reset = torch.zeros(inputs.shape[:2], dtype=torch.bool)
    reset.select(time, 4).fill_(True)
    output, state = module(inputs, hx, reset=reset)
    first, _ = module(inputs.narrow(time, 0, 4), hx)
    second, after = module(inputs.narrow(time, 4, 2))
    assert_same(flat((output, state)), flat((torch.cat([first, second], time), after)))


def without_recurrence(module: Any) -> Any:
    other = copy.deepcopy(module).eval()
    with torch.no_grad():
        for name, weight in other.named_parameters():
            if name.startswith("weight_hh"):
                weight.zero_()
    return other


@pytest.mark.parametrize("name", NAMES)
def test_the_extras_do_what_they_say(name: str) -> None:
    for extra in ("recurrent_dropout", "weight_drop"):
        module = make(recurra.nn, name, **{extra: 1.0}, num_layers=2)
        inputs, hx = example(module)
        assert_same(flat(module(inputs, hx)), flat(without_recurrence(module)(inputs, hx)))
    module = make(recurra.nn, name, input_dropout=1.0)
    assert_same(flat(module(inputs)), flat(module.eval()(torch.zeros_like(inputs))))
    module = make(recurra.nn, name, num_layers=2, hidden_dropout=1.0)
    assert_same([module(inputs)[0]], [module(torch.randn_like(inputs))[0]])
    module = make(recurra.nn, name, output_dropout=1.0)
    assert not module(inputs)[0].any()
    module = make(recurra.nn, name, zoneout=1.0, num_layers=2)
    for mode in (True, False):
        assert_same(flat(module.train(mode)(inputs, hx)[1]), flat(hx))


@pytest.mark.parametrize("name", NAMES)
def test_dropouts_are_off_in_evaluation(name: str) -> None:
    extras = ("input_dropout", "hidden_dropout", "output_dropout", "recurrent_dropout", "weight_drop")
    theirs = make(torch.nn, name, num_layers=2)
    ours = make(recurra.nn, name, num_layers=2, **dict.fromkeys(extras, 0.5))
    inputs, hx = example(ours)
    assert_same(results(ours.eval(), inputs, hx), results(theirs, inputs, hx))
    assert ours.last_path[0].name == FAST
    with dispatch.use("fused"):
        ours.train()(inputs)
    assert ours.last_path[0].reason.startswith("recurrent dropout acts on h inside each step; asked for by")


def test_locked_masks_stay_over_time() -> None:
    module = recurra.nn.GRU(3, 40, output_dropout=0.5)
    output, _ = module(torch.randn(6, 4, 3))
    dropped = output == 0
    assert torch.equal(dropped, dropped[:1].expand_as(dropped))
    assert not torch.equal(dropped[:, 0], dropped[:, 1])


def test_the_cells_own_initialisation() -> None:
    module = recurra.nn.LSTM(3, 5, num_layers=2, initialisation="cell")
    assert module.bias_ih_l1[5:10].tolist() == [1.0] * 5
    block = module.weight_hh_l1[:5]
    torch.testing.assert_close(block @ block.T, torch.eye(5))
    assert "initialisation=cell" in repr(module)


@pytest.mark.parametrize("name", NAMES)
def test_behaves_as_a_module(name: str) -> None:
    module = make(recurra.nn, name, num_layers=2, batch_first=True)
    inputs, _ = example(module)
    expected = module(inputs)[0]
    module.flatten_parameters()
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert torch.equal(other(inputs, lengths=None)[0], expected)
        assert all(a is not b for a, b in zip(other.parameters(), module.parameters(), strict=True))
    other = getattr(recurra.nn, name)(INPUT_SIZE, HIDDEN_SIZE, 2, batch_first=True, device="meta")
    other.load_state_dict(module.state_dict(), assign=True)
    assert_same([other(inputs, lengths=torch.tensor([NUM_STEPS] * 4))[0]], [expected])
    assert_same([module.double()(inputs.double())[0].float()], [expected])
    assert module(inputs[:0].double())[0].shape == (0, NUM_STEPS, HIDDEN_SIZE)
    assert module(inputs[:, :0].double())[0].shape == (BATCH_SIZE, 0, HIDDEN_SIZE)


def test_transforms_and_compilation() -> None:
    module = make(recurra.nn, "LSTM", num_layers=2, batch_first=True, bidirectional=True)
    inputs = torch.randn(5, BATCH_SIZE, NUM_STEPS, INPUT_SIZE)
    stacked = torch.stack([module(part)[0] for part in inputs])
    torch.testing.assert_close(torch.vmap(lambda part: module(part)[0])(inputs), stacked)
    weights = dict(module.named_parameters())
    grads = torch.func.grad(lambda w: torch.func.functional_call(module, w, (inputs[0],))[0].sum())(weights)
    assert_same(list(grads.values()), list(torch.autograd.grad(stacked[0].sum(), list(weights.values()))))
    module = make(recurra.nn, "LSTM", batch_first=True)
    compiled = torch.compile(lambda x, n: module(x, lengths=n)[0], fullgraph=True, dynamic=True, backend="eager")
    for num_steps in (6, 5, 4):
        data, lengths = inputs[0][:, :num_steps], torch.tensor([3, num_steps, 1, 2])
        torch.testing.assert_close(compiled(data, lengths), module(data, lengths=lengths)[0])


@pytest.mark.parametrize(
    ("fault", "error", "message"),
    [
        (
            lambda: recurra.nn.LSTM(3, 5, recurent_dropout=0.1),
            ConfigError,
            "no option `recurent_dropout`. Did you mean",
        ),
        (lambda: recurra.nn.LSTM(3, 5, weight_drop=1.5), ConfigError, "weight_drop"),
        (lambda: recurra.nn.LSTM(3, 5, dropout=1.5), ConfigError, "a probability is wanted"),
        (lambda: recurra.nn.LSTM(3, 5, proj_size=5), ConfigError, "below 5"),
        (lambda: recurra.nn.LSTM(3, 0), ConfigError, "hidden_size"),
        (lambda: recurra.nn.GRU(3, 5, zoneout=(0.1, 0.2)), ConfigError, "one number is wanted"),
        (lambda: recurra.nn.RNN(3, 5, nonlinearity="rely"), ConfigError, "Did you mean `relu`"),
        (lambda: recurra.nn.GRU(3, 5)(torch.zeros(2, 4, 6)), ShapeError, r"\(T, B, 3\)"),
        (lambda: recurra.nn.GRU(3, 5)(torch.zeros(2, 4, 3).double()), ShapeError, "float64"),
        (
            lambda: recurra.nn.GRU(3, 5)(torch.zeros(2, 4, 3), torch.zeros(1, 2, 5)),
            ShapeError,
            r"\(1, 4, 5\) is wanted",
        ),
        (lambda: recurra.nn.GRU(3, 5)(torch.zeros(2, 4, 3), lengths=torch.ones(3).long()), ShapeError, "GRU got `leng"),
        (
            lambda: recurra.nn.GRU(3, 5)(pack_padded_sequence(torch.zeros(2, 4, 3), [2, 2, 1, 1]), lengths=LENGTHS),
            ShapeError,
            "leave out `lengths`",
        ),
    ],
)
def test_errors(fault: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        fault()


def test_dropout_without_a_second_layer_warns() -> None:
    with pytest.warns(UserWarning, match="act between layers"):
        recurra.nn.LSTM(3, 5, dropout=0.5)
