"""Floor 6: from a pretrained model to another task, or to other data."""

from recurra.finetuning.config import FinetuneConfig
from recurra.finetuning.methods import METHODS
from recurra.finetuning.transfer import Transfer, encoders, transfer
from recurra.finetuning.tuned import Tuned, of_model, tune

__all__ = ["METHODS", "FinetuneConfig", "Transfer", "Tuned", "encoders", "of_model", "transfer", "tune"]
