"""What a scan refuses, said before torch's own errors would say it."""

from __future__ import annotations

import torch
from torch import Tensor

from recurra.core.errors import ConfigError, ShapeError
from recurra.core.state import State, describe, leaves
from recurra.kernels.dispatch import can_read


def require_positive(owner: str, **sizes: int) -> None:
    """Refuse sizes below 1.

    Raises:
        ConfigError: names the first such size.
    """
    for name, size in sizes.items():
        if not isinstance(size, int) or size < 1:
            raise ConfigError(f"{owner}({name}={size}): a whole number of at least 1 is wanted.")


def check_inputs(owner: str, input_size: int, xs: Tensor, weight: Tensor | None, name: str = "xs") -> None:
    """Check the inputs of a scan.

    Args:
        owner: class name of what is called.
        input_size: the last axis wanted.
        xs: what was given.
        weight: any parameter; dtype and device wanted. None wants nothing.
        name: what the caller calls the inputs.
    Raises:
        ShapeError: not a tensor (B, T, input_size) of the weight's dtype and device.
    """
    if not isinstance(xs, Tensor):
        mend = " Unpack it with torch.nn.utils.rnn.pad_packed_sequence." if "Packed" in type(xs).__name__ else ""
        raise ShapeError(
            f"{owner}(input_size={input_size}) got `{name}` of type {type(xs).__name__}: a padded tensor "
            f"(B, T, {input_size}) is wanted, with `lengths`.{mend}"
        )
    if xs.dim() != 3 or xs.shape[2] != input_size:
        raise ShapeError(_wrong_shape(owner, input_size, xs, name))
    if weight is None:
        return
    if xs.device != weight.device:
        raise ShapeError(
            f"{owner}(input_size={input_size}) got `{name}` on {xs.device}, its weights are on "
            f"{weight.device}. Move one of them: {name}.to('{weight.device}')."
        )
    if xs.dtype != weight.dtype and not (xs.is_floating_point() and torch.is_autocast_enabled(xs.device.type)):
        mend = f"Convert one of them: {name}.to({weight.dtype})."
        if not xs.is_floating_point():
            mend = f"Vectors of numbers are wanted: embed indices first, or convert by {name}.to({weight.dtype})."
        raise ShapeError(
            f"{owner}(input_size={input_size}) got `{name}` of {xs.dtype}, its weights are {weight.dtype}. {mend}"
        )


def check_lengths(owner: str, lengths: Tensor | None, reset: Tensor | None, shape: torch.Size) -> None:
    """Check lengths and resets against inputs of `shape` (B, T, I); the range only where looking costs nothing.

    Raises:
        ShapeError: a wrong shape or dtype, or a length outside 0..T.
    """
    batch_size, num_steps = shape[:2]
    if lengths is not None:
        if lengths.shape != (batch_size,):
            raise ShapeError(
                f"{owner} got `lengths` of shape {tuple(lengths.shape)} for inputs of shape "
                f"{tuple(shape)}: one length a row is wanted, ({batch_size},)."
            )
        if lengths.is_floating_point() or lengths.dtype == torch.bool:
            mend = " For a mask, pass mask.sum(1)." if lengths.dtype == torch.bool else " Pass lengths.long()."
            raise ShapeError(f"{owner} got `lengths` of {lengths.dtype}: whole numbers are wanted.{mend}")
        if batch_size and can_read(lengths) and not (0 <= int(lengths.min()) <= int(lengths.max()) <= num_steps):
            row = int(((lengths < 0) | (lengths > num_steps)).nonzero()[0])
            raise ShapeError(
                f"{owner} got lengths[{row}] = {int(lengths[row])} for inputs of shape {tuple(shape)}: "
                f"a length is 0..{num_steps}. Mend the lengths, or pad the inputs further."
            )
    if reset is not None and (reset.shape != (batch_size, num_steps) or reset.dtype != torch.bool):
        raise ShapeError(
            f"{owner} got `reset` of shape {tuple(reset.shape)} and {reset.dtype} for inputs of shape "
            f"{tuple(shape)}: one torch.bool flag a step is wanted, ({batch_size}, {num_steps})."
        )


def fits(given: State, sizes: tuple[int, ...], xs: Tensor) -> bool:
    """Whether a state has leaves (B, size) like the inputs, as far as a quick look shows; no says nothing."""
    parts = given if isinstance(given, tuple) else (given,)
    if not sizes or len(parts) != len(sizes) or isinstance(given, tuple) != (len(sizes) > 1):
        return False
    return all(
        isinstance(part, Tensor) and part.shape == (xs.shape[0], size) and part.dtype == xs.dtype and part.is_cpu
        for part, size in zip(parts, sizes, strict=True)
    )


def check_state(owner: str, name: str, given: State, wanted: State) -> None:
    """Check that a state has the structure, sizes, dtype and device of `wanted`.

    Raises:
        ShapeError: it has not.
    """
    if not _same_shape(given, wanted):
        shown = describe(given) if isinstance(given, Tensor | tuple) else f"type {type(given).__name__}"
        raise ShapeError(
            f"{owner} got `{name}` of shape {shown}: {describe(wanted)} is wanted, the batch as axis 0 of "
            f"every leaf. Start from initial_state(batch_size), or select rows with core.state.select."
        )
    for a, b in zip(leaves(given), leaves(wanted), strict=True):
        if a.device != b.device:
            raise ShapeError(
                f"{owner} got `{name}` on {a.device}, its weights are on {b.device}. Move it with core.state.to."
            )
        if a.dtype != b.dtype and not torch.is_autocast_enabled(b.device.type):
            raise ShapeError(f"{owner} got `{name}` of {a.dtype}, its weights are {b.dtype}. Convert one of them.")


def _same_shape(given: State, wanted: State) -> bool:
    if isinstance(given, Tensor) or isinstance(wanted, Tensor):
        return isinstance(given, Tensor) and isinstance(wanted, Tensor) and given.shape == wanted.shape
    if not isinstance(given, tuple) or len(given) != len(wanted):
        return False
    return all(_same_shape(a, b) for a, b in zip(given, wanted, strict=True))


def _wrong_shape(owner: str, input_size: int, xs: Tensor, name: str) -> str:
    start = f"{owner}(input_size={input_size}) got `{name}` of shape {tuple(xs.shape)}: "
    if xs.dim() != 3:
        mend = f" Add the batch axis: {name}[None]." if xs.dim() == 2 else ""
        return f"{start}three axes (B, T, {input_size}) are wanted.{mend}"
    mend = f"Build it with input_size={xs.shape[2]}, or give inputs of {input_size} features."
    if xs.shape[1] == input_size:
        mend += f" If the steps are the last axis: {name}.transpose(1, 2)."
    return f"{start}the last axis must be {input_size}. {mend}"
