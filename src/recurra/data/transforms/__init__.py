"""Changes of training examples, one file a kind of data."""

from recurra.data.transforms.text import TextAugment, TextAugmentConfig, augment

__all__ = ["TextAugment", "TextAugmentConfig", "augment"]
