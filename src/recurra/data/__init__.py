"""Floor 2: files -> records -> examples -> batches, and running text -> token streams."""

from recurra.data.calendar import CALENDAR, calendar_columns, calendar_features, read_holidays, usual_calendar
from recurra.data.collate import Example, collate_tokens
from recurra.data.columns import ColumnChoice, choose_columns, usable_rows
from recurra.data.config import DataConfig
from recurra.data.generating import FreshBatches, drawn_by
from recurra.data.labelled_reading import SeriesRows, read_labelled_series
from recurra.data.labelled_series import LabelledSeries
from recurra.data.labels import Labels, fit_labels, smoothed_shares
from recurra.data.readers import READERS, ReadOptions, read_pieces, read_records
from recurra.data.records import PieceSource, Record, Records, TextPiece
from recurra.data.sampling import BucketedBatches
from recurra.data.series import read_series, series_from_frame
from recurra.data.series_options import SeriesConfig
from recurra.data.series_splits import SeriesSplits, read_series_splits, require_variation, split_series
from recurra.data.series_types import Series, SeriesSet
from recurra.data.sharding import Shard
from recurra.data.splits import Splits, split_pieces, split_records
from recurra.data.stamps import Frequency, infer_frequency
from recurra.data.streaming import TokenStream
from recurra.data.tokens import TokenCorpus, encode_tokens, mirror_tokens, open_tokens, write_tokens
from recurra.data.transforms import SeriesAugmentConfig, TextAugment, TextAugmentConfig, augment
from recurra.data.vocabularies.base import Texts, Vocabulary, VocabularyConfig
from recurra.data.vocabulary import VOCABULARIES, fit_vocabulary, vocabulary_from_json
from recurra.data.windows import WindowBatches, WindowSeries, WindowSource, window_origins

__all__ = [
    "CALENDAR",
    "READERS",
    "VOCABULARIES",
    "BucketedBatches",
    "ColumnChoice",
    "DataConfig",
    "Example",
    "Frequency",
    "FreshBatches",
    "LabelledSeries",
    "Labels",
    "PieceSource",
    "ReadOptions",
    "Record",
    "Records",
    "Series",
    "SeriesAugmentConfig",
    "SeriesConfig",
    "SeriesRows",
    "SeriesSet",
    "SeriesSplits",
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
    "WindowBatches",
    "WindowSeries",
    "WindowSource",
    "augment",
    "calendar_columns",
    "calendar_features",
    "choose_columns",
    "collate_tokens",
    "drawn_by",
    "encode_tokens",
    "fit_labels",
    "fit_vocabulary",
    "infer_frequency",
    "mirror_tokens",
    "open_tokens",
    "read_holidays",
    "read_labelled_series",
    "read_pieces",
    "read_records",
    "read_series",
    "read_series_splits",
    "require_variation",
    "series_from_frame",
    "smoothed_shares",
    "split_pieces",
    "split_records",
    "split_series",
    "usable_rows",
    "usual_calendar",
    "vocabulary_from_json",
    "window_origins",
    "write_tokens",
]
