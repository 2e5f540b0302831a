"""Carry a pretrained model over to another, by parameter name, and say what was carried."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from recurra.core.errors import ModelFileError
from recurra.layers import WordEmbedding

_ENCODER = "encoder."
"""Where a language model keeps its encoder."""
NUM_SPECIAL = 2
"""The first entries of a vocabulary of words are no words: the unknown one, the end of a document."""


class Grown(NamedTuple):
    """How many entries a vocabulary had, and has."""

    old: int
    new: int


class Transfer(NamedTuple):
    """What happened to the source's parameters."""

    matched: list[str]
    new: list[str]
    dropped: list[str]

    def join(self, other: Transfer) -> Transfer:
        """What two transfers into the same model did together."""
        matched = [*self.matched, *other.matched]
        return Transfer(matched, [name for name in self.new if name in other.new], [*self.dropped, *other.dropped])

    def sentence(self) -> str:
        """For the person who waits; tensors are named by the modules that hold them."""
        new = f"; new: {_modules(self.new)}" if self.new else ""
        dropped = f"; left behind: {_modules(self.dropped)}" if self.dropped else ""
        return f"{len(self.matched)} tensors of the pretrained model taken over{new}{dropped}"


def _modules(names: list[str]) -> str:
    """ "encoder.recurrent.cells.0.weight_ih", ... -> "encoder.recurrent, output"."""
    return ", ".join(dict.fromkeys(name.rpartition(".")[0].partition(".cells.")[0] or name for name in names))


def match(
    source: Mapping[str, Tensor], target: nn.Module, into: str = _ENCODER, grown: Grown | None = None
) -> dict[str, str]:
    """Which tensor of a pretrained model each tensor of another takes over, by name.

    Args:
        source: tensors of a saved language model.
        target: a model one of whose encoders has the same sizes; with `into` "", one of the same kind.
        into: where in `target` the encoder is; other tensors are matched only where they have the source's own name.
        grown: the source's vocabulary and the longer one of the target.
    Raises:
        ModelFileError: an encoder's tensor is missing or of another shape.
    """
    found: dict[str, str] = {}
    for name, tensor in own_tensors(target).items():
        wanted = name.startswith(into)
        origin = name if into in ("", _ENCODER) else _ENCODER + name.removeprefix(into) if wanted else ""
        if origin in source and _fits(source[origin], tensor, grown):
            found[name] = origin
        elif wanted and not _may_be_new(name, tensor, grown):
            given = tuple(source[origin].shape) if origin in source else "nothing"
            raise ModelFileError(
                f"the pretrained model gives {given} for `{name}`, and {tuple(tensor.shape)} is wanted. Leave the "
                "encoder's options (embedding_dim, cell, hidden_size, num_layers) as the pretrained model has them."
            )
    return found


@torch.no_grad()
def transfer(
    source: Mapping[str, Tensor], target: nn.Module, into: str = _ENCODER, grown: Grown | None = None
) -> Transfer:
    """Copy what `match` finds from a pretrained model into another.

    Args:
        source, target, into, grown: as in `match`.
    Raises:
        ModelFileError: an encoder's tensor is missing or of another shape.
    """
    origins, own = match(source, target, into, grown), own_tensors(target)
    for name, origin in origins.items():
        own[name].copy_(extended(source[origin], len(own[name])) if own[name].dim() else source[origin])
    new = [name for name in own if name not in origins]
    return Transfer(list(origins), new, [name for name in source if name not in origins.values()])


def extended(rows: Tensor, size: int) -> Tensor:
    """The rows of a vocabulary's words, and for each further word up to `size` the mean of the known ones."""
    if len(rows) == size:
        return rows
    mean = rows[NUM_SPECIAL:].mean(0, keepdim=True)
    return torch.cat([rows, mean.expand(size - len(rows), *rows.shape[1:])])


def own_tensors(model: nn.Module) -> dict[str, Tensor]:
    """A model's parameters and buffers themselves; a tied weight stands once, under its first name."""
    own: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in model.state_dict(keep_vars=True).items():
        if id(tensor) not in seen:
            seen.add(id(tensor))
            own[name] = tensor
    return own


def _fits(source: Tensor, target: Tensor, grown: Grown | None) -> bool:
    if source.shape == target.shape:
        return True
    lengthened = grown is not None and (source.shape[:1], target.shape[:1]) == ((grown.old,), (grown.new,))
    return lengthened and source.shape[1:] == target.shape[1:] and isinstance(target, nn.Parameter)


def _may_be_new(name: str, tensor: Tensor, grown: Grown | None) -> bool:
    """Adapters; and what a longer vocabulary changes, and is no weight."""
    return ".adapters." in name or (grown is not None and not isinstance(tensor, nn.Parameter))


def encoders(model: nn.Module) -> dict[str, str]:
    """Where the encoders of language models are in a model: {"forward": "encoder.", "backward": ...}, by direction."""
    for name, module in model.named_modules():
        if isinstance(module, WordEmbedding):
            pairs = (("forward", module.forward_lm), ("backward", module.backward_lm))
            return {direction: f"{name}.{direction}_lm." for direction, part in pairs if part is not None}
    found = {"forward": _ENCODER}
    return found | ({"backward": "backward_encoder."} if getattr(model, "backward_encoder", None) is not None else {})
