"""The linear recurrence: C++ and plain torch beside a loop in float64, with every option."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import grad, jvp, vmap

from recurra.cells import Cell
from recurra.core.errors import ShapeError
from recurra.kernels import extension
from recurra.kernels.dispatch import use
from recurra.kernels.linear import linear_path, linear_scan, native

needs_native = pytest.mark.skipif(bool(native.MISSING), reason=native.MISSING)
PATHS = [pytest.param("native", marks=needs_native), "reference"]
TYPES = [torch.float32, torch.float64, torch.complex64, torch.complex128]
B, T, D = 5, 9, 3
LENGTHS = torch.tensor([4, 9, 0, 1, 8])
RESET = torch.zeros(B, T, dtype=torch.bool)
for row, step in ((0, 1), (0, 6), (1, 0), (1, 3), (1, 4), (2, 2), (3, 0), (4, 7), (4, 8)):
    RESET[row, step] = True
OPTIONS: list[Any] = [
    pytest.param({}, id="plain"),
    pytest.param({"lengths": LENGTHS}, id="lengths"),
    pytest.param({"reset": RESET}, id="reset"),
    pytest.param({"lengths": LENGTHS, "reset": RESET}, id="both"),
]


def oracle(
    a: Tensor,
    b: Tensor,
    state: Tensor | None = None,
    lengths: Tensor | None = None,
    reset: Tensor | None = None,
    *,
    reverse: bool = False,
    initial: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Row by row and step by step, in double precision."""
    wide = torch.complex128 if (a * b).is_complex() else torch.float64
    a, b = a.to(wide).expand(b.shape), b.to(wide)
    zeros = torch.zeros(b.shape[0], b.shape[2], dtype=wide)
    initial = zeros if initial is None else initial.to(wide).expand_as(zeros)
    state = initial if state is None else state.to(wide).expand_as(zeros)
    hs, last = [], []
    for row in range(b.shape[0]):
        length = b.shape[1] if lengths is None else int(lengths[row])
        h, own = state[row], {}
        for t in reversed(range(length)) if reverse else range(length):
            border = t + 1 if reverse else t
            if reset is not None and border < length and reset[row, border]:
                h = initial[row]
            h = own[t] = a[row, t] * h + b[row, t]
        hs.append(torch.stack([own.get(t, zeros[0]) for t in range(b.shape[1])]) if b.shape[1] else b[row])
        last.append(h)
    return torch.stack(hs), torch.stack(last)


def numbers(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, dtype=torch.complex128 if dtype.is_complex else torch.float64).to(dtype)


def leaf(tensor: Tensor) -> Tensor:
    return tensor.detach().clone().requires_grad_()


def outcome(scan: Callable[..., tuple[Tensor, Tensor]], tensors: list[Tensor | None], **options: Any) -> list[Tensor]:
    """Values, and the gradients of a sum that weighs every output."""
    a, b, state, initial = leaves = [None if tensor is None else leaf(tensor) for tensor in tensors]
    hs, last = scan(a, b, state, initial=initial, **options)
    generator = torch.Generator().manual_seed(3)
    loss = sum(
        (out * torch.randn(out.shape, generator=generator, dtype=torch.float64).to(out.dtype)).sum().real
        for out in (hs, last)
    )
    used = [leaf for leaf in leaves if leaf is not None]
    return [hs.detach(), last.detach(), *torch.autograd.grad(loss, used, allow_unused=True, materialize_grads=True)]


def assert_same(found: list[Tensor], wanted: list[Tensor], dtype: torch.dtype) -> None:
    tolerance = {"rtol": 1e-4, "atol": 3e-5} if dtype in (torch.float32, torch.complex64) else {}
    for own, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(own, other.to(own.dtype), **tolerance)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("path", PATHS)
def test_values_and_gradients(path: Any, dtype: torch.dtype, options: dict[str, Any], reverse: bool) -> None:
    tensors = [numbers(*shape, dtype=dtype) for shape in ((B, T, D), (B, T, D), (B, D), (B, D))]
    with use(path):
        assert linear_path(tensors[1]).name == path
        found = outcome(linear_scan, tensors, reverse=reverse, **options)
        bare = outcome(linear_scan, [*tensors[:2], None, None], reverse=reverse, **options)
    assert [part.dtype for part in found] == [dtype] * 6
    assert_same(found, outcome(oracle, tensors, reverse=reverse, **options), dtype)
    assert_same(bare, outcome(oracle, [*tensors[:2], None, None], reverse=reverse, **options), dtype)


