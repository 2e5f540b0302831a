"""One step after another as the inputs come, for many states that live at the same time; for inference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn

import torch
from torch import Tensor, nn
from torch.autograd.graph import increment_version

from recurra.cells.checks import check_inputs, check_state, require_positive
from recurra.core.errors import ConfigError, ShapeError
from recurra.core.state import State, leaves, select, tree_map, tree_map2
from recurra.kernels import dispatch, extension, native
from recurra.kernels.extension import STATE, Inputs, Options
from recurra.kernels.native import Native

Rows = Tensor | Sequence[int]


@dataclass(frozen=True)
class StreamedCell:
    """A cell as a stream needs it.

    Attributes:
        cell: with its parameters.
        input_size: I.
        output_size: O.
        kernel: `Cell.native_kernel`.
        scan: (B, T, I) and a state -> (B, T, O) and the state after, without dropout.
        zoneout: of h and of c, whose expectation is taken.
        adds_input: to the outputs.
    """

    cell: nn.Module
    input_size: int
    output_size: int
    kernel: Callable[[], Native | str]
    scan: Callable[[Tensor, State], tuple[Tensor, State]]
    zoneout: tuple[float, ...]
    adds_input: bool


class Stream:
    """The states of `batch_size` sequences, and a step of all or some of them.

    Where recurra's own kernel can do it, all memory is taken and the weights are packed beforehand: a step allocates no
    memory and takes a few microseconds. Elsewhere a step goes through the cell's scan, with the same numbers.

    Like evaluation mode, whatever the mode of the cells: no dropout, the expectation of zoneout, no gradients. Changed
    parameters are obeyed; but a change of single weights through `weight.data`, which torch does not count, is not
    noticed, nor is a cell that takes another's place in a stack. Autocast, the choice of kernels and the number of
    threads are those of the time when the weights were packed. Not for several threads at once.

    Args:
        owner: class name of what is streamed, for messages.
        cells: one cell, or the cells of a stack; the state has the same structure.
        initial_state: gives the state that a reset returns to.
        batch_size: how many states.
        bfloat16: keep the matrices of float32 cells rounded to bfloat16: half the memory to read, for which a step of a
            few rows through many weights waits. All else stays float32.
    Attributes:
        obstacle: why steps go through the cell's scan; "" where they don't.
    Raises:
        ConfigError: no whole number of at least 1 as `batch_size`, or `bfloat16` where it can't be had.
    """

    def __init__(
        self,
        owner: str,
        cells: StreamedCell | Sequence[StreamedCell],
        initial_state: Callable[[int], State],
        batch_size: int,
        bfloat16: bool = False,
    ) -> None:
        require_positive(owner, batch_size=batch_size)
        self._bfloat16 = bfloat16
        self._is_stack = not isinstance(cells, StreamedCell)
        self._cells = [cells] if isinstance(cells, StreamedCell) else list(cells)
        self._name = f"{owner}(input_size={self._cells[0].input_size})"
        self._initial_state = initial_state
        self.batch_size = batch_size
        self.input_size = self._cells[0].input_size
        self.output_size = self._cells[-1].output_size
        self._state = self._initial(batch_size)
        self._input_shape = torch.Size((batch_size, self.input_size))
        like = next(leaves(self._state))
        self._dtype, self._device = like.dtype, like.device
        self._prepare()

    def step(self, x: Tensor, rows: Rows | None = None) -> Tensor:
        """Take one step of all sequences, or of some.

        Args:
            x: (B, input_size); with `rows` (N, input_size).
            rows: whose inputs these are: (N,) int64 indices in any order, each once, or a (B,) bool mask; the states of
                the others stand still.
        Returns:
            (B, output_size), or (N, output_size). The memory is the stream's: the next step overwrites it.
        Raises:
            ShapeError: a shape, dtype or device does not fit, or a row is not there or is named twice.
        """
        index = None if rows is None else self._indices(rows)
        shape = self._input_shape if index is None else (index.shape[0], self.input_size)
        if not isinstance(x, Tensor) or x.shape != shape:
            self._refuse(x, shape[0])
        if self._ready is not None and not self._ready.is_current():
            self._prepare()
        if self._ready is None:
            return self._step_by_scan(x, index)
        return self._step_ready(self._ready, self._readable(x), index)

    @property
    def state(self) -> State:
        """A copy of the states."""
        return _copy(self._state)

    def load(self, state: State) -> None:
        """Go on from other states.

        Args:
            state: of all sequences: an earlier `state`, or what a scan returned; it is copied.
        Raises:
            ShapeError: the structure, a shape, dtype or device does not fit.
        """
        check_state(self._name, "state", state, self._state)
        with torch.no_grad():
            tree_map2(Tensor.copy_, self._state, state)

    def reset(self, rows: Rows | None = None) -> None:
        """Return to the initial state.

        Args:
            rows: which sequences, as in `step`; None is all.
        Raises:
            ShapeError: a row is not there or is named twice.
        """
        if rows is None:
            return self.load(self._initial(self.batch_size))
        index = self._indices(rows)
        self._check_rows(index)
        self._put(index, self._initial(len(index)))

    # ---- by the prepared kernel ----
    def _step_ready(self, ready: _Ready, x: Tensor, rows: Tensor | None) -> Tensor:
        fault = ready.step.run(x.data_ptr(), x.stride(0), x.shape[0], 0 if rows is None else rows.data_ptr())
        if fault == extension.CHANGED_WEIGHTS:
            self._prepare()
            return self.step(x, rows)
        if fault == extension.WRONG_ROWS and rows is not None:
            self._check_rows(rows)
        increment_version(ready.ys)
        return ready.ys if rows is None else ready.ys[: x.shape[0]]

    def _prepare(self) -> None:
        self._ready: _Ready | None = None
        like = next(leaves(self._state))
        kernels = [cell.kernel() for cell in self._cells]
        obstacles = (_obstacle(cell, kernel, like) for cell, kernel in zip(self._cells, kernels, strict=True))
        obstacle = next(filter(None, obstacles), "")
        path = dispatch.choose(obstacle, lambda: ("", "a stream takes none of torch's kernels"), like, like.dtype)
        self.obstacle = "" if path.name == "native" else path.reason
        if self._bfloat16 and (self.obstacle or like.dtype is not torch.float32):
            reason = self.obstacle or f"the cells are {like.dtype}"
            raise ConfigError(f"stream(bfloat16=True) wants float32 cells that recurra's own kernel can run: {reason}.")
        if not self.obstacle:
            self._ready = self._pack([kernel for kernel in kernels if isinstance(kernel, Native)])

    def _pack(self, kernels: list[Native]) -> _Ready:
        with torch.inference_mode(False):
            new = next(leaves(self._state)).new_empty
            layers, watched, ys = [], [], new(self._input_shape)
            for cell, kernel, state in zip(self._cells, kernels, self._parts(self._state), strict=True):
                zoneout_h, zoneout_c = (*cell.zoneout, 0.0, 0.0)[:2]
                options = Options(kernel.kind, kernel.coupled, False, False, zoneout_h, zoneout_c, kernel.cell_clip)
                weights: Any = kernel.weights
                h, c = native.pair(state)
                inputs = Inputs(ys[:, None], *weights)._replace(h=h, c=c)
                ys = new(self.batch_size, cell.output_size)
                layers.append((options, inputs, ys, cell.adds_input))
                names = zip(Inputs._fields[1:STATE], kernel.weights, strict=True)
                watched += [_Watched.of(cell.cell, name, weight) for name, weight in names if weight is not None]
            step, memory = extension.prepare_steps(layers, torch.get_num_threads(), self._bfloat16)
        return _Ready(step, ys, watched, memory)

    def _readable(self, x: Tensor) -> Tensor:
        """The same numbers as the kernel can read them."""
        if x.dtype is not self._dtype or not x.is_cpu:
            self._refuse(x, x.shape[0])
        if x.stride(1) != 1 or x.is_neg():
            return x.resolve_neg().contiguous()
        return x

    # ---- by the cell's scan ----
    @torch.no_grad()
    def _step_by_scan(self, x: Tensor, rows: Tensor | None) -> Tensor:
        if rows is not None:
            self._check_rows(rows)
        state = self._state if rows is None else select(self._state, rows)
        parts: list[State] = []
        for cell, before in zip(self._cells, self._parts(state), strict=True):
            ys, after = cell.scan(x[:, None], before)
            x = ys[:, 0] + x if cell.adds_input else ys[:, 0]
            parts.append(after)
        new = tuple(parts) if self._is_stack else parts[0]
        if rows is None:
            # A copy, as a cell may return one tensor as its output and its state.
            self._state = _copy(new)
        else:
            self._put(rows, new)
        return x

    # ---- states and rows ----
    def _initial(self, batch_size: int) -> State:
        with torch.inference_mode(False), torch.no_grad():
            return _copy(self._initial_state(batch_size))

    def _parts(self, state: State) -> Sequence[State]:
        """Cell by cell."""
        return state if self._is_stack else (state,)  # type: ignore[return-value]

    @torch.no_grad()
    def _put(self, rows: Tensor, state: State) -> None:
        tree_map2(lambda leaf, new: leaf.index_copy_(0, rows, new), self._state, state)

    def _indices(self, rows: Rows) -> Tensor:
        """(N,) int64, dense, where the states are; not checked against B."""
        if not isinstance(rows, Tensor):
            rows = torch.as_tensor(rows)
            rows = rows if rows.numel() else rows.long()  # torch takes an empty list for floats
        if rows.dtype is torch.bool and rows.shape == (self.batch_size,):
            rows = rows.nonzero()[:, 0]
        elif rows.dim() != 1 or rows.dtype is torch.bool or rows.is_floating_point():
            raise ShapeError(
                f"{self._name}.stream({self.batch_size}) got `rows` of shape {tuple(rows.shape)} and {rows.dtype}: "
                f"whole numbers (N,), or a torch.bool mask ({self.batch_size},), are wanted."
            )
        return rows.to(self._device, torch.int64).contiguous()

    def _check_rows(self, rows: Tensor) -> None:
        seen: set[int] = set()
        for row in rows.tolist():
            fault = "is named twice" if row in seen else "is not there"
            if row in seen or not 0 <= row < self.batch_size:
                raise ShapeError(
                    f"{self._name}.stream({self.batch_size}) got row {row} in `rows`, which {fault}: "
                    f"0..{self.batch_size - 1} are wanted, each once."
                )
            seen.add(row)

    def _refuse(self, x: Any, num_rows: int) -> NoReturn:
        """Say what is wrong with the inputs."""
        if isinstance(x, Tensor) and x.dim() == 2 and x.shape[1] == self.input_size and x.shape[0] != num_rows:
            raise ShapeError(
                f"{self._name}.stream({self.batch_size}) got `x` of shape {tuple(x.shape)}: one row a sequence is "
                f"wanted, ({num_rows}, {self.input_size}). Name the sequences that have an input with rows=."
            )
        if not isinstance(x, Tensor) or x.shape != (num_rows, self.input_size):
            given = f"shape {tuple(x.shape)}" if isinstance(x, Tensor) else f"type {type(x).__name__}"
            raise ShapeError(
                f"{self._name}.stream({self.batch_size}) got `x` of {given}: a tensor ({num_rows}, {self.input_size}) "
                f"is wanted."
            )
        check_inputs(f"{self._name}.stream", self.input_size, x[:, None], next(leaves(self._state)), "x")
        raise ShapeError(f"{self._name}.stream got `x` of {x.dtype}: {self._dtype} is wanted.")


class _Watched(NamedTuple):
    """A parameter, and what tells whether it is still the same; `storage` keeps its memory from being given away."""

    get: Callable[[str], Tensor | None]
    name: str
    weight: Tensor
    version: int
    address: int
    storage: Tensor

    @staticmethod
    def of(cell: nn.Module, name: str, weight: Tensor) -> _Watched:
        return _Watched(cell._parameters.get, name, weight, weight._version, weight.data_ptr(), weight.detach())


class _Ready(NamedTuple):
    """A prepared step, its outputs, the parameters behind it, and the memory that it works on."""

    step: Any
    ys: Tensor
    watched: list[_Watched]
    memory: list[Inputs]

    def is_current(self) -> bool:
        for get, name, weight, version, address, _ in self.watched:
            if get(name) is not weight or weight._version != version or weight.data_ptr() != address:
                return False
        return True


def _obstacle(cell: StreamedCell, kernel: Native | str, like: Tensor) -> str:
    """Why a cell's step can't be prepared; "" where it can."""
    if isinstance(kernel, str):
        return kernel
    for weight in kernel.weights:
        if weight is not None and (type(weight) is not nn.Parameter or weight.is_inference()):
            return "its weights are made anew for each call, or torch counts no changes of them"
        if weight is not None and (weight.dtype is not like.dtype or weight.device != like.device):
            return "weights and states differ in precision or device"
    if cell.cell._forward_hooks or cell.cell._forward_pre_hooks:
        return "a hook sees each call of the cell"
    return ""


def _copy(state: State) -> State:
    with torch.inference_mode(False):
        return tree_map(lambda leaf: leaf.detach().clone(memory_format=torch.contiguous_format), state)
