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


@torch.no_grad()
def transfer(source: Mapping[str, Tensor], target: nn.Module, into: str = "encoder.") -> Transfer:
    """Copy the encoder of `source` into `target`, and every other tensor that has the same name and shape.

    Args:
        source: tensors of a saved language model.
        target: a model one of whose encoders has the same sizes.
        into: where in `target` that encoder is; other tensors are copied only where it has the source's own name.
    Raises:
        ModelFileError: an encoder parameter is missing or of another shape.
    """
    matched, taken = [], set()
    own: dict[str, Tensor] = {}
    for name, tensor in target.state_dict(keep_vars=True).items():
        if not any(tensor is known for known in own.values()):  # a tied weight counts once
            own[name] = tensor
    for name, tensor in own.items():
        wanted = name.startswith(into)
        origin = _ENCODER + name.removeprefix(into) if wanted else name if into == _ENCODER else ""
        if origin in source and source[origin].shape == tensor.shape:
            tensor.copy_(source[origin])
            matched.append(name)
            taken.add(origin)
        elif wanted:
            found = tuple(source[origin].shape) if origin in source else "nothing"
            raise ModelFileError(
                f"the pretrained model gives {found} for `{name}`, and {tuple(tensor.shape)} is wanted. Leave the "
                "encoder's options (embedding_dim, cell, hidden_size, num_layers) as the pretrained model has them."
            )
    new = [name for name in own if name not in matched]
    return Transfer(matched, new, [name for name in source if name not in taken])


def encoders(model: nn.Module) -> dict[str, str]:
    """Where the encoders of language models are in a model: {"forward": "encoder.", "backward": ...}, by direction."""
    for name, module in model.named_modules():
        if isinstance(module, WordEmbedding):
            pairs = (("forward", module.forward_lm), ("backward", module.backward_lm))
            return {direction: f"{name}.{direction}_lm." for direction, part in pairs if part is not None}
    found = {"forward": _ENCODER}
    return found | ({"backward": "backward_encoder."} if getattr(model, "backward_encoder", None) is not None else {})