@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (1, 7, 8), (3, 2, 33), (2, 5, 70), (1, 3, 2050), (33, 3, 17), (2, 40, 256)]
)
@pytest.mark.parametrize("dtype", TYPES, ids=str)
@needs_native
def test_sizes_around_those_of_vectors(dtype: torch.dtype, shape: tuple[int, int, int]) -> None:
    tensors = [numbers(*shape, dtype=dtype) * 0.7, numbers(*shape, dtype=dtype), None, None]
    for reverse in (False, True):
        found = outcome(linear_scan, tensors, reverse=reverse)
        assert_same(found, outcome(oracle, tensors, reverse=reverse), dtype)


@pytest.mark.parametrize("num_threads", [2, 3])
@pytest.mark.parametrize("shape", [(1, 600, 512), (3, 400, 300), (2, 3000, 64)])
@needs_native
def test_threads_change_no_bit(shape: tuple[int, int, int], num_threads: int) -> None:
    lengths = torch.linspace(1, shape[1], shape[0]).long()
    tensors = [numbers(*shape, dtype=torch.float32).sigmoid(), numbers(*shape, dtype=torch.float32), None, None]
    one = outcome(linear_scan, tensors, lengths=lengths)
    torch.set_num_threads(num_threads)
    try:
        several = outcome(linear_scan, tensors, lengths=lengths)
    finally:
        torch.set_num_threads(1)
    assert all(torch.equal(own, other) for own, other in zip(one, several, strict=True))


@needs_native
def test_outputs_too_large_for_the_cache() -> None:
    tensors = [numbers(2, 4200, 256, dtype=torch.float32).sigmoid(), numbers(2, 4200, 256, dtype=torch.float32)]
    found = outcome(linear_scan, [*tensors, None, None])
    with use("reference"):
        wanted = outcome(linear_scan, [*tensors, None, None])
    assert_same(found, wanted, torch.float32)


@pytest.mark.parametrize("shape", [(), (D,), (1,), (T, D), (B, 1, D), (1, T, D), (B, T, 1), (B, 1, 1), (T, 1)])
@pytest.mark.parametrize("path", PATHS)
def test_factors_broadcast(path: Any, shape: tuple[int, ...]) -> None:
    tensors = [numbers(*shape), numbers(B, T, D), numbers(D), numbers(1, D)]
    for reverse in (False, True):
        options = {"lengths": LENGTHS, "reset": RESET, "reverse": reverse}
        with use(path):
            found = outcome(linear_scan, tensors, **options)
        assert_same(found, outcome(oracle, tensors, **options), torch.float64)


@pytest.mark.parametrize("path", PATHS)
def test_padding_is_never_read(path: Any) -> None:
    padding = torch.arange(T) >= LENGTHS[:, None]
    clean = [numbers(B, T, D), numbers(B, T, D), numbers(B, D), numbers(B, D)]
    spoilt = [tensor.masked_fill(padding[..., None], torch.nan) for tensor in clean[:2]] + clean[2:]
    for reverse in (False, True):
        options = {"lengths": LENGTHS, "reset": RESET, "reverse": reverse}
        with use(path):
            found = outcome(linear_scan, spoilt, **options)
            wanted = outcome(linear_scan, clean, **options)
        assert all(torch.equal(own, other) for own, other in zip(found, wanted, strict=True))
        assert not found[0][padding].any()
        assert not found[2][padding].any() and not found[3][padding].any()


def _strange(kind: str, tensor: Tensor) -> Tensor:
    if kind == "transposed":
        return tensor.permute(2, 1, 0).contiguous().permute(2, 1, 0)
    if kind == "sliced":
        return torch.stack([tensor, tensor], 3).flatten(2)[:, :, ::2]
    if kind == "time-major":
        return tensor.transpose(0, 1).contiguous().transpose(0, 1)
    return tensor.conj() if kind == "conjugated" else tensor.conj().imag


