"""The stack: layers, directions, states, and each dropout."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from recurra.cells import Cell, GRUCell, LSTMCell
from recurra.core.config import parse
from recurra.core.errors import ConfigError, ShapeError
from recurra.core.seeding import load_rng_state, rng_state
from recurra.core.sequences import Sequences
from recurra.core.state import State, describe, leaves, select, tree_map
from recurra.kernels import extension
from recurra.kernels.dispatch import use
from recurra.layers.recurrent import DropoutConfig, Recurrent, RecurrentConfig

FAST = "fused" if extension.MISSING else "native"
B, T, I, H = 4, 6, 3, 5  # noqa: E741 (the axes' names)
LENGTHS = torch.tensor([6, 0, 2, 5])
RESET = torch.zeros(B, T, dtype=torch.bool)
RESET[0, 3] = RESET[3, 0] = RESET[3, 2] = True


def build(input_size: int = I, *, dropout: dict[str, float] | None = None, **options: Any) -> Recurrent:
    values = {"hidden_size": H, "num_layers": 2, "dropout": dropout or {}} | options
    return parse(RecurrentConfig, values).build(input_size).double()


def batch(lengths: Tensor | None = LENGTHS, reset: Tensor | None = RESET) -> Sequences:
    return Sequences(torch.randn(B, T, I, dtype=torch.float64), lengths, reset)


def assert_close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("kind", "module"), [("lstm", nn.LSTM), ("gru", nn.GRU), ("elman", nn.RNN)])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_equals_torch_nn(kind: str, module: type[nn.RNNBase], bidirectional: bool) -> None:
    wanted = module(I, H, num_layers=2, bidirectional=bidirectional, batch_first=True).double()
    stack = build(cell=kind, bidirectional=bidirectional)
    suffixes = [f"_l{k}{d}" for k in range(2) for d in (("", "_reverse") if bidirectional else ("",))]
    for cell, suffix in zip(stack.cells, suffixes, strict=True):
        cell.load_state_dict({name: wanted.get_parameter(name + suffix) for name in cell.state_dict()})
    inputs = batch(None, None)
    found = stack(inputs)
    ys, states = wanted(inputs.data)
    assert_close(found.outputs.data, ys)
    per_leaf = states if isinstance(states, tuple) else (states,)
    for leaf, state in enumerate(per_leaf):
        flat = list(leaves(found.state))[leaf :: len(per_leaf)]
        assert_close(torch.stack(flat), state)
    assert [path.name for path in stack.last_path] == [FAST] * len(suffixes)
    sources = [stack.cells[0].get_parameter("weight_hh"), wanted.weight_hh_l0]
    first = torch.autograd.grad(found.outputs.data.square().sum(), sources[:1])[0]
    assert_close(first, torch.autograd.grad(ys.square().sum(), sources[1:])[0])


@pytest.mark.parametrize("cell", ["lstm", "gru", "elman", {"kind": "lstm", "proj_size": 2}])
@pytest.mark.parametrize("learned", [False, True])
def test_whole_equals_split_and_a_row_alone(cell: Any, learned: bool) -> None:
    stack = build(cell=cell, residual=True, learn_initial_state=learned)
    with torch.no_grad():
        for offset in stack.learned.parameters():
            offset.normal_()
    inputs = batch()
    whole = stack(inputs)
    state, parts = stack.initial_state(B), []
    for part in (slice(0, 4), slice(4, T)):
        lengths = (LENGTHS - part.start).clamp(0, part.stop - part.start)
        output = stack(Sequences(inputs.data[:, part], lengths, RESET[:, part]), state)
        state = output.state
        parts.append(output.outputs.data)
    assert_close(torch.cat(parts, 1), whole.outputs.data)
    for found, wanted in zip(leaves(state), leaves(whole.state), strict=True):
        assert_close(found, wanted)
    alone = stack(Sequences(inputs.data[2:3, :2]))
    assert_close(alone.outputs.data[0], whole.outputs.data[2, :2])
    second_half = stack(Sequences(inputs.data[:1, 3:]))
    assert_close(second_half.outputs.data[0], whole.outputs.data[0, 3:])


@pytest.mark.parametrize("bidirectional", [False, True])
def test_padding_is_never_read(bidirectional: bool) -> None:
    stack = build(bidirectional=bidirectional, residual=True, dropout={"input": 0.3, "hidden": 0.2, "recurrent": 0.2})
    inputs = batch()
    dirty = torch.where(inputs.mask[..., None], inputs.data, torch.nan).requires_grad_()
    results, before = [], rng_state()
    for data in (inputs.data, dirty):
        load_rng_state(before)
        results.append(stack(inputs.with_data(data), return_all=True))
    for clean, found in zip(results[0].all, results[1].all, strict=True):
        assert torch.equal(clean, found)
        assert (found[~inputs.mask] == 0).all()
    (gradient,) = torch.autograd.grad(results[1].outputs.data.sum(), [dirty])
    assert (gradient[~inputs.mask] == 0).all()
    assert gradient.isfinite().all()


def test_the_fast_kernel_equals_the_reference_with_both_directions() -> None:
    stack = build(bidirectional=True, learn_initial_state=True)
    inputs = batch()
    found = stack(inputs).outputs.data
    with use("reference"):
        assert_close(found, stack(inputs).outputs.data)
    assert {path.name for path in stack.last_path} == {"reference"}


def test_residual_is_added_where_the_sizes_match() -> None:
    inputs = batch()
    for residual in (False, True):
        stack = build(residual=residual)
        output = stack(inputs, return_all=True)
        first, second = output.all
        alone, _ = stack.cells[0].scan(inputs.data, None, LENGTHS, RESET)
        assert_close(first, alone)
        above, _ = stack.cells[1].scan(first, None, LENGTHS, RESET)
        assert_close(second, above + first if residual else above)
    wide = build(H, num_layers=1, residual=True)
    data = torch.randn(B, T, H, dtype=torch.float64)
    assert_close(wide(Sequences(data)).outputs.data, wide.cells[0].scan(data)[0] + data)


def test_sizes_of_the_last_layer_and_of_projections() -> None:
    stack = build(num_layers=3, last_size=7)
    assert [cell.hidden_size for cell in stack.cells] == [H, H, 7]
    assert stack.output_size == 7
    assert stack(batch()).outputs.data.shape == (B, T, 7)
    both = build(bidirectional=True, last_size=2, cell="gru")
    assert both.output_size == 4
    assert both.cells[2].input_size == 2 * H
    assert build(cell={"kind": "lstm", "proj_size": 2}).output_size == 2


def test_states_are_tuples_over_layers_and_directions() -> None:
    assert describe(build().initial_state(2)) == "(((2, 5), (2, 5)), ((2, 5), (2, 5)))"
    assert describe(build(cell="gru", bidirectional=True, num_layers=1).initial_state(2)) == "(((2, 5), (2, 5)))"
    stack = build(cell="gru")
    assert describe(stack(batch()).state) == describe(stack.initial_state(B))


def test_learned_initial_state() -> None:
    stack = build(learn_initial_state=True)
    names = [name for name, _ in stack.named_parameters() if "learned" in name]
    assert names == [f"learned.{layer}.offsets.{leaf}" for layer in range(2) for leaf in range(2)]
    with torch.no_grad():
        for offset in stack.learned.parameters():
            offset.normal_()
    inputs = batch()
    state = stack.initial_state(B)
    assert all(not torch.equal(leaf, torch.zeros_like(leaf)) for leaf in leaves(state))
    assert_close(stack(inputs).outputs.data, stack(inputs, state).outputs.data)
    carried = tree_map(torch.randn_like, state)
    fresh = stack(inputs.with_data(inputs.data), None)
    after_reset = stack(inputs, carried)
    assert_close(after_reset.outputs.data[0, 3:], fresh.outputs.data[0, 3:])
    assert not torch.allclose(after_reset.outputs.data[0, :3], fresh.outputs.data[0, :3])
    gradients = torch.autograd.grad(fresh.outputs.data.sum(), list(stack.learned.parameters()))
    assert all(gradient.abs().max() > 0 for gradient in gradients)
    groups = stack.layer_parameters()
    assert any(weight is stack.learned[1].offsets[0] for weight in groups[1])


def test_layer_parameters_part_all_parameters_by_layer() -> None:
    for stack in (build(num_layers=3), build(bidirectional=True, learn_initial_state=True)):
        groups = stack.layer_parameters()
        assert len(groups) == stack.config.num_layers
        assert {id(w) for group in groups for w in group} == {id(w) for w in stack.parameters()}
        assert sum(map(len, groups)) == len(list(stack.parameters()))


def test_a_cell_of_your_own_by_factory() -> None:
    class Mean(Cell):
        def initial_state(self, batch_size: int) -> State:
            return self.zeros(batch_size, self.hidden_size)

        def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
            assert isinstance(state, Tensor)
            h = 0.5 * state + x.mean(1, keepdim=True)
            return h, h

    stack = Recurrent(I, RecurrentConfig(num_layers=2, hidden_size=H, dropout={"zoneout_hidden": 0.1}), Mean)
    output = stack(Sequences(torch.randn(B, T, I), LENGTHS, RESET))
    assert output.outputs.data.shape == (B, T, H)


# the dropouts


def outputs_of(stack: Recurrent, inputs: Sequences) -> list[Tensor]:
    return [stack(inputs).outputs.data for _ in range(2)]


@pytest.mark.parametrize("field", [name for name in DropoutConfig.model_fields if name != "embedding"])
def test_every_dropout_acts_in_training_and_is_reproducible(field: str) -> None:
    stack = build(dropout={field: 0.5})
    inputs, before = batch(), rng_state()
    first, second = outputs_of(stack, inputs)
    assert not torch.equal(first, second)
    load_rng_state(before)
    assert torch.equal(stack(inputs).outputs.data, first)
    stack.eval()
    first, second = outputs_of(stack, inputs)
    assert torch.equal(first, second)
    plain = build()
    plain.load_state_dict(stack.state_dict())
    assert torch.equal(plain(inputs).outputs.data, first) != field.startswith("zoneout")


def test_embedding_dropout_is_not_the_stacks() -> None:
    stack = build(dropout={"embedding": 0.5})
    first, second = outputs_of(stack, batch())
    assert torch.equal(first, second)


class Recorder(Cell):
    """Passes its input on, and keeps what it was called with."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size, input_size)
        self.weight_hh = nn.Parameter(torch.ones(200, 200))
        self.seen: list[dict[str, Any]] = []

    def initial_state(self, batch_size: int) -> State:
        return self.zeros(batch_size, self.hidden_size), self.zeros(batch_size, 1)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        return x, state

    def scan(self, xs: Tensor, *arguments: Any, **options: Any) -> tuple[Tensor, State]:
        self.seen.append(options | {"xs": xs})
        return xs, self.initial_state(len(xs))


