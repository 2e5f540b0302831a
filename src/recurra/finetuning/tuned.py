"""A pretrained model while a part of it, or little beside it, is trained."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from recurra.cells import Cell
from recurra.core.batch import ModelOutput
from recurra.core.config import Config
from recurra.core.errors import ConfigError
from recurra.core.state import State
from recurra.finetuning.low_rank import LowRank
from recurra.finetuning.methods import AdaptersConfig, BiasConfig, FrozenConfig, FullConfig, LoRAConfig, Target
from recurra.finetuning.remembering import Pull, Replay
from recurra.layers import TokenEmbedding
from recurra.training.distributed import like


class Tuned(nn.Module):
    """A plain model around which something is trained; it is there for the training only.

    A forward pass of the training puts each changed weight into the model's place for the time of the call, so that
    all kernels run as ever and tied weights stay tied. In evaluation mode, and in what a checkpoint stores, the plain
    model holds the weights with their changes: all that it can do, it does with them.

    Args:
        model: with the weights to start from.
        trained: names of its parameters that are trained as they are.
        changes: by the name of a parameter that stands still, what is trained in its place.
        pull: back to the weights to start from, or None.
        replay: of what the model was trained on before, or None.
    """

    def __init__(
        self,
        model: nn.Module,
        trained: Collection[str],
        changes: Mapping[str, LowRank],
        pull: Pull | None = None,
        replay: Replay | None = None,
    ) -> None:
        super().__init__()
        self.plain, self.pull, self.replay = model, pull, replay
        # a module's name can't hold a dot
        self.changes = nn.ModuleDict({name.replace(".", "/"): change for name, change in changes.items()})
        self.trained = frozenset(trained)
        places = places_of(model if replay is None else nn.ModuleList([model, replay]))
        self._places = {name: places[id(model.get_parameter(name))] for name in changes}
        self._frozen = [
            name for name, weight in model.named_parameters() if name not in self.trained and weight.requires_grad
        ]
        for name in self._frozen:
            model.get_parameter(name).requires_grad_(False)
        self.register_state_dict_pre_hook(lambda *_: self.merge())

    def forward(self, inputs: Any, state: State | None = None) -> ModelOutput:
        """As the model, with the changed weights."""
        if not self.training:
            output: ModelOutput = self.plain(inputs, state)
            return output
        with self._changed():
            found: ModelOutput = self.plain(inputs, state)
            asked = [found.penalty, *(part() for part in (self.pull, self.replay) if part is not None)]
        penalties = [penalty for penalty in asked if penalty is not None]
        return found._replace(penalty=torch.stack(penalties).sum() if penalties else None)

    def weights(self) -> dict[str, Tensor]:
        """The changed weights, by name."""
        return {key.replace("/", "."): change() for key, change in self.changes.items()}

    @contextmanager
    def _changed(self) -> Iterator[None]:
        """The changed weights in the model's place, wherever it holds them.

        `torch.func.functional_call` does the same, but not where one module stands at two places of the model.
        """
        kept = {name: self.plain.get_parameter(name) for name in self._places}
        try:
            self._put(self.weights())
            yield
        finally:
            self._put(kept)

    def _put(self, weights: Mapping[str, Tensor]) -> None:
        for name, weight in weights.items():
            for module, own in self._places[name]:
                module._parameters[own] = weight  # type: ignore[assignment]

    @torch.no_grad()
    def merge(self) -> None:
        """Write the changed weights into the model."""
        was_training = self.changes.training
        self.changes.train(False)
        for name, weight in self.weights().items():
            parameter = self.plain.get_parameter(name)
            parameter.copy_(like(weight, parameter))
        self.changes.train(was_training)

    def train(self, mode: bool = True) -> Tuned:
        """Training or evaluation mode; the latter with the weights of now."""
        super().train(mode)
        if not mode:
            self.merge()
        return self

    def bare(self) -> nn.Module:
        """The plain model, with the weights of now."""
        if self.training:
            self.merge()
        return self.plain

    def finish(self) -> nn.Module:
        """The plain model for good: everything in it can be trained again."""
        for name in self._frozen:
            self.plain.get_parameter(name).requires_grad_(True)
        self.merge()
        return self.plain

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """The model's groups, of what is trained; those without any are left out."""
        names = {id(weight): name for name, weight in self.plain.named_parameters()}
        groups: list[list[nn.Parameter]] = []
        for group in self.plain.layer_groups():  # type: ignore[operator]
            found: list[nn.Parameter] = []
            for weight in group:
                name = names[id(weight)]
                if (key := name.replace(".", "/")) in self.changes:
                    found += self.changes[key].parameters()
                elif name in self.trained:
                    found.append(weight)
            if found:
                groups.append(found)
        return groups

    def count(self) -> int:
        """How many numbers are trained."""
        return sum(weight.numel() for group in self.layer_groups() for weight in group)