@pytest.mark.parametrize("kind", ["transposed", "sliced", "time-major", "conjugated", "negated"])
@needs_native
def test_any_layout(kind: str) -> None:
    plain = [numbers(B, T, D, dtype=torch.complex128), numbers(B, T, D, dtype=torch.complex128)]
    strange = [_strange(kind, tensor) for tensor in plain]
    assert all(t.is_neg() or t.is_conj() or not t.is_contiguous() for t in strange)
    wanted = [tensor.resolve_conj().resolve_neg().contiguous() for tensor in strange]
    (hs, last), (hs_wanted, last_wanted) = linear_scan(*strange), linear_scan(*wanted)
    assert torch.equal(hs, hs_wanted) and torch.equal(last, last_wanted)
    leaves = [leaf(tensor) for tensor in plain]
    hs, _ = linear_scan(*(_strange(kind, tensor) for tensor in leaves))
    found = torch.autograd.grad(_strange("transposed", hs).real.sum(), leaves)
    hs, _ = oracle(*(_strange(kind, tensor) for tensor in leaves))
    assert_same([*found], [*torch.autograd.grad(hs.real.sum(), leaves)], torch.float64)


@needs_native
def test_expanded_numbers_get_whole_gradients() -> None:
    a, b = leaf(numbers(1, 1, D)), leaf(numbers(B, 1, D))
    found = torch.autograd.grad(linear_scan(a.expand(B, T, D), b.expand(B, T, D))[0].sum(), [a, b])
    wanted = torch.autograd.grad(oracle(a.expand(B, T, D), b.expand(B, T, D))[0].sum(), [a, b])
    assert_same([*found], [*wanted], torch.float64)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=str)
@needs_native
def test_derivatives_of_second_order(dtype: torch.dtype, options: dict[str, Any]) -> None:
    rows = slice(0, 5, 4)
    options = {name: tensor[rows, :] if name == "reset" else tensor[rows] for name, tensor in options.items()}
    for reverse, shape in ((False, (2, T, 2)), (True, (2, T, 2)), (False, (2,)), (True, (T, 2))):
        leaves = [leaf(numbers(*size, dtype=dtype)) for size in (shape, (2, T, 2), (2, 2), (2, 2))]

        def scan(a: Tensor, b: Tensor, state: Tensor, initial: Tensor) -> tuple[Tensor, Tensor]:
            return linear_scan(a, b, state, initial=initial, reverse=reverse, **options)  # noqa: B023

        assert torch.autograd.gradcheck(scan, leaves, fast_mode=True)
        assert torch.autograd.gradgradcheck(scan, leaves, fast_mode=True)


@needs_native
def test_derivatives_of_third_order() -> None:
    leaves = [leaf(numbers(2, 4, 2)), leaf(numbers(2, 4, 2))]

    def third(scan: Callable[..., tuple[Tensor, Tensor]]) -> tuple[Tensor, ...]:
        total = scan(*leaves)[0].sin().sum()
        for _ in range(2):
            total = sum(part.square().sum() for part in torch.autograd.grad(total, leaves, create_graph=True))
        return torch.autograd.grad(total, leaves)

    for own, other in zip(third(linear_scan), third(oracle), strict=True):
        torch.testing.assert_close(own, other)


@needs_native
def test_only_one_output_or_one_input_counts() -> None:
    tensors = [numbers(B, T, D), numbers(B, T, D), numbers(B, D), numbers(B, D)]
    options = {"lengths": LENGTHS, "reset": RESET}
    for place in (0, 1):
        for wanted in range(4):
            results = []
            for scan in (linear_scan, oracle):
                given = [leaf(t) if index == wanted else t for index, t in enumerate(tensors)]
                out = scan(*given[:3], initial=given[3], **options)[place]
                results.append(torch.autograd.grad(out.square().sum(), given[wanted])[0])
            torch.testing.assert_close(*results)


@needs_native
@pytest.mark.parametrize("which", ["a", "hs"])
def test_edits_in_place_are_noticed(which: str) -> None:
    a, b = leaf(numbers(B, T, D)), leaf(numbers(B, T, D))
    factors = a * 1
    with use("native"):
        hs, _ = linear_scan(factors, b)
    loss = hs.sum()
    with torch.no_grad():
        (factors if which == "a" else hs).mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.parametrize("shape", [(0, T, D), (B, 0, D), (B, T, 0), (0, 0, 0)])
