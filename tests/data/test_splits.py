"""Held-out parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra.core.errors import DataError
from recurra.data import PieceSource, Record, TextPiece, split_pieces, split_records


def rows_of(labels: str) -> list[Record]:
    return [Record(str(n), {"label": label}, f"data.csv:{n}") for n, label in enumerate(labels)]


def label_of(record: Record) -> str:
    return record.fields["label"]


def test_parts_are_disjoint_and_in_order() -> None:
    rows = rows_of("ab" * 50)
    parts = split_records(rows, 0.1, 0.2, seed=1)
    assert [len(part) for part in parts] == [70, 10, 20]
    assert sorted(int(row.id) for part in parts for row in part) == list(range(100))
    assert all([int(row.id) for row in part] == sorted(int(row.id) for row in part) for part in parts)


def test_same_seed_same_parts() -> None:
    rows = rows_of("ab" * 50)
    assert split_records(rows, 0.3, seed=1) == split_records(rows, 0.3, seed=1)
    assert split_records(rows, 0.3, seed=1) != split_records(rows, 0.3, seed=2)


def test_shares_of_labels() -> None:
    rows = rows_of("a" * 800 + "b" * 150 + "c" * 50)
    parts = split_records(rows, 0.1, 0.2, seed=3, label_of=label_of)
    for part, share in zip(parts, (0.7, 0.1, 0.2), strict=True):
        counts = Counter(map(label_of, part))
        for label, total in (("a", 800), ("b", 150), ("c", 50)):
            assert abs(counts[label] - total * share) <= 1.5


def test_every_label_stays_in_training() -> None:
    rows = rows_of("a" * 96 + "bbcc")
    assert set(map(label_of, split_records(rows, 0.1, 0.1, label_of=label_of).train)) == set("abc")


def test_nothing_held_out() -> None:
    rows = rows_of("ab")
    assert split_records(rows, 0.0) == (rows, [], [])


def test_a_small_part_is_not_empty() -> None:
    assert [len(part) for part in split_records(rows_of("abab"), 0.01, 0.01)] == [2, 1, 1]


def test_too_few_rows() -> None:
    with pytest.raises(DataError, match=r"data.csv:0: one row only: too few to train on.*--data.valid"):
        split_records(rows_of("a"), 0.1)
    with pytest.raises(DataError, match="2 rows: too few"):
        split_records(rows_of("ab"), 0.1, 0.1)


def source_of(*pieces: TextPiece) -> PieceSource:
    return lambda: iter(pieces)


def text_of(source: PieceSource | None) -> str:
    assert source is not None
    return "".join(piece.text for piece in source())


def one_document(text: str, size: int) -> PieceSource:
    def pieces() -> Iterator[TextPiece]:
        parts = [text[start : start + size] for start in range(0, len(text), size)]
        for number, part in enumerate(parts):
            yield TextPiece(part, number == 0, number == len(parts) - 1, "a.txt:1")

    return pieces


@settings(deadline=None, max_examples=80)
@given(st.integers(3, 40), st.integers(1, 12), st.sampled_from([(0.1, 0.0), (0.2, 0.2), (0.0, 0.3), (0.5, 0.1)]))
def test_tails_make_up_the_text(num_lines: int, size: int, fractions: tuple[float, float]) -> None:
    text = "".join(f"line {n}\n" for n in range(num_lines))
    pieces = one_document(text, size)
    try:
        parts = split_pieces(pieces, *fractions)
    except DataError:
        assert num_lines < 15
        return
    assert "".join(text_of(part) for part in parts if part) == text
    shares = (1 - sum(fractions), *fractions)
    for part, share in zip(parts, shares, strict=True):
        assert (part is None) == (share == 0)
        if part is None:
            continue
        held = list(part())
        assert held[0].starts and not any(piece.starts for piece in held[1:])
        assert all(line.startswith("line ") for line in text_of(part).splitlines())
        assert abs(len(text_of(part)) - share * len(text)) <= 16


def test_documents_stay_whole() -> None:
    pieces = source_of(*[TextPiece(f"document {n}", True, True, f"a.txt:{n}") for n in range(10)])
    parts = split_pieces(pieces, 0.25, 0.25)
    assert parts.train and parts.valid and parts.test
    assert [len(list(part())) for part in parts if part] == [5, 3, 2]
    assert all(piece.starts and piece.ends for part in parts if part for piece in part())


def test_ends_of_documents_are_kept() -> None:
    text = "a\n" * 50
    parts = split_pieces(one_document(text, 100), 0.1)
    assert parts.train and parts.valid
    assert [piece.ends for piece in parts.train()] == [False]
    assert [piece.ends for piece in parts.valid()] == [True]


def test_nothing_held_out_of_text() -> None:
    parts = split_pieces(one_document("a\n", 1), 0.0)
    assert text_of(parts.train) == "a\n" and parts.valid is None and parts.test is None


@pytest.mark.parametrize("text", ["one line only", "one line only\n", ""])
def test_too_little_text(text: str) -> None:
    with pytest.raises(DataError, match="too short, or has too few lines"):
        split_pieces(one_document(text, 100), 0.1)