def record(width: int = 40, num_layers: int = 2, **dropout: float) -> tuple[list[dict[str, Any]], Any]:
    config = RecurrentConfig(num_layers=num_layers, hidden_size=H, dropout=DropoutConfig(**dropout))
    stack = Recurrent(width, config, Recorder)
    output = stack(Sequences(torch.ones(30, T, width)))
    return [call for cell in stack.cells for call in cell.seen], output


def assert_locked(xs: Tensor, probability: float) -> None:
    assert torch.equal(xs, xs[:, :1].expand_as(xs))
    assert len({tuple(row.tolist()) for row in xs[:, 0]}) == len(xs)
    assert xs.unique().tolist() == pytest.approx([0, 1 / (1 - probability)])
    assert abs((xs == 0).float().mean() - probability) < 0.05


def test_where_the_masks_on_features_act() -> None:
    calls, _ = record(input=0.3)
    assert_locked(calls[0]["xs"], 0.3)
    assert torch.equal(calls[1]["xs"], calls[0]["xs"])
    calls, _ = record(hidden=0.4)
    assert (calls[0]["xs"] == 1).all()
    assert_locked(calls[1]["xs"], 0.4)
    calls, output = record(output=0.2)
    assert (calls[1]["xs"] == 1).all()
    assert (output.raw == 1).all()
    assert_locked(output.outputs.data, 0.2)
    calls, output = record(layer=0.25)
    dropped = calls[1]["xs"]
    assert (calls[0]["xs"] == 1).all()
    assert not torch.equal(dropped, dropped[:, :1].expand_as(dropped))
    assert dropped.unique().tolist() == pytest.approx([0, 1 / 0.75])
    assert torch.equal(output.raw, dropped)