@pytest.mark.parametrize("path", PATHS)
def test_nothing_to_do(path: Any, shape: tuple[int, int, int]) -> None:
    a, b = leaf(torch.randn(shape)), leaf(torch.randn(shape))
    state = leaf(torch.randn(shape[0], shape[2]))
    with use(path):
        hs, last = linear_scan(a, b, state, lengths=torch.zeros(shape[0], dtype=torch.int64))
        assert hs.shape == shape
        assert torch.equal(last, state)
        last.sum().backward()
        assert torch.equal(state.grad, torch.ones_like(state))
        hs, last = linear_scan(a, b)
        assert hs.shape == shape and last.shape == state.shape and not last.any()


@pytest.mark.parametrize("path", PATHS)
def test_types_are_promoted(path: Any) -> None:
    a, b = numbers(D, dtype=torch.complex64), numbers(B, T, D, dtype=torch.float32)
    with use(path):
        found = outcome(linear_scan, [a, b, None, None])
        assert [part.dtype for part in found] == [torch.complex64] * 3 + [torch.float32]
        assert_same(found, outcome(oracle, [a, b, None, None]), torch.complex64)
        assert linear_scan(b[0, 0], b, b[0, 0].double())[0].dtype == torch.float64
        half = b.bfloat16()
        hs, last = linear_scan(half, half)
        assert hs.dtype == last.dtype == torch.bfloat16
        torch.testing.assert_close(hs, linear_scan(half.float(), half.float())[0].bfloat16())


@needs_native
def test_autocast_leaves_the_kernel_and_the_numbers() -> None:
    a, b = torch.rand(B, T, D), torch.randn(B, T, D)
    with torch.autocast("cpu"):
        hs, _ = linear_scan(a, b)
    assert torch.equal(hs, linear_scan(a, b)[0])


