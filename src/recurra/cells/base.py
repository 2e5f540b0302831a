"""What a cell is: one step, and the scan over whole sequences that every cell inherits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar, Self, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call

from recurra.cells.checks import check_inputs, check_lengths, check_state, fits, require_positive
from recurra.cells.streaming import Stream, StreamedCell
from recurra.core.errors import ConfigError, did_you_mean
from recurra.core.state import State, leaves
from recurra.kernels import compiled, dispatch, fused, native, reference
from recurra.kernels.dispatch import Path, Shape
from recurra.kernels.extension import STATE, Inputs, Options
from recurra.kernels.fused import Fused
from recurra.kernels.native import Native
from recurra.kernels.packing import Packing
from recurra.kernels.rows import clear_padding, simplify
from recurra.kernels.stepwise import Stepwise
from recurra.kernels.zoneout import Zoneout, make_zoneout


@dataclass(frozen=True)
class Noise:
    """What a scan does to the recurrence as regularisation; the default does nothing.

    Attributes:
        hidden_mask: (B, output_size), already scaled by 1 / (1 - p); multiplies h where it enters the recurrent
            product and nowhere else, the same at every step (Gal and Ghahramani, 2016, arXiv:1512.05287), or None.
        zoneout: probability that a unit of the state keeps its old value, one number for all leaves or one a leaf
            (Krueger et al., 2017, arXiv:1606.01305).
        weight_mask: parameter name -> factor of the parameter's shape, the same at every step (weight drop, Merity et
            al., 2018, arXiv:1708.02182).
        training: True draws zoneout anew for each step and unit from torch's default generator; False takes its
            expectation.
    """

    hidden_mask: Tensor | None = None
    zoneout: float | tuple[float, ...] = 0.0
    weight_mask: Mapping[str, Tensor] = field(default_factory=dict)
    training: bool = False


NO_NOISE = Noise()


class Cell(nn.Module, ABC):
    """A recurrent cell.

    A cell of your own writes `initial_state` and `step`; lengths, resets, both directions, zoneout and weight drop
    come by inheritance:

        class Leaky(Cell):
            def __init__(self, input_size, hidden_size):
                super().__init__(input_size, hidden_size)
                self.weight_ih = nn.Parameter(torch.randn(hidden_size, input_size) / input_size**0.5)

            def initial_state(self, batch_size):
                return self.zeros(batch_size, self.hidden_size)

            def step(self, x, state):
                h = 0.9 * state + 0.1 * torch.tanh(x @ self.weight_ih.T)
                return h, h

    `compile_step` makes its scans faster, where there is a C++ compiler.

    The built-in cells split `step` into `project`, the input product of all steps at once, and `recur`, which takes
    the recurrent dropout as well.

    Attributes:
        input_size: I.
        hidden_size: H.
        output_size: O, H unless the cell projects.
        last_path: which kernel the last scan took, and why not a faster one.
    """

    _described: ClassVar[type[Cell]]
    """The class whose formula `native_kernel` describes."""
    emits_state: ClassVar[bool] = False
    """Whether an output is the state's first leaf: then the last one can be had from the state, without all others."""

    def __init__(self, input_size: int, hidden_size: int, output_size: int | None = None) -> None:
        super().__init__()
        require_positive(type(self).__name__, input_size=input_size, hidden_size=hidden_size)
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.output_size = hidden_size if output_size is None else output_size
        self.last_path = dispatch.NOT_RUN
        self._packing = Packing()
        self._stepwise: Stepwise | None = None
        self._leaf_sizes: tuple[int, ...] = ()  # where the state is h, or (h, c), of such sizes

    def __init_subclass__(cls, **arguments: Any) -> None:
        """A class with a step of its own inherits no kernel, which would compute another's step, and no promise."""
        super().__init_subclass__(**arguments)
        own = vars(cls)
        if own.keys() & {"step", "project", "recur"}:
            for name in ("fused_kernel", "native_kernel", "emits_state"):
                if name not in own:
                    setattr(cls, name, getattr(Cell, name))
        if "native_kernel" in own:
            cls._described = cls

    @abstractmethod
    def initial_state(self, batch_size: int) -> State:
        """The state before the first step: every leaf has axis 0 of `batch_size`, dtype and device of the weights."""

    @abstractmethod
    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One step in time.

        Args:
            x: (B, input_size).
            state: from `initial_state`, an earlier `step` or a `scan`.
        Returns:
            The output (B, output_size) and the new state.
        """

    def project(self, xs: Tensor) -> Tensor:
        """What can be computed of all steps (B, T, input_size) at once, without the state; here the inputs alone."""
        return xs

    def recur(self, projected: Tensor, state: State, noise: Noise) -> tuple[Tensor, State]:
        """What is left of `step` for one step of `project`'s result; only `noise.hidden_mask` is this method's."""
        if noise.hidden_mask is not None:
            name = type(self).__name__
            raise ConfigError(f"{name} has no recurrent dropout: {name}.recur is to be written for that.")
        return self.step(projected, state)

    def recurrence(self) -> Callable[[Tensor, State, Noise], tuple[Tensor, State]]:
        """`recur` for all steps of a scan, after what is the same at each of them was computed once; here as it is."""
        return self.recur

    def fused_kernel(self) -> Fused | str:
        """Torch's fused kernel that does the same with these weights, or the reason why there is none."""
        return f"torch has no fused kernel for {type(self).__name__}"

    def native_kernel(self) -> Native | str:
        """What recurra's own kernel needs to know of this cell, or the reason why it can't do it."""
        return f"recurra has no kernel of its own for {type(self).__name__}"

    def with_weights(self, weights: dict[str, Tensor], packing: Packing | None = None) -> Cell:
        """The same cell over other tensors, sharing all else.

        Unlike `torch.func.functional_call` it leaves this one as it is, so that two threads can't meet in it.

        Args:
            weights: what stands for each parameter.
            packing: where to keep them in packed form; None is nowhere.
        """
        own = self.__dict__ | {"_parameters": self._parameters | weights, "_packing": packing or Packing()}
        for name in weights:
            own.pop(name, None)
        twin = object.__new__(type(self)._described)
        twin.__dict__.update(own)
        return twin

    def compile_step(self) -> Self:
        """Run scans that no kernel can do by a form of `step` that torch compiles: the same numbers, faster.

        The first scan with gradients and the first one without take ten to thirty seconds each, one row alone as long
        again; then B and T may vary. Padding, resets and zoneout are compiled when they first occur. It takes a C++
        compiler, and float32 or float64 on a CPU. The step must treat the rows of a batch independently, change no
        tensor in place, draw no random numbers, and branch on no values. Where it can't be done, the loop over the
        steps runs, and `last_path` says why.

        Weights and buffers are read anew at every scan, as are numbers, strings and switches among the attributes of
        the cell and its modules; other attributes are taken as they were when they were compiled: call this again after
        changing one. Copies of the cell compile anew.

        Returns:
            The cell itself.
        """
        self._stepwise = Stepwise()
        return self

    def zeros(self, batch_size: int, size: int) -> Tensor:
        """(batch_size, size) zeros with the dtype and device of the cell's first parameter."""
        weight = self.first_weight()
        if weight is None:
            return torch.zeros(batch_size, size)
        return torch.zeros(batch_size, size, dtype=weight.dtype, device=weight.device)

    def first_weight(self) -> Tensor | None:
        """The parameter that gives dtype and device; None for a cell without any."""
        # Faster than `parameters()`, whose walk over all modules shows at batch size 1.
        for weight in self._parameters.values():
            if weight is not None:
                return weight
        return next(self.parameters(), None)

    def scan(
        self,
        xs: Tensor,
        state: State | None = None,
        lengths: Tensor | None = None,
        reset: Tensor | None = None,
        *,
        noise: Noise = NO_NOISE,
        reverse: bool = False,
        initial: State | None = None,
    ) -> tuple[Tensor, State]:
        """Run the cell over whole sequences; same numbers and gradients as T calls of `step`.

        Args:
            xs: (B, T, input_size), right-padded; values past a row's length are not used, NaN included.
            state: from `initial_state` or an earlier call, same B; None is `initial`.
            lengths: (B,) integers, 0..T, in any order and on any device; None means T for every row.
            reset: (B, T) bool, True where a row starts afresh from `initial` before that step.
            noise: regularisation of the recurrence.
            reverse: run each row from its own last real step to its first; a reset at t parts t-1 from t there too, so
                that step t-1 starts afresh.
            initial: the state that a reset returns to; None is `initial_state(B)`.
        Returns:
            Outputs (B, T, output_size), zero on padding; the state after each row's own last real step (the first one
            where `reverse`), unchanged for rows of length 0.
        Raises:
            ShapeError: a shape, dtype or device does not fit; the message names the mend.
        """
        if state is None and self._packing.has_call() and xs.dim() == 3:
            state = self.initial_state(len(xs)) if initial is None else initial
        if state is not None and lengths is None and reset is None and noise is NO_NOISE:
            again = self._run_again(xs, state, reverse)
            if again is not None:
                return again
        if noise.weight_mask:
            return self._scan_with_masked_weights((xs, state, lengths, reset), noise, reverse, initial)
        name, weight = type(self).__name__, self.first_weight()
        check_inputs(name, self.input_size, xs, weight)
        check_lengths(name, lengths, reset, xs.shape)
        batch_size, num_steps = xs.shape[:2]
        for given, role in ((state, "state"), (initial, "initial")):
            if given is not None and not (xs.is_cpu and fits(given, self._leaf_sizes, xs)):
                check_state(name, role, given, self.initial_state(batch_size))
        if initial is None and (state is None or reset is not None):
            initial = self.initial_state(batch_size)
        state = cast(State, initial) if state is None else state
        if batch_size == 0 or num_steps == 0:
            return xs.new_zeros(batch_size, num_steps, self.output_size), state
        return self._run(xs, state, lengths, reset, initial, noise=noise, reverse=reverse)

    def stream(self, batch_size: int = 1, *, bfloat16: bool = False) -> Stream:
        """Take steps as the inputs come, of `batch_size` sequences: `scan` with as little as can be around it.

        Args:
            batch_size: how many sequences.
            bfloat16: keep the matrices in half the memory; see `Stream`.
        Raises:
            ConfigError: no whole number of at least 1 as `batch_size`, or `bfloat16` where it can't be had.
        """
        return Stream(type(self).__name__, self.streamed(), self.initial_state, batch_size, bfloat16)

    def streamed(self, zoneout: tuple[float, ...] = (), adds_input: bool = False) -> StreamedCell:
        """What a `Stream` needs of this cell; `zoneout` is one probability a leaf of the state, or empty."""
        scan = partial(self, noise=Noise(zoneout=zoneout)) if zoneout else self
        return StreamedCell(
            self, self.input_size, self.output_size, self.native_kernel, scan, zoneout, adds_input=adds_input
        )

    def forward(
        self,
        xs: Tensor,
        state: State | None = None,
        lengths: Tensor | None = None,
        reset: Tensor | None = None,
        *,
        noise: Noise = NO_NOISE,
        reverse: bool = False,
        initial: State | None = None,
    ) -> tuple[Tensor, State]:
        """`scan`, so that hooks and `torch.func.functional_call` see the cell."""
        return self.scan(xs, state, lengths, reset, noise=noise, reverse=reverse, initial=initial)

    def _run(
        self,
        xs: Tensor,
        state: State,
        lengths: Tensor | None,
        reset: Tensor | None,
        initial: State | None,
        *,
        noise: Noise,
        reverse: bool,
    ) -> tuple[Tensor, State]:
        """Choose the kernel and run it; everything is checked, and `initial` given where there are resets."""
        zoneout = make_zoneout(noise.zoneout, noise.training, state)
        kernel = self.native_kernel()
        path = self._choose(kernel, xs, noise, zoneout)
        if path is not self.last_path:
            self.last_path = path
        if path.name == "fused":
            torchs = cast(Fused, self.fused_kernel())
            if torch.compiler.is_compiling():
                return compiled.scan(torchs, xs, state, lengths, reset, initial, reverse=reverse)
            lengths, reset = simplify(lengths, reset, xs.shape, xs.device)
            return fused.scan(torchs, xs, state, lengths, reset, initial, reverse=reverse)
        lengths, reset = simplify(lengths, reset, xs.shape, xs.device)
        if path.name == "native":
            return native.scan(
                cast(Native, kernel),
                xs,
                state,
                lengths,
                reset,
                initial,
                hidden_mask=noise.hidden_mask,
                zoneout=zoneout,
                reverse=reverse,
            )
        if self._stepwise is not None and not torch.compiler.is_compiling() and not dispatch.reference_is_asked_for():
            found = self._stepwise.scan(
                self,
                lambda x, before, mask: self.recur(x, before, Noise(hidden_mask=mask)),
                self.project(clear_padding(xs, lengths)),
                state,
                lengths,
                reset,
                initial,
                hidden_mask=noise.hidden_mask,
                zoneout=zoneout,
                reverse=reverse,
            )
            if not isinstance(found, str):
                self.last_path = dispatch.COMPILED
                return found
            self.last_path = path._replace(reason=f"{path.reason}; {found}")
        return self._run_reference(xs, state, lengths, reset, initial, noise=noise, zoneout=zoneout, reverse=reverse)

    def _run_again(self, xs: Tensor, state: State, reverse: bool) -> tuple[Tensor, State] | None:
        """The last call of recurra's kernel once more, where only the numbers differ: see `kernels.packing`."""
        if torch.compiler.is_compiling() or not self._packing.has_call() or not dispatch.is_plain_inference():
            return None
        found = self._packing.run_again(self._parameters, xs, state, reverse)
        if found is None:
            return None
        if self.last_path is not dispatch.NATIVE:
            self.last_path = dispatch.NATIVE
        return found.ys.transpose(0, 1), (found.h if found.c is None else (found.h, found.c))

    def _choose(self, kernel: Native | str, xs: Tensor, noise: Noise, zoneout: Zoneout | None) -> Path:
        def torchs() -> tuple[str, str]:
            if zoneout is not None:
                return "", "zoneout acts on the state inside each step"
            if noise.hidden_mask is not None:
                return "", "recurrent dropout acts on h inside each step"
            found = self.fused_kernel()
            return ("", found) if isinstance(found, str) else (found.name, "")

        weight = self.first_weight()
        dtype = xs.dtype if weight is None else weight.dtype
        if isinstance(kernel, str):
            return dispatch.choose(kernel, torchs, xs, dtype)
        shape = None
        # Without gradients the weights stay packed between calls.
        if torch.is_grad_enabled() and not torch.compiler.is_compiling():
            shape = Shape(kernel.kind, xs.shape[1], xs.shape[0], self.input_size, self.hidden_size)
        return dispatch.choose(native.obstacle(kernel, noise.hidden_mask), torchs, xs, dtype, shape)

    def _run_reference(
        self,
        xs: Tensor,
        state: State,
        lengths: Tensor | None,
        reset: Tensor | None,
        initial: State | None,
        *,
        noise: Noise,
        zoneout: Zoneout | None,
        reverse: bool,
    ) -> tuple[Tensor, State]:
        recur = self.recurrence()
        return reference.scan(
            lambda x, before: recur(x, before, noise),
            self.project(clear_padding(xs, lengths)),
            state,
            lengths,
            reset,
            initial,
            zoneout=zoneout,
            reverse=reverse,
        )

    def _native_weights(self, *names: str) -> tuple[Tensor | None, ...]:
        """The parameters of these names, or what torch.nn.utils put in their place, filled up with None."""
        own = self._parameters
        weights = [own[name] if name in own else getattr(self, name) for name in names]
        return (*weights, *[None] * (STATE - 1 - len(names)))

    def _replay(self, options: Options, inputs: Inputs) -> tuple[Tensor, ...]:
        """The scan that recurra's kernel would do, by this cell's formula in plain torch."""
        weights = zip(Inputs._fields[1:STATE], inputs[1:STATE], strict=True)
        twin = self.with_weights({name: weight for name, weight in weights if weight is not None})
        state, initial = (
            cast(State, h if c is None else (h, c))
            for h, c in ((inputs.h, inputs.c), (inputs.h_initial, inputs.c_initial))
        )
        zoneout = None
        if options.zoneout_h or options.zoneout_c:
            probabilities = (options.zoneout_h,) if inputs.c is None else (options.zoneout_h, options.zoneout_c)
            zoneout = Zoneout(probabilities, inputs.seed)
        ys, after = twin._run_reference(
            inputs.xs,
            state,
            inputs.lengths,
            inputs.reset,
            initial,
            noise=Noise(hidden_mask=inputs.mask),
            zoneout=zoneout,
            reverse=options.reverse,
        )
        return ys.transpose(0, 1), *leaves(after)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        self._packing.forget()
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]

    def _scan_with_masked_weights(
        self,
        inputs: tuple[Tensor, State | None, Tensor | None, Tensor | None],
        noise: Noise,
        reverse: bool,
        initial: State | None,
    ) -> tuple[Tensor, State]:
        own = dict(self.named_parameters())
        for name in noise.weight_mask:
            if name not in own:
                raise ConfigError(f"{type(self).__name__} has no parameter `{name}` to mask.{did_you_mean(name, own)}")
        masked = {name: own[name] * mask for name, mask in noise.weight_mask.items()}
        options = {"noise": replace(noise, weight_mask={}), "reverse": reverse, "initial": initial}
        result: tuple[Tensor, State] = functional_call(self, masked, inputs, options)
        return result