def tune(
    model: nn.Module, method: Config, new: Collection[str], pull: float = 0.0, replay: Replay | None = None
) -> nn.Module:
    """The model as a method trains it: itself, or inside a `Tuned`.

    Args:
        model: a plain model, with the pretrained weights.
        method: one of METHODS.
        new: names of its parameters that are not pretrained; they are always trained.
        pull: how strongly the others are drawn back to where they start.
        replay: of what the model was trained on before, or None.
    Raises:
        ConfigError: the method finds nothing to train.
    """
    if isinstance(method, FullConfig) and not pull and replay is None:
        return model
    own = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    trained, changes = {name for name in new if name in own}, {}
    if isinstance(method, FullConfig):
        trained = set(own)
    if isinstance(method, AdaptersConfig):
        trained |= {name for name in own if ".adapters." in name}
    if isinstance(method, BiasConfig) or (isinstance(method, LoRAConfig) and method.biases):
        trained |= {name for name, weight in own.items() if weight.dim() < 2}
    if isinstance(method, FrozenConfig) and not trained:
        top = {id(weight) for weight in model.layer_groups()[-1]}  # type: ignore[operator]
        trained = {name for name, weight in own.items() if id(weight) in top}
    if isinstance(method, LoRAConfig):
        for name, (target, gates) in matrices(model).items():
            if target in method.targets and name in own and name not in trained:
                changes[name] = LowRank(own[name], method, gates if method.per_gate else 1)
    if not trained and not changes:
        raise ConfigError(f"`finetune.method`: {method.kind} finds nothing to train in this model.")  # type: ignore[attr-defined]
    pulled = [name for name in own if name in changes or (name in trained and name not in new)]
    return Tuned(model, trained, changes, Pull(model, pulled, pull) if pull and pulled else None, replay)


def places_of(model: nn.Module) -> dict[int, list[tuple[nn.Module, str]]]:
    """Which modules hold each parameter, and by which name; by its id."""
    found: dict[int, list[tuple[nn.Module, str]]] = {}
    for module in model.modules():
        for name, weight in module._parameters.items():
            found.setdefault(id(weight), []).append((module, name))
    return found


def of_model(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The plain model's part of stored tensors, which may be those of a `Tuned`."""
    if not any(name.startswith("plain.") for name in tensors):
        return tensors
    return {name.removeprefix("plain."): t for name, t in tensors.items() if name.startswith("plain.")}


def matrices(model: nn.Module) -> dict[str, tuple[Target, int]]:
    """What each matrix of a model is for, and of how many gates its rows are; a tied one stands once."""
    found: dict[str, tuple[Target, int]] = {}
    seen: set[int] = set()
    for path, module in model.named_modules():
        for name, weight in module.named_parameters(recurse=False):
            if weight.dim() < 2 or id(weight) in seen:
                continue
            seen.add(id(weight))
            target: Target = "embedding" if isinstance(module, TokenEmbedding) else "output"
            gates = 1
            if isinstance(module, Cell):
                target = "input" if name.startswith("weight_ih") else "recurrent"
                gates = 1 if len(weight) % module.hidden_size else len(weight) // module.hidden_size
            found[f"{path}.{name}" if path else name] = (target, gates)
    return found
