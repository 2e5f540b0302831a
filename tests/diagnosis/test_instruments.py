"""The instruments against closed forms and counted answers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from recurra.cells import ElmanCell, LSTMCell
from recurra.core.batch import Batch, InputKind, LossSum, Resolution, TaskSpec
from recurra.core.inputs import Window
from recurra.core.sequences import Sequences, pad
from recurra.core.state import State
from recurra.diagnosis.activity import activity, measure
from recurra.diagnosis.dynamics import dynamics, growth, spectral_radius
from recurra.diagnosis.fitting import measure_loss
from recurra.diagnosis.horizon import horizon, main_stack, memory_curve
from recurra.diagnosis.leaks import find_leak, sees_ahead
from recurra.diagnosis.needs import information, needs
from recurra.diagnosis.padding import padding
from recurra.diagnosis.updates import clipping
from recurra.layers import Recurrent, RecurrentConfig
from recurra.layers.recording import recorded
from recurra.losses import cross_entropy
from recurra.models import LanguageModel, LanguageModelConfig, TextClassifier, TextClassifierConfig


def linear_cell(matrix: Tensor) -> ElmanCell:
    size = len(matrix)
    cell = ElmanCell(size, size, activation=lambda x: x, bias=False)
    with torch.no_grad():
        cell.weight_hh.copy_(matrix)
    return cell


def test_exponents_of_a_linear_layer_are_the_logs_of_its_eigenvalues() -> None:
    turn = torch.linalg.qr(torch.randn(4, 4, dtype=torch.float64))[0].float()
    matrix = turn @ torch.diag(torch.tensor([1.2, 0.9, 0.5, 0.1])) @ turn.T
    stack = Recurrent(4, RecurrentConfig(hidden_size=4), lambda *_: linear_cell(matrix))
    with recorded(stack) as stacks:
        stack(Sequences(torch.randn(3, 40, 4)))
    found = dynamics(stacks)["layer 1"]
    assert found.exponents == pytest.approx([math.log(value) for value in (1.2, 0.9, 0.5, 0.1)], abs=0.01)
    assert found.radius == pytest.approx(1.2, rel=1e-4)
    assert found.gain[20] / found.gain[10] == pytest.approx(1.2**10, rel=1e-3)
    assert found.reach(0.5) is None


def test_growth_is_that_of_whole_jacobians() -> None:
    """The summed logs are the log volume that the product of all step Jacobians stretches."""
    cell = LSTMCell(3, 2, dtype=torch.float64)
    state: State = cell.initial_state(1)
    steps, product = [], torch.eye(4, dtype=torch.float64)
    for x in torch.randn(5, 1, 3, dtype=torch.float64):
        steps.append((cell.project(x), state))

        def step(flat: Tensor, x: Tensor = x) -> Tensor:
            h, c = cell.step(x, (flat[:, :2], flat[:, 2:]))[1]  # type: ignore[misc]
            return torch.cat([h, c], 1)

        flat = torch.cat(list(state), 1)  # type: ignore[arg-type]
        product = torch.autograd.functional.jacobian(step, flat)[0, :, 0] @ product
        state = cell.step(x, state)[1]
    logs = growth(lambda p, s, n: cell.recur(p, s, n), steps)
    assert float(logs.sum()) == pytest.approx(float(torch.linalg.slogdet(product)[1]), rel=1e-3)


def test_radius_is_that_of_the_largest_block() -> None:
    cell = LSTMCell(2, 3)
    with torch.no_grad():
        cell.weight_hh.zero_()
        cell.weight_hh[3:6] = 2 * torch.eye(3)
    assert spectral_radius(cell) == pytest.approx(2)
    assert spectral_radius(LSTMCell(2, 3, proj_size=2)) is None


def test_gates_are_told_apart_and_counted() -> None:
    stack = Recurrent(2, RecurrentConfig(hidden_size=4))
    with torch.no_grad():
        stack.cells[0].bias_ih[4:8] = 30.0  # type: ignore[index]
        stack.cells[0].bias_ih[12:14] = -30.0  # type: ignore[index]
    with recorded(stack) as stacks:
        stack(pad([torch.randn(6, 2), torch.randn(3, 2)]))
    found = activity(stacks)["layer 1"].activities
    assert found["forget gate"].high == found["forget gate"].stuck == 1
    assert found["output gate"].low == pytest.approx(0.5) and found["output gate"].stuck == pytest.approx(0.5)
    assert found["input gate"].stuck == 0


def test_relu_units_that_are_always_zero_are_dead() -> None:
    found = measure("relu", torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 2.0]]))
    assert (found.stuck, found.low) == (pytest.approx(1 / 3), pytest.approx(4 / 6))


def test_recording_changes_nothing_and_leaves_nothing() -> None:
    stack = Recurrent(3, RecurrentConfig(hidden_size=4, num_layers=2, bidirectional=True)).eval()
    inputs = pad([torch.randn(5, 3), torch.randn(2, 3)])
    before = stack(inputs).outputs.data
    with recorded(stack) as stacks:
        inside = stack(inputs).outputs.data
    assert torch.allclose(before, inside, atol=1e-6) and torch.equal(before, stack(inputs).outputs.data)
    assert [(record.layer, record.reverse) for record in stacks[0].cells] == [
        (0, False),
        (0, True),
        (1, False),
        (1, True),
    ]
    assert "recurrence" not in vars(LSTMCell) and len(stacks) == 1


def test_memory_ends_where_the_network_forgets() -> None:
    """A layer without recurrent weights knows its last input alone."""
    spec = TaskSpec(InputKind.TOKENS, 9, 9, Resolution.STEP)
    model = LanguageModel(LanguageModelConfig(embedding_dim=4, hidden_size=5, cell="elman"), spec).eval()
    with torch.no_grad():
        model.encoder.recurrent.cells[0].weight_hh.zero_()  # type: ignore[operator, union-attr]
    batch = Batch(Sequences(torch.randint(0, 9, (6, 20))), torch.zeros(6, 20, dtype=torch.int64))
    with recorded(model) as stacks:
        model(batch.inputs)
    main = main_stack(stacks, batch)
    assert main is not None
    curve = memory_curve(model, batch, main, Resolution.STEP)
    assert curve[0] == 1 and max(size for distance, size in curve.items() if distance) < 1e-5
    assert horizon(curve) == 0 and horizon({0: 1.0, 5: 0.5, 8: 0.001}) == 5


def test_information_is_that_of_the_table() -> None:
    one = np.array([0, 0, 1, 1] * 50)
    assert information(one, one) == pytest.approx(math.log(2))
    assert information(one, np.array([0, 1, 0, 1] * 50)) == pytest.approx(0)


def test_needs_find_the_distance_and_ignore_what_the_window_shows() -> None:
    draw = np.random.default_rng(0)
    tokens = draw.integers(0, 6, 30_000)
    for place in range(20, len(tokens)):
        if draw.random() < 0.8:
            tokens[place] = tokens[place - 20]
    whole = torch.tensor(tokens)[None]
    stream = [Batch(Sequences(whole[:, :-1]), whole[:, 1:])]
    found = needs(stream, 64, 8)
    assert found is not None and found.beyond == 20 and found.is_hidden
    assert found.fresh == pytest.approx(found.information[19], rel=0.1)
    assert not needs(stream, 64, 32).is_hidden  # type: ignore[union-attr]
    assert needs([Batch(Sequences(torch.randn(2, 5, 3)), torch.zeros(2, 5))], 8, 4) is None


def test_what_near_tokens_tell_as_well_needs_no_memory() -> None:
    """In a chant that comes again every 21 tokens, two of them tell what follows."""
    whole = torch.tensor([*range(15), *range(14, 8, -1)]).repeat(300)[None]
    found = needs([Batch(Sequences(whole[:, :-1]), whole[:, 1:])], 64, 8)
    assert found is not None and found.information[20] > 2 and not found.is_hidden


def test_a_classifier_reads_no_padding_and_the_share_is_counted() -> None:
    spec = TaskSpec(InputKind.TOKENS, 9, 2, Resolution.SEQUENCE)
    model = TextClassifier(TextClassifierConfig(embedding_dim=4, hidden_size=5, bidirectional=True), spec).eval()
    rows = [torch.randint(0, 9, (length,)) for length in (12, 3, 3, 3)]
    batch = Batch(pad(rows), torch.tensor([0, 1, 0, 1]))
    found = padding(model, [batch], [batch], Resolution.SEQUENCE)
    assert found is not None and found.share == pytest.approx(27 / 48) and found.longest == 12
    assert found.read is not None and found.read < 1e-5


def test_clipping_counts_updates() -> None:
    rows = [{"kind": "train", "gradient_norm": norm} for norm in (0.5, 2.0, 4.0, None)] + [{"kind": "valid"}]
    found = clipping(rows, 1.0)
    assert found is not None and (found.clipped, found.typical, found.shrunk) == (pytest.approx(2 / 3), 2, 2)
    assert clipping([], 1.0) is None


class Classes:
    """Two classes of a sequence, told by logits."""

    spec = TaskSpec(InputKind.TOKENS, 9, 2, Resolution.SEQUENCE)

    def loss(self, prediction: Tensor, batch: Batch) -> LossSum:
        return cross_entropy(prediction, batch.targets)


class FirstToken(torch.nn.Module):
    """Knows the class by the first token."""

    def forward(self, inputs: Sequences, state: object = None) -> object:
        logits = torch.nn.functional.one_hot(inputs.data[:, 0] % 2, 2) * 4.0
        return type("Output", (), {"prediction": logits, "state": None})


def test_exchanged_targets_cost_more_where_something_was_learnt() -> None:
    tokens = torch.randint(0, 9, (80, 5))
    rows = [Batch(Sequences(part), part[:, 0] % 2) for part in tokens.split(20)]
    found = measure_loss(FirstToken(), Classes(), rows, carries_state=False)  # type: ignore[arg-type]
    assert found is not None and found.learnt and found.true < 0.1
    chance = [Batch(Sequences(part), torch.randint(0, 2, (20,))) for part in tokens.split(20)]
    assert not measure_loss(FirstToken(), Classes(), chance, carries_state=False).learnt  # type: ignore[arg-type, union-attr]


def test_leaks_of_numbers_classes_and_steps() -> None:
    values, target = torch.randn(60, 8, 2), torch.randn(60, 1)
    values[:, :, 1] = target
    found = find_leak([Batch(Sequences(values), target)], Resolution.SEQUENCE, ("price", "answer"))
    assert found is not None and found.name == "answer" and found.told == pytest.approx(1, abs=1e-4)
    assert find_leak([Batch(Sequences(values[:, :, :1]), target)], Resolution.SEQUENCE) is None
    tokens = torch.randint(0, 5, (4, 50))
    assert find_leak([Batch(Sequences(tokens), tokens)], Resolution.STEP).kind == "step"  # type: ignore[union-attr]
    assert find_leak([Batch(Sequences(tokens), tokens.roll(-1, 1))], Resolution.STEP) is None
    assert find_leak([], Resolution.STEP) is None


def test_a_slow_series_is_no_leak_of_its_covariate() -> None:
    """What goes along with a random walk tells it as well as its own last value does."""
    walk = torch.randn(60, 30).cumsum(1) * 10
    past = Window(Sequences(walk[:, :29, None]), past_covariates=walk[:, :29, None] + 1)
    assert find_leak([Batch(past, walk[:, 29:, None])], Resolution.HORIZON) is None
    told = Window(Sequences(torch.randn(60, 29, 1)), past_covariates=walk[:, 29:, None].expand(-1, 29, -1))
    assert find_leak([Batch(told, walk[:, 29:, None])], Resolution.HORIZON).kind == "past"  # type: ignore[union-attr]


def test_a_language_model_does_not_see_ahead_and_one_that_reads_both_ways_does() -> None:
    spec = TaskSpec(InputKind.TOKENS, 9, 9, Resolution.STEP)
    model = LanguageModel(LanguageModelConfig(embedding_dim=4, hidden_size=5), spec).eval()
    batch = Batch(Sequences(torch.randint(0, 9, (4, 12))), torch.zeros(4, 12, dtype=torch.int64))
    assert sees_ahead(model, batch) == 0
    both = RecurrentConfig(hidden_size=5, bidirectional=True)
    model.encoder.recurrent = Recurrent(4, both).eval()
    model.head = torch.nn.Linear(10, 9)
    assert sees_ahead(model, batch) > 0.01  # type: ignore[operator]