@needs_native
@pytest.mark.parametrize("setting", ["off", "torch"])
def test_the_environment_is_obeyed(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECURRA_KERNELS", setting)
    path = linear_path(torch.randn(B, T, D))
    assert (path.name, f"RECURRA_KERNELS={setting}" in path.reason) == ("reference", True)


def test_without_the_extension(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "MISSING", "recurra's own kernels are not installed")
    monkeypatch.delenv("RECURRA_KERNELS", raising=False)
    monkeypatch.setattr(extension, "MISSING", "recurra's own kernels are not installed")
    tensors = [numbers(D), numbers(B, T, D), numbers(B, D), numbers(B, D)]
    options = {"lengths": LENGTHS, "reset": RESET}
    assert linear_path(tensors[1]).reason == (
        "torch has no kernel for linear recurrences; recurra's own kernels are not installed"
    )
    assert_same(outcome(linear_scan, tensors, **options), outcome(oracle, tensors, **options), torch.float64)
    compiled = torch.compile(linear_scan, backend="eager", fullgraph=True)
    assert_same(outcome(compiled, tensors, **options), outcome(oracle, tensors, **options), torch.float64)


class Scan(nn.Module):
    """For export."""

    def forward(self, a: Tensor, b: Tensor, state: Tensor, initial: Tensor, lengths: Tensor, reset: Tensor) -> Any:
        return linear_scan(a, b, state, lengths, reset, initial=initial)


def arguments(batch_size: int, num_steps: int) -> list[Tensor]:
    return [
        *(numbers(*shape) for shape in ((D,), (batch_size, num_steps, D), (batch_size, D), (batch_size, D))),
        torch.arange(batch_size) % (num_steps + 1),
        torch.rand(batch_size, num_steps) < 0.3,
    ]


@pytest.mark.parametrize("path", PATHS)
def test_compiled_whole_and_once(path: Any) -> None:
    compiled = torch.compile(linear_scan, backend="aot_eager", fullgraph=True, dynamic=True)
    for index, (batch_size, num_steps) in enumerate(((5, 9), (3, 14), (7, 4))):
        *tensors, lengths, reset = arguments(batch_size, num_steps)
        options = {"lengths": lengths, "reset": reset}
        with torch._dynamo.config.patch(error_on_recompile=index > 0), use(path):
            found = outcome(compiled, tensors, **options)
        assert_same(found, outcome(oracle, tensors, **options), torch.float64)


@pytest.mark.parametrize("path", PATHS)
def test_compiled_with_complex_numbers(path: Any) -> None:
    def scan(a: Tensor, b: Tensor, state: None, initial: None) -> Any:
        return linear_scan(a.conj(), b.conj())

    tensors = [*(numbers(*shape, dtype=torch.complex128) for shape in ((D,), (B, T, D))), None, None]
    compiled = torch.compile(scan, backend="aot_eager", fullgraph=True)
    with use(path):
        found = outcome(compiled, tensors)
    wanted = outcome(lambda a, b, state, initial: oracle(a.conj(), b.conj()), tensors)
    assert_same(found, wanted, torch.complex128)


@needs_native
def test_a_compiled_scan_notices_wrong_lengths() -> None:
    compiled = torch.compile(linear_scan, backend="aot_eager", fullgraph=True)
    with pytest.raises(ShapeError, match=r"lengths\[1\] = 10: a length is 0..9"):
        compiled(numbers(D), numbers(2, T, D), None, torch.tensor([3, 10]))


def test_exported_for_any_batch_and_steps() -> None:
    batch, steps = torch.export.Dim("batch", min=2), torch.export.Dim("steps", min=2)
    of_row = {0: batch}
    shapes = ({}, {0: batch, 1: steps}, of_row, of_row, of_row, {0: batch, 1: steps})
    program = torch.export.export(Scan(), tuple(arguments(5, 9)), dynamic_shapes=shapes)
    assert program.graph.find_nodes(op="call_function", target=torch.ops.recurra.linear_scan.default)
    given = arguments(3, 20)
    for own, other in zip(program.module()(*given), Scan()(*given), strict=True):
        torch.testing.assert_close(own, other)


@pytest.mark.parametrize("is_full", [True, False])
def test_the_operators_obey_torchs_rules(is_full: bool) -> None:
    dtype, steps = (torch.float64, T) if is_full else (torch.complex64, 1)
    a, b, hs, d_hs = (leaf(numbers(*shape, dtype=dtype)) for shape in ((1, steps, D), *[(B, T, D)] * 3))
    state, initial, d_last = (leaf(numbers(B, D, dtype=dtype)) for _ in range(3))
    rest = (state, initial, LENGTHS, RESET, False) if is_full else (None, initial, None, None, True)
    torch.library.opcheck(torch.ops.recurra.linear_scan.default, (a, b, *rest))
    arguments = (d_hs, d_last if is_full else None, is_full, a, hs, *rest)
    torch.library.opcheck(torch.ops.recurra.linear_scan_backward.default, arguments)


def by_hand(scan: Callable[..., Tensor], dims: tuple[int | None, ...], tensors: list[Tensor]) -> Tensor:
    pairs = list(zip(tensors, dims, strict=True))
    size = next(tensor.shape[dim] for tensor, dim in pairs if dim is not None)
    return torch.stack([scan(*(t if dim is None else t.select(dim, i) for t, dim in pairs)) for i in range(size)])


@pytest.mark.parametrize(
    ("dims", "shapes"),
    [
        ((0, 0, 0), ((4, B, T, D), (4, B, T, D), (4, B, D))),
        ((3, 1, None), ((B, T, D, 4), (B, 4, T, D), (B, D))),
        ((None, 0, None), ((B, T, D), (4, B, T, D), (D,))),
        ((None, 2, 1), ((D,), (B, T, 4, D), (B, 4, D))),
        ((0, None, None), ((4, D), (B, T, D), (B, D))),
        ((None, None, 0), ((1, T, D), (1, T, D), (4, 1, D))),
    ],
)
@pytest.mark.parametrize("path", PATHS)
def test_vmap(path: Any, dims: tuple[int | None, ...], shapes: tuple[tuple[int, ...], ...]) -> None:
    def scan(a: Tensor, b: Tensor, state: Tensor) -> Tensor:
        lengths, reset = (LENGTHS, RESET) if len(b) == B else (None, None)
        return torch.cat([part.flatten() for part in linear_scan(a, b, state, lengths, reset)])

    leaves = [leaf(numbers(*shape)) for shape in shapes]
    with use(path):
        found, wanted = vmap(scan, dims)(*leaves), by_hand(scan, dims, leaves)
    torch.testing.assert_close(found, wanted)
    for own, other in zip(
        torch.autograd.grad(found.sin().sum(), leaves), torch.autograd.grad(wanted.sin().sum(), leaves), strict=True
    ):
        torch.testing.assert_close(own, other)


@needs_native
def test_the_backward_operator_takes_any_layout() -> None:
    a, hs, d_hs = (numbers(B, T, D) for _ in range(3))
    operator = torch.ops.recurra.linear_scan_backward.default
    wanted = operator(d_hs, None, True, a, hs, None, None, None, None, False)
    strange = (_strange("time-major", tensor) for tensor in (a, hs))
    found = operator(_strange("transposed", d_hs), None, True, *strange, None, None, None, None, False)
    assert all(torch.equal(own, other) for own, other in zip(found, wanted, strict=True))


@needs_native
def test_many_gradients_at_once() -> None:
    a, b = leaf(numbers(D)), leaf(numbers(B, T, D))
    hs, _ = linear_scan(a, b)
    weights = numbers(4, B, T, D)
    found = torch.autograd.grad(hs, [a, b], weights, is_grads_batched=True, retain_graph=True)
    for index, weight in enumerate(weights):
        for own, other in zip(found, torch.autograd.grad(hs, [a, b], weight, retain_graph=True), strict=True):
            torch.testing.assert_close(own[index], other)


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
@pytest.mark.parametrize(
    "wrap", [lambda f: f, lambda f: torch.compile(f, backend="aot_eager")], ids=["eager", "compiled"]
)
def test_other_transforms(wrap: Callable[..., Any]) -> None:
    a, b = numbers(2, 3, D), numbers(2, 3, D)

    def total(a: Tensor) -> Tensor:
        return linear_scan(a, b)[0].sin().sum()

    source = leaf(a)
    (wanted,) = torch.autograd.grad(total(source), source)
    torch.testing.assert_close(wrap(grad(total))(a), wanted)
    torch.testing.assert_close(wrap(lambda a: jvp(total, (a,), (b,))[1])(a), (wanted * b).sum())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.ones(3), torch.ones(2, 3)), r"got `b` of shape \(2, 3\): three axes \(B, T, D\)"),
        (
            (torch.ones(4), torch.ones(2, 5, 3)),
            r"got `a` of shape \(4,\) for `b` of shape \(2, 5, 3\): \(2, 5, 3\), or",
        ),
        ((torch.ones(3, 5, 3), torch.ones(2, 5, 3)), r"got `a` of shape \(3, 5, 3\)"),
        ((torch.ones(3), torch.ones(1, 5, 3), torch.ones(2, 3)), r"got `state` of shape \(2, 3\) .* \(1, 3\), or"),
        ((torch.ones(3), torch.ones(2, 5, 3).long()), r"got `b` of torch.int64: real or complex .* b.float\(\)"),
        ((torch.ones(3, device="meta"), torch.ones(2, 5, 3)), r"got `a` on meta and `b` on cpu. .*a.to\('cpu'\)"),
        ((torch.ones(3), torch.ones(2, 5, 3), None, torch.ones(2)), r"got `lengths` .* torch.float32 .* \(2,\)"),
        ((torch.ones(3), torch.ones(2, 5, 3), None, torch.tensor([0, 6])), r"lengths\[1\] = 6: a length is 0..5"),
        ((torch.ones(3), torch.ones(2, 5, 3), None, None, torch.ones(2, 4).bool()), r"got `reset` of shape \(2, 4\)"),
    ],
)
def test_what_is_refused(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        linear_scan(*arguments)


class Decay(Cell):
    """h' = a h + W x by `step`, and the scan by the operator."""

    def __init__(self) -> None:
        super().__init__(3, 4)
        self.weight_ih = nn.Parameter(torch.randn(4, 3, dtype=torch.float64))
        self.decay = nn.Parameter(torch.rand(4, dtype=torch.float64))

    def initial_state(self, batch_size: int) -> Tensor:
        return self.zeros(batch_size, 4) + 0.3

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        h = self.decay * state + x @ self.weight_ih.T
        return h, h


@pytest.mark.parametrize("reverse", [False, True])
def test_it_is_a_cells_scan(reverse: bool) -> None:
    cell, xs = Decay(), numbers(B, T, 3)
    ys, state = cell.scan(xs, None, LENGTHS, RESET, reverse=reverse)
    b = xs @ cell.weight_ih.T
    found = linear_scan(cell.decay, b, None, LENGTHS, RESET, reverse=reverse, initial=cell.initial_state(1))
    torch.testing.assert_close(found, (ys, state))
