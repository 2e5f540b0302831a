"""Floor 2: files -> records -> examples -> batches, and running text -> token streams."""

from recurra.data.collate import Example, collate_tokens
from recurra.data.columns import ColumnChoice, choose_columns, usable_rows
from recurra.data.config import DataConfig
from recurra.data.labels import Labels, fit_labels
from recurra.data.readers import READERS, ReadOptions, read_pieces, read_records
from recurra.data.records import PieceSource, Record, Records, TextPiece
from recurra.data.sampling import BucketedBatches
from recurra.data.sharding import Shard
from recurra.data.splits import Splits, split_pieces, split_records
from recurra.data.streaming import TokenStream
from recurra.data.tokens import TokenCorpus, encode_tokens, mirror_tokens, open_tokens, write_tokens
from recurra.data.transforms import TextAugment, TextAugmentConfig, augment
from recurra.data.vocabularies.base import Texts, Vocabulary, VocabularyConfig
from recurra.data.vocabulary import VOCABULARIES, fit_vocabulary, vocabulary_from_json

__all__ = [
    "READERS",
    "VOCABULARIES",
    "BucketedBatches",
    "ColumnChoice",
    "DataConfig",
    "Example",
    "Labels",
    "PieceSource",
    "ReadOptions",
    "Record",
    "Records",
    "Shard",
    "Splits",
    "TextAugment",
    "TextAugmentConfig",
    "TextPiece",
    "Texts",
    "TokenCorpus",
    "TokenStream",
    "Vocabulary",
    "VocabularyConfig",
    "augment",
    "choose_columns",
    "collate_tokens",
    "encode_tokens",
    "fit_labels",
    "fit_vocabulary",
    "mirror_tokens",
    "open_tokens",
    "read_pieces",
    "read_records",
    "split_pieces",
    "split_records",
    "usable_rows",
    "vocabulary_from_json",
    "write_tokens",
]
