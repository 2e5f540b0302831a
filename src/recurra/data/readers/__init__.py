"""Readers: files -> records or pieces of running text, one file a format. They make no tensors and print nothing."""

from recurra.data.readers.options import ReadOptions
from recurra.data.readers.reading import READERS, read_pieces, read_records

__all__ = ["READERS", "ReadOptions", "read_pieces", "read_records"]
