"""Floor 3: recurrent cells. A new cell is one file and one line in `CELLS`."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from recurra.cells.base import NO_NOISE, Cell, Noise
from recurra.cells.elman import ElmanCell, ElmanConfig
from recurra.cells.gru import GRUCell, GRUConfig
from recurra.cells.lstm import LSTMCell, LSTMConfig
from recurra.cells.orthogonal import OrthogonalCell, OrthogonalConfig
from recurra.core.config import by_kind

CELLS = {"elman": ElmanCell, "lstm": LSTMCell, "gru": GRUCell, "orthogonal": OrthogonalCell}

if TYPE_CHECKING:
    CellConfig: TypeAlias = ElmanConfig | LSTMConfig | GRUConfig | OrthogonalConfig
else:
    CellConfig = by_kind(cell.Config for cell in CELLS.values())

__all__ = [
    "CELLS",
    "NO_NOISE",
    "Cell",
    "CellConfig",
    "ElmanCell",
    "ElmanConfig",
    "GRUCell",
    "GRUConfig",
    "LSTMCell",
    "LSTMConfig",
    "Noise",
    "OrthogonalCell",
    "OrthogonalConfig",
]
