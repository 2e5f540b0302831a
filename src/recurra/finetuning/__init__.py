"""Floor 6: from a pretrained model to another task, or to other data."""

from recurra.finetuning.attaching import adapter_tensors, attach, put
from recurra.finetuning.config import FinetuneConfig
from recurra.finetuning.inserting import has_adapters, with_adapters
from recurra.finetuning.methods import METHODS
from recurra.finetuning.remembering import Replay
from recurra.finetuning.transfer import Grown, Transfer, encoders, match, own_tensors, transfer
from recurra.finetuning.tuned import Tuned, of_model, tune

__all__ = [
    "METHODS",
    "FinetuneConfig",
    "Grown",
    "Replay",
    "Transfer",
    "Tuned",
    "adapter_tensors",
    "attach",
    "encoders",
    "has_adapters",
    "match",
    "of_model",
    "own_tensors",
    "put",
    "transfer",
    "tune",
    "with_adapters",
]
