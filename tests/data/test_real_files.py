"""The data sets under RECURRA_DATA: every one is read, with the numbers of rows and tokens that their makers state."""

from __future__ import annotations

import csv
import os
from collections import Counter
from pathlib import Path

import pytest

from recurra.data import (
    ReadOptions,
    VocabularyConfig,
    choose_columns,
    encode_tokens,
    fit_vocabulary,
    read_pieces,
    read_records,
    usable_rows,
)

ROOT = os.environ.get("RECURRA_DATA", "")
pytestmark = pytest.mark.skipif(not ROOT, reason="RECURRA_DATA is not set: it names the folder of real data sets")
CLASSES = Path(ROOT) / "text_classification"
TEXTS = Path(ROOT) / "language_modelling"


@pytest.mark.parametrize(
    ("name", "text", "label", "counts"),
    [
        ("sst2/train.tsv", "0", "1", {"1": 3610, "0": 3310}),
        ("sst2/dev.tsv", "0", "1", {"1": 444, "0": 428}),
        ("sst2/test.tsv", "0", "1", {"0": 912, "1": 909}),
        ("ag_news/test.csv", "2", "0", {"1": 1900, "2": 1900, "3": 1900, "4": 1900}),
        ("ag_news/train_subset.csv", "1", "0", None),
        ("sms_spam/sms.tsv", "1", "0", {"ham": 4827, "spam": 747}),
        ("chnsenticorp_htl/ChnSentiCorp_htl_all.csv", "review", "label", {"1": 5322, "0": 2444}),
    ],
)
def test_classification(name: str, text: str, label: str, counts: dict[str, int] | None) -> None:
    records = read_records(CLASSES / name, ReadOptions())
    choice = choose_columns(records)
    assert (choice.text_column, choice.label) == (text, label)
    rows = usable_rows(records, choice)
    assert rows.skipped == 0
    if counts is None:
        assert len(rows) == 4991
    else:
        assert Counter(map(choice.label_of, rows)) == counts


@pytest.mark.parametrize("name", ["ag_news/test.csv", "chnsenticorp_htl/ChnSentiCorp_htl_all.csv", "sms_spam/sms.tsv"])
def test_cells_are_those_of_the_standard_library(name: str) -> None:
    with open(CLASSES / name, encoding="utf-8", newline="") as file:
        if name.endswith(".tsv"):
            expected = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
        else:
            expected = list(csv.reader(file))
    records = read_records(CLASSES / name, ReadOptions(header="no"))
    assert [list(record.fields.values()) for record in records] == expected


def test_penn_treebank_has_its_known_tokens() -> None:
    folder = TEXTS / "penn_treebank"
    options = ReadOptions(documents="whole")
    config = VocabularyConfig(kind="word", pattern="whitespace")
    train = folder / "ptb.train.txt.gz"
    vocabulary = fit_vocabulary(config, lambda: (piece.text for piece in read_pieces(train, options)))
    assert vocabulary.size == 10_001  # the 10,000 words with <unk>, the line end among them, and our <eos>
    for name, num_tokens in (("ptb.train.txt.gz", 929_589), ("ptb.valid.txt", 73_760), ("ptb.test.txt", 82_430)):
        corpus = encode_tokens(read_pieces(folder / name, options), vocabulary)
        assert len(corpus.tokens) == num_tokens
        assert corpus.starts.tolist() == [0]
    assert len(list(read_pieces(folder, options))) == 7


def test_tiny_shakespeare() -> None:
    pieces = list(read_pieces(TEXTS / "tiny_shakespeare" / "input.txt", ReadOptions()))
    vocabulary = fit_vocabulary(VocabularyConfig(kind="char"), [piece.text for piece in pieces])
    corpus = encode_tokens(pieces, vocabulary)
    assert corpus.num_characters == len(corpus.tokens) - 1 == 1_115_394
    assert vocabulary.size == 65 + 2
    assert vocabulary.decode(corpus.tokens[:14].tolist()) == "First Citizen:"


def test_tang_poems() -> None:
    files = sorted((TEXTS / "chinese_poetry_tang").iterdir())
    pieces = list(read_pieces(files, ReadOptions(), "paragraphs"))
    assert len(pieces) == 5003
    assert all(piece.starts and piece.ends for piece in pieces)
    assert choose_columns(read_records(files, ReadOptions()), want_label=False).text == ("paragraphs",)
