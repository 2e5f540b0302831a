"""Floor 6: from a pretrained model to another task."""

from recurra.finetuning.transfer import FinetuneConfig, Transfer, encoders, transfer

__all__ = ["FinetuneConfig", "Transfer", "encoders", "transfer"]