def test_what_noise_the_cells_get() -> None:
    calls, _ = record(recurrent=0.5, zoneout_hidden=0.1, zoneout_cell=0.2, weight=0.3)
    for call in calls:
        noise = call["noise"]
        assert noise.training
        assert noise.zoneout == (0.1, 0.2)
        assert noise.hidden_mask.shape == (30, 40)
        assert_locked(noise.hidden_mask[:, None], 0.5)
        assert list(noise.weight_mask) == ["weight_hh"]
        mask = noise.weight_mask["weight_hh"]
        assert mask.unique().tolist() == pytest.approx([0, 1 / 0.7])
        assert abs((mask == 0).float().mean() - 0.3) < 0.02
    assert not torch.equal(calls[0]["noise"].hidden_mask, calls[1]["noise"].hidden_mask)


def test_zoneout_takes_its_expectation_in_eval() -> None:
    stack = build(num_layers=1, dropout={"zoneout_hidden": 0.25, "zoneout_cell": 0.5}).eval()
    inputs = Sequences(torch.randn(B, 1, I, dtype=torch.float64))
    state = tree_map(torch.randn_like, stack.initial_state(B))
    (found,) = stack(inputs, state).state
    (old,) = state
    _, new = stack.cells[0].scan(inputs.data, old)
    assert_close(found[0], 0.25 * old[0] + 0.75 * new[0])
    assert_close(found[1], 0.5 * old[1] + 0.5 * new[1])


