"""Changes of training examples, one file a kind of data."""

from recurra.data.transforms.series import SeriesAugment, SeriesAugmentConfig, augment_series
from recurra.data.transforms.text import TextAugment, TextAugmentConfig, augment

__all__ = ["SeriesAugment", "SeriesAugmentConfig", "TextAugment", "TextAugmentConfig", "augment", "augment_series"]
