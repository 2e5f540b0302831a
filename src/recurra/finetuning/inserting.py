"""Room for adapters in the config of a model."""

from __future__ import annotations

from recurra.core.config import Config
from recurra.layers import RecurrentConfig

_SIZE = 32


def with_adapters(model: Config) -> Config:
    """A model's config with adapters after the layers of each stack, where it has none and says no size."""
    if has_adapters(model):
        return model
    update: dict[str, object] = {
        name: with_adapters(part) for name, part in _parts(model).items() if isinstance(part, RecurrentConfig)
    }
    if isinstance(model, RecurrentConfig):
        update["adapter_size"] = _SIZE
    return model.model_copy(update=update)


def has_adapters(model: Config) -> bool:
    """Whether any stack has adapters."""
    return bool(getattr(model, "adapter_size", 0)) or any(map(has_adapters, _parts(model).values()))


def _parts(model: Config) -> dict[str, Config]:
    """The configs in a config; not those of language models that stand still."""
    if not getattr(model, "train_lm", True):
        return {}
    found = {name: getattr(model, name) for name in type(model).model_fields}
    return {name: part for name, part in found.items() if isinstance(part, Config)}
