"""How a pretrained model is trained: which of its weights move, and what is put beside those that stand still.

Sources: adapters: Houlsby et al. (2019), https://arxiv.org/abs/1902.00751; biases alone: Ben Zaken et al. (2022),
https://arxiv.org/abs/2106.10199; low rank: Hu et al. (2022), https://arxiv.org/abs/2106.09685; with magnitudes: Liu et
al. (2024), https://arxiv.org/abs/2402.09353.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from recurra.core.config import Config, by_kind

Target = Literal["input", "recurrent", "embedding", "output"]


class FullConfig(Config):
    """All weights are trained."""

    kind: Literal["full"] = "full"


class FrozenConfig(Config):
    """What is new is trained, and nothing else; the topmost layer where nothing is new."""

    kind: Literal["frozen"] = "frozen"


class BiasConfig(Config):
    """Biases, gains and what is new are trained (BitFit)."""

    kind: Literal["bias"] = "bias"


class AdaptersConfig(Config):
    """Small layers after each recurrent layer are trained, and what is new; `model.adapter_size` is their size."""

    kind: Literal["adapters"] = "adapters"


class LoRAConfig(Config):
    """A change of low rank is trained for each matrix, and what is new."""

    kind: Literal["lora"] = "lora"
    rank: int = Field(8, ge=1, description="of the change of each matrix")
    alpha: float = Field(16.0, gt=0, description="the change is scaled by alpha / rank")
    dropout: float = Field(0.0, ge=0, lt=1, description="of the columns of the change, the same for a whole batch")
    targets: tuple[Target, ...] = Field(
        ("input", "recurrent", "embedding", "output"),
        min_length=1,
        description="which matrices: those of cells, embeddings, all others (softmax, attention, convolutions)",
    )
    per_gate: bool = Field(False, description="a change of that rank for each gate of a cell, not for all together")
    biases: bool = Field(False, description="train biases and gains, too")


class DoRAConfig(LoRAConfig):
    """As `lora`; the length of each row of a matrix is trained apart from its direction."""

    kind: Literal["dora"] = "dora"  # type: ignore[assignment]


METHODS: dict[str, type[Config]] = {
    "full": FullConfig,
    "frozen": FrozenConfig,
    "bias": BiasConfig,
    "adapters": AdaptersConfig,
    "lora": LoRAConfig,
    "dora": DoRAConfig,
}
MethodConfig = by_kind(METHODS.values())
