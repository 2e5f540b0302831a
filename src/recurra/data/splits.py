"""Held-out parts: random rows for classification, a contiguous tail for running text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

import numpy as np

from recurra.core.errors import DataError
from recurra.data.records import PieceSource, TextPiece

T = TypeVar("T")


class _HasPlace(Protocol):
    @property
    def where(self) -> str:
        """File and line, for messages."""


Row = TypeVar("Row", bound=_HasPlace)


class Splits(NamedTuple, Generic[T]):
    """The three parts; one whose fraction is 0 is empty (rows) or None (running text)."""

    train: T
    valid: T
    test: T


def split_records(
    rows: Sequence[Row],
    valid_fraction: float,
    test_fraction: float = 0.0,
    *,
    seed: int = 0,
    label_of: Callable[[Row], str] | None = None,
) -> Splits[list[Row]]:
    """Split rows at random, the same way for the same seed and rows; each part keeps the order of the file.

    Args:
        rows: all rows.
        valid_fraction: part held out for validation, 0 to 1; at least one row where it is not 0.
        test_fraction: part held out for testing, in the same way.
        seed: of the choice.
        label_of: where given, each part has about the same share of each label.
    Raises:
        DataError: too few rows to split.
    """
    sizes = [max(1, round(len(rows) * part)) if part else 0 for part in (valid_fraction, test_fraction)]
    if sum(sizes) >= len(rows):
        first = f"{rows[0].where}: one row only" if len(rows) == 1 else f"{len(rows)} rows"
        raise DataError(
            f"{first}: too few to train on with {sum(sizes)} held out. Give more rows, or files of their own with "
            "--data.valid (and --data.test), or hold nothing out with --data.valid_fraction=0."
        )
    order = np.random.default_rng(seed).permutation(len(rows))
    if label_of is not None:
        order = _deal_by_label([label_of(rows[index]) for index in order], order)
    part_of = np.zeros(len(rows), dtype=np.int64)
    part_of[order[: sizes[0]]] = 1
    part_of[order[sizes[0] : sum(sizes)]] = 2
    parts = ([row for row, own in zip(rows, part_of, strict=True) if own == part] for part in range(3))
    return Splits(*parts)


def _deal_by_label(labels: Sequence[str], order: np.ndarray) -> np.ndarray:
    """Spread each label evenly: row j of n of a label gets rank (j + 1/2) / n, so that any head has fair shares."""
    totals: dict[str, int] = {}
    place = np.empty(len(labels), dtype=np.int64)
    for index, label in enumerate(labels):
        place[index] = totals[label] = totals.get(label, 0) + 1
    ranks = (place - 0.5) / np.array([totals[label] for label in labels])
    return order[np.argsort(ranks, kind="stable")]


def split_pieces(pieces: PieceSource, valid_fraction: float, test_fraction: float = 0.0) -> Splits[PieceSource | None]:
    """Hold out the end of a corpus: train, then valid, then test, in shares of its characters.

    Each part ends at the first line or document end after its share, so that no word is cut.

    Raises:
        DataError: the text is too short to split, or is one line only.
    """
    total = sum(len(piece.text) for piece in pieces())
    shares = {0: 1 - valid_fraction - test_fraction, 1: valid_fraction, 2: test_fraction}
    wanted = [part for part, share in shares.items() if share > 0]
    borders = [round(total * sum(shares[part] for part in wanted[: place + 1])) for place in range(len(wanted) - 1)]
    found = {place for place, piece in _cut_at(pieces(), borders) if piece.text} if borders else {0}
    if len(found) < len(wanted):
        raise DataError(
            f"the text ({total:,} characters) is too short, or has too few lines, to hold a part of it out: it is cut "
            "at line ends only. Give more text, or files of their own with --data.valid (and --data.test), or hold "
            "nothing out with --data.valid_fraction=0."
        )

    def source(part: int) -> PieceSource | None:
        if part not in wanted:
            return None
        place = wanted.index(part)
        return lambda: (piece for own, piece in _cut_at(pieces(), borders) if own == place)

    return Splits(source(0), source(1), source(2))


def _cut_at(pieces: Iterator[TextPiece], borders: Sequence[int]) -> Iterator[tuple[int, TextPiece]]:
    """Each piece with the number of its part, which goes up at the first line or document end from a border on."""
    part = done = 0
    fresh = True
    for piece in pieces:
        text, starts = piece.text, piece.starts
        while part < len(borders) and done + len(text) >= borders[part]:
            end = text.find("\n", max(0, borders[part] - done - 1)) + 1
            if end == 0 or end == len(text):
                break
            yield part, TextPiece(text[:end], starts or fresh, False, piece.where)
            text, done, starts, part = text[end:], done + end, True, part + 1
        yield part, TextPiece(text, starts or fresh, piece.ends, piece.where)
        done += len(text)
        fresh = False
        if part < len(borders) and done >= borders[part] and (piece.ends or text.endswith("\n")):
            part += 1
            fresh = True
