"""Seeds and generator states: same seed, same numbers."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from torch import Tensor


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch (all devices)."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def generator(*keys: int | str) -> torch.Generator:
    """A CPU generator that depends on the keys alone, for example (seed, "shuffle", epoch)."""
    entropy = [key if isinstance(key, int) else int.from_bytes(key.encode(), "little") for key in keys]
    seed = int(np.random.SeedSequence([abs(value) for value in entropy]).generate_state(1, np.uint64)[0])
    return torch.Generator().manual_seed(seed % 2**63)


def rng_state() -> dict[str, Tensor]:
    """The states of torch's generators, as tensors; nothing in recurra draws from another after the start."""
    states = {"torch": torch.get_rng_state()}
    if torch.cuda.is_available():
        states |= {f"cuda.{i}": state for i, state in enumerate(torch.cuda.get_rng_state_all())}
    return states


def load_rng_state(states: dict[str, Any]) -> None:
    """Put back what `rng_state` gave."""
    torch.set_rng_state(states["torch"])
    cuda = sorted((key for key in states if key.startswith("cuda.")), key=lambda key: int(key.split(".")[1]))
    if torch.cuda.is_available() and len(cuda) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([states[key] for key in cuda])
