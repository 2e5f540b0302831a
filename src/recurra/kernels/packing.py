"""Weights in the order in which recurra's kernel reads them, kept between calls for inference."""

from __future__ import annotations

from operator import is_
from typing import Any, NamedTuple, Self

from torch import Tensor, nn

from recurra.kernels import extension
from recurra.kernels.extension import STATE, Inputs, Options

# From so many steps of all rows on, what the kernel spends on packing by itself does not show.
_MANY_STEPS = 512


class Packing:
    """What one set of weights was packed to; a copy or a pickle of it is empty.

    Weights are packed at the second call with the same ones, in that case for as long as they are not changed. Torch
    counts changes in place, but not those through `weight.data`.
    """

    def __init__(self) -> None:
        self._last: _Packed | None = None

    def find(self, options: Options, inputs: Inputs, num_threads: int) -> Tensor | None:
        """The packed weights for `extension.forward`, or None where it should do without."""
        xs = inputs.xs
        if xs.shape[0] * xs.shape[1] >= _MANY_STEPS:
            return None
        weights = inputs[1:STATE]
        # Several threads may share the units of a row, which goes by the shape.
        order = (xs.dtype, num_threads, xs.shape if num_threads > 1 else None)
        last = self._last
        if last is None or not last.is_of(weights, order):
            self._last = _Packed.of(weights, order)
            return None
        if last.packed is None:
            last = self._last = last._replace(packed=extension.pack(options, inputs, num_threads))
        return last.packed

    def forget(self) -> None:
        """Give the memory back."""
        self._last = None

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return type(self)()

    def __reduce__(self) -> tuple[type[Self], tuple[()]]:
        return type(self), ()


class _Packed(NamedTuple):
    """Weights and their state, and what they were packed to, if they were; `order` is what its order hangs on.

    `storages` are detached: they keep the memory from being given to other weights, whose addresses would be the same.
    """

    weights: tuple[Tensor | None, ...]
    order: tuple[Any, ...]
    storages: tuple[Tensor, ...]
    versions: tuple[int, ...]
    packed: Tensor | None

    @staticmethod
    def of(weights: tuple[Tensor | None, ...], order: tuple[Any, ...]) -> _Packed | None:
        """None where changes can't be seen: inference tensors, and tensors that are made anew for each call."""
        given = [weight for weight in weights if weight is not None]
        if any(not isinstance(weight, nn.Parameter) or weight.is_inference() for weight in given):
            return None
        storages = tuple(weight.detach() for weight in given)
        return _Packed(weights, order, storages, tuple(weight._version for weight in given), None)

    def is_of(self, weights: tuple[Tensor | None, ...], order: tuple[Any, ...]) -> bool:
        """Whether these are the weights, unchanged."""
        if order != self.order or not all(map(is_, weights, self.weights)):
            return False
        given = (weight for weight in weights if weight is not None)
        return all(
            weight._version == version and weight.data_ptr() == storage.data_ptr()
            for weight, storage, version in zip(given, self.storages, self.versions, strict=True)
        )