def test_torchs_kernel_runs_unless_noise_acts_inside_the_step() -> None:
    inputs = batch()
    for field, name in (
        ("weight", "fused"),
        ("hidden", "fused"),
        ("recurrent", "reference"),
        ("zoneout_cell", "reference"),
    ):
        stack = build(dropout={field: 0.5})
        with use("fused"):
            stack(inputs)
        assert {path.name for path in stack.last_path} == {name}
        stack(inputs)
        assert {path.name for path in stack.last_path} == {name if extension.MISSING else "native"}


# errors


def test_what_does_not_fit_is_refused() -> None:
    stack = build()
    inputs, state = batch(), build().initial_state(B)
    for arguments, message in [
        (
            (inputs.with_data(inputs.data[..., :2]),),
            r"Recurrent\(input_size=3\) got `inputs.data` of shape .* must be 3",
        ),
        ((inputs.with_data(inputs.data.float()),), "torch.float32, its weights are torch.float64"),
        ((inputs.with_data(inputs.data[..., 0]),), r"three axes \(B, T, 3\) are wanted"),
        (
            (inputs, select(state, torch.tensor([0]))),
            r"LSTMCell got `state` of shape \(\(1, 5\), \(1, 5\)\).* is wanted",
        ),
        ((inputs, state[:1]), "Recurrent got `state`"),
        ((inputs, list(state)), "Recurrent got `state` of shape type list"),
        ((Sequences(inputs.data, LENGTHS + 2),), r"got lengths\[0\] = 8"),
    ]:
        with pytest.raises(ShapeError, match=message):
            stack(*arguments)
    both = build(bidirectional=True)
    with pytest.raises(ShapeError, match="a bidirectional stack can't be streamed"):
        both(inputs, both.initial_state(B))


