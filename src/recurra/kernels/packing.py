"""What recurra's kernel keeps between calls for inference: packed weights, and a call that only needs new addresses.

Both serve streaming, where a step takes the kernel less time than its preparation takes Python.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn

from recurra.core.state import State
from recurra.kernels import extension
from recurra.kernels.extension import STATE, Call, Inputs, Options, Outputs, Sizes

# From so many steps of all rows on, what the kernel spends on packing by itself does not show.
_MANY_STEPS = 512
_NUM_SAMPLES = 8
_NAMES = Inputs._fields[1:STATE]


class Packing:
    """One set of weights, packed at the second call with it; a copy or a pickle is empty.

    A change of the weights is noticed: by their version, which torch counts, and where they are changed behind torch's
    back (`weight.data`), by some numbers of each. To change single numbers behind its back is not noticed.
    """

    def __init__(self) -> None:
        self._packed: _Packed | None = None
        self._call: Call | None = None

    def find(self, options: Options, sizes: Sizes, inputs: Inputs, num_threads: int) -> Tensor | None:
        """The packed weights for `extension.forward`, or None where it should do without."""
        if sizes.num_steps * sizes.batch_size >= _MANY_STEPS:
            return None
        # Several threads may share the units of a row, which goes by the sizes.
        order = (num_threads, sizes) if num_threads > 1 else inputs.xs.dtype
        given, last = dict(zip(_NAMES, inputs[1:STATE], strict=True)), self._packed
        if last is None or last.order != order or not last.is_of(given):
            self._packed, self._call = _Packed.of(given, order), None
            return None
        numbers = last.numbers
        if numbers is None:
            numbers = extension.pack(options, sizes, inputs, num_threads)
            self._packed = last._replace(numbers=numbers)
        if self._call is None or self._call[:3] != (options, sizes, num_threads):
            self._call = Call.of(options, sizes, inputs, num_threads, numbers)
        return numbers

    def has_call(self) -> bool:
        """Whether there is a call that may be run again."""
        return self._call is not None

    def run_again(
        self, weights: Mapping[str, Tensor | None], xs: Tensor, state: State, reverse: bool
    ) -> Outputs | None:
        """The last call once more, where all but the numbers in `xs` and `state` is as it was then; else None."""
        call, packed = self._call, self._packed
        if call is None or packed is None or not call.fits(xs, state, reverse) or not packed.is_of(weights):
            return None
        return call.run(xs, state)

    def forget(self) -> None:
        """Give the memory back."""
        self._packed = self._call = None

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return type(self)()

    def __reduce__(self) -> tuple[type[Self], tuple[()]]:
        return type(self), ()


class _Weight(NamedTuple):
    """A weight as it was; the detached storage keeps its address from being given to another."""

    weight: Tensor
    storage: Tensor
    version: int
    address: int
    words: Any
    sample: list[int]

    @staticmethod
    def of(weight: Tensor) -> _Weight:
        storage, size = weight.detach(), weight.numel()
        word = ctypes.c_uint64 if weight.dtype == torch.float64 else ctypes.c_uint32
        words = (word * size).from_address(storage.data_ptr())
        return _Weight(weight, storage, weight._version, storage.data_ptr(), words, words[:: _step(words)])

    def is_same(self) -> bool:
        return (
            self.weight._version == self.version
            and self.weight.data_ptr() == self.address
            and self.words[:: _step(self.words)] == self.sample
        )


class _Packed(NamedTuple):
    """Weights, and what they were packed to, if they were; `order` is what the order of the numbers hangs on."""

    order: Any
    weights: dict[str, _Weight | None]
    numbers: Tensor | None = None

    @staticmethod
    def of(weights: Mapping[str, Tensor | None], order: Any) -> _Packed | None:
        """None where a change could not be seen: inference tensors, and tensors that are made anew for each call."""
        for weight in weights.values():
            if weight is not None and (type(weight) is not nn.Parameter or weight.is_inference()):
                return None
        kept = {name: None if weight is None else _Weight.of(weight) for name, weight in weights.items()}
        return _Packed(order, kept)

    def is_of(self, weights: Mapping[str, Tensor | None]) -> bool:
        """Whether these are the weights, unchanged."""
        for name, kept in self.weights.items():
            weight = weights.get(name)
            if kept is None or weight is not kept.weight:
                if weight is not None or kept is not None:
                    return False
            elif not kept.is_same():
                return False
        return True


def _step(words: Any) -> int:
    return max(len(words) // _NUM_SAMPLES, 1)
