"""Floor 6: from a pretrained model to another task."""

from recurra.finetuning.transfer import FinetuneConfig, Transfer, transfer

__all__ = ["FinetuneConfig", "Transfer", "transfer"]