def test_wrong_options_are_refused() -> None:
    for values, message in [
        ({"cell": "lstmm"}, "no such choice `lstmm`. Did you mean `lstm`"),
        ({"dropout": {"inptu": 0.1}}, "no option `dropout.inptu`. Did you mean `dropout.input`"),
        ({"dropout": {"input": 1.5}}, "`dropout.input`: input should be less than or equal to 1, got 1.5"),
        ({"cell": {"kind": "gru", "peephole": True}}, "no option `cell.peephole`"),
        ({"num_layers": 0}, "`num_layers`: input should be greater than or equal to 1"),
    ]:
        with pytest.raises(ConfigError, match=message):
            parse(RecurrentConfig, values)


def test_no_rows_and_no_steps() -> None:
    stack = build(residual=True)
    for batch_size, num_steps in ((0, T), (B, 0)):
        output = stack(Sequences(torch.zeros(batch_size, num_steps, I, dtype=torch.float64)))
        assert output.outputs.data.shape == (batch_size, num_steps, H)


# torch.compile


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_whole_model_compiles_once_for_all_lengths(cell: str) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(20, I)
            dropout = DropoutConfig(weight=0.2, input=0.2, hidden=0.2, output=0.2)
            config = RecurrentConfig(cell=cell, hidden_size=H, num_layers=2, residual=True, dropout=dropout)
            self.recurrent = config.build(I)
            self.head = nn.Linear(H, 20)

        def forward(self, tokens: Tensor, lengths: Tensor, reset: Tensor, state: State) -> tuple[Tensor, State]:
            output = self.recurrent(Sequences(self.embedding(tokens), lengths, reset), state)
            return self.head(output.outputs.data), output.state

    torch._dynamo.reset()
    model = Model()
    compiled = torch.compile(model, fullgraph=True, dynamic=True, backend="aot_eager")
    state = tree_map(torch.randn_like, model.recurrent.initial_state(B))
    for num_steps in (6, 11, 9):
        tokens, reset = torch.randint(0, 20, (B, num_steps)), torch.rand(B, num_steps) < 0.2
        results, before = [], rng_state()
        with torch._dynamo.config.patch(error_on_recompile=num_steps != 6):
            for function in (model, compiled):
                load_rng_state(before)
                logits, after = function(tokens, LENGTHS, reset, state)
                loss = logits.square().sum() + sum(leaf.sum() for leaf in leaves(after))
                results.append([logits, *leaves(after), *torch.autograd.grad(loss, list(model.parameters()))])
        for found, wanted in zip(results[1], results[0], strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    assert [path.name for path in model.recurrent.last_path] == [FAST, FAST]


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_stack_is_exported_with_a_free_number_of_steps(cell: str) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.recurrent = RecurrentConfig(cell=cell, hidden_size=H, num_layers=2).build(I)

        def forward(self, xs: Tensor, lengths: Tensor) -> Tensor:
            found: Tensor = self.recurrent(Sequences(xs, lengths)).outputs.data
            return found

    model = Model().eval()
    steps = torch.export.Dim("steps", min=2, max=1000)
    shapes = ({1: steps}, None)
    program = torch.export.export(model, (torch.randn(B, T, I), LENGTHS), dynamic_shapes=shapes)
    xs = torch.randn(B, 17, I)
    torch.testing.assert_close(program.module()(xs, LENGTHS), model(xs, LENGTHS))


def test_default_is_one_lstm_layer() -> None:
    stack = Recurrent(I)
    assert isinstance(stack.cells[0], LSTMCell)
    assert stack.output_size == 256
    assert isinstance(build(cell="gru").cells[0], GRUCell)
