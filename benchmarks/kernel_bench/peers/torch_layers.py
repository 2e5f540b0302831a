"""torch.nn's layers, and recurra's on the same weights: what every process has."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

import recurra.nn

from ..cases import Arrays, Problem, Settings, torch_layer
from ..clock import Call
from ..contest import Contestant

Forward = Callable[[Tensor], Tensor]


def build(problem: Problem, settings: Settings) -> Contestant:
    """torch.nn's layer."""
    return layer_contestant("torch", problem.layer, problem)


def build_ours(problem: Problem) -> Contestant:
    """recurra.nn's layer with the weights of torch.nn's."""
    return layer_contestant("recurra", our_layer(problem), problem)


def exact(problem: Problem, mode: str) -> Arrays:
    """torch.nn's numbers in float64."""
    layer = copy.deepcopy(problem.layer).double()
    x = torch.from_numpy(problem.x).double().requires_grad_()
    y = layer(x)[0]
    if mode == "inference":
        return {"y": y.detach().numpy()}
    named = {name.removesuffix("_l0"): weight for name, weight in layer.named_parameters()}
    gradients = torch.autograd.grad(y, [x, *named.values()], torch.from_numpy(problem.grad_y).double())
    found = dict(zip(["dx", *named], gradients, strict=True))
    return {"y": y.detach().numpy()} | {name: gradient.numpy() for name, gradient in found.items()}


def our_layer(problem: Problem, **extras: Any) -> nn.Module:
    """recurra.nn's layer with the weights of torch.nn's."""
    case = problem.case
    if extras:
        layer = getattr(recurra.nn, case.kind.upper() if case.kind in ("lstm", "gru") else "RNN")(
            case.input_size, case.hidden_size, batch_first=True, **extras
        )
    else:
        layer = torch_layer(case, recurra.nn)
    layer.load_state_dict(problem.layer.state_dict())
    return layer


def layer_contestant(name: str, layer: nn.Module, problem: Problem, **options: Any) -> Contestant:
    """A layer or a cell that returns (outputs, state), in training mode for training, else in evaluation mode.

    Args:
        name: for the tables.
        layer: the module; it is copied.
        problem: the inputs.
        options: for the layer's `forward`.
    """
    modules = {"train": copy.deepcopy(layer).train(), "inference": copy.deepcopy(layer).eval()}
    forwards = {mode: lambda x, module=module: module(x, **options)[0] for mode, module in modules.items()}
    named = {name.removesuffix("_l0"): weight for name, weight in modules["train"].named_parameters()}
    found = contestant(name, forwards, named, problem)
    found.path = lambda: _paths(modules.values())
    return found


def contestant(
    name: str, forwards: Mapping[str, Forward], parameters: Mapping[str, Tensor], problem: Problem
) -> Contestant:
    """Anything that torch differentiates.

    Args:
        name: for the tables.
        forwards: mode -> inputs (B, T, I) to outputs (B, T, O).
        parameters: of the training forward, by torch's names.
        problem: the inputs; the outputs' gradient is cut or drawn anew where O is not H.
    """
    x, leaf = torch.from_numpy(problem.x), torch.from_numpy(problem.x.copy()).requires_grad_()
    wanted = [leaf, *parameters.values()]
    grad_y = torch.from_numpy(problem.grad_y)

    def infer() -> Tensor:
        with torch.inference_mode():
            return forwards["inference"](x)

    def train() -> tuple[Tensor, tuple[Tensor, ...]]:
        y = forwards["train"](leaf)
        return y, torch.autograd.grad(y, wanted, grad_y[..., : y.shape[-1]])

    def new_weights() -> None:
        # An optimiser would have changed them: packed copies of an earlier call must not count.
        torch.autograd.graph.increment_version(list(parameters.values()))

    def read(result: tuple[Tensor, tuple[Tensor, ...]]) -> Arrays:
        y, gradients = result
        return {"y": y.detach().numpy()} | dict(zip(["dx", *parameters], [g.numpy() for g in gradients], strict=True))

    return Contestant(
        name,
        {"train": Call(train, new_weights), "inference": Call(infer)},
        {"train": read, "inference": lambda y: {"y": y.numpy()}},
    )


def _paths(modules: Any) -> str:
    """The kernels that recurra's layers or cells ran last; nothing for torch's."""
    found = [path for module in modules for path in _as_list(getattr(module, "last_path", []))]
    return ", ".join(dict.fromkeys(path.name for path in found if path.name != "none"))


def _as_list(paths: Any) -> list:
    return paths if isinstance(paths, list) else [paths]
