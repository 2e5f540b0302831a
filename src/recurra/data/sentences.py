"""Records -> sentences of words, with a tag a word where there are tags.

A field holds a list: its entries are parted by line ends (as the readers of CoNLL and of JSON lists have it) or, where
it holds no line end, by blanks (as in a cell of CSV: "Ada Lovelace wrote", "B-PER I-PER O").
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from recurra.core.errors import ConfigError, DataError
from recurra.data.columns import ColumnChoice, choose_columns
from recurra.data.config import DataConfig
from recurra.data.readers import read_records
from recurra.data.records import Record, Records
from recurra.data.splits import Splits, split_records

WORD_NAMES = ("form", "words", "word", "tokens", "token", "text", "sentence", "characters", "chars")
TAG_NAMES = ("upos", "tags", "tag", "ner_tags", "labels", "label", "ner", "pos_tags", "pos", "xpos")

_BLANKS = re.compile(r"[ \t]+")
_MEND = "Mend it, or pass --data.skip_bad_rows=true to skip and count such sentences."


class Sentence(NamedTuple):
    """Words as they stand in a file.

    Attributes:
        words: may be none.
        tags: one a word; none where the file's are not read.
        id: the record's.
        where: file and line of the first word, for messages.
    """

    words: tuple[str, ...]
    tags: tuple[str, ...]
    id: str
    where: str


def choose_word_columns(
    records: Records, word_column: str | int | None, tag_column: str | int | None, *, want_tags: bool = True
) -> ColumnChoice:
    """Choose the columns of words and tags.

    What is not asked for is guessed: by usual names (form and upos of CoNLL-U), else the first and the last column.

    Raises:
        DataError: no such column, or one column only where two are wanted.
    """
    words = word_column if word_column is not None else _guess(records, WORD_NAMES, 0)
    if not want_tags:
        return choose_columns(records, words, None, want_label=False)
    if len(records.columns) < 2:
        raise DataError(
            f"{records.source}: one column only ({records.columns[0]}), and words and tags are wanted. Give a file "
            "of a word and its tag a line (--data.format=conll), or JSON lines with the lists words and tags."
        )
    tags = tag_column if tag_column is not None else _guess(records, TAG_NAMES, len(records.columns) - 1)
    choice = choose_columns(records, words, tags)
    sentence = f"{records.source}: words from column {choice.text_column!r}, tags from column {choice.label!r}"
    guessed = [name for name, given in (("text", word_column), ("label", tag_column)) if given is None]
    mend = " or ".join(f"--data.{name}_column" for name in guessed)
    return ColumnChoice(
        choice.text, choice.label, f"{sentence} (guessed; else pass {mend})." if mend else f"{sentence}."
    )


def read_sentences(
    records: Records, choice: ColumnChoice, skip_bad_rows: bool, strip_segmentation: bool = False
) -> tuple[list[Sentence], list[str]]:
    """The records' sentences, empty ones too, and sentences on what was skipped.

    Args:
        records: what was read.
        choice: of `choose_word_columns`; without a label column, tags are not read.
        skip_bad_rows: skip and count what can't be used.
        strip_segmentation: take the last digit off words: see `strip_index`.
    Raises:
        DataError: words and tags of a sentence are not equally many, a tag is empty, or a field is missing.
    """
    found, faults = [], []
    for record in records:
        sentence = _sentence(record, choice)
        if isinstance(sentence, str):
            if not skip_bad_rows:
                raise DataError(f"{record.where}: {sentence}. {_MEND}")
            faults.append(f"{record.where}: {sentence}")
        else:
            found.append(
                sentence._replace(words=tuple(map(strip_index, sentence.words))) if strip_segmentation else sentence
            )
    if faults and not found:
        raise DataError(f"{records.source}: no usable sentences. {faults[0]}.")
    return found, [f"{records.source}: {len(faults)} sentences were skipped; the first: {faults[0]}."] if faults else []


def read_sentence_splits(
    data: DataConfig, seed: int, strip_segmentation: bool = False
) -> tuple[Splits[list[Sentence]], ColumnChoice, list[str]]:
    """The sentences of each split, from files of its own or held out of the training files at random.

    Files whose ending says nothing are read as CoNLL.

    Returns:
        Splits, of which those not asked for are empty; the columns; sentences for the person who waits.
    Raises:
        ConfigError: no training data.
        DataError: as `read_records`, `choose_word_columns` and `read_sentences`.
    """
    if data.train is None:
        raise ConfigError("no training data: give --data.train FILE (CoNLL or CoNLL-U columns, or JSON lines).")
    records = read_records(data.train, data, plain="conll")
    choice = choose_word_columns(records, data.text_column, data.label_column)
    sentences, skipped = read_sentences(records, choice, data.skip_bad_rows, strip_segmentation)
    notes = [*records.notes, choice.sentence, *skipped]
    fractions = (0.0 if data.valid else data.valid_fraction, 0.0 if data.test else data.test_fraction)
    parts = split_records(sentences, *fractions, seed=seed)._asdict()
    if fractions[0]:
        notes.append(f"{len(parts['valid']):,} of the training sentences are held out at random for validation")
    for name, paths in (("valid", data.valid), ("test", data.test)):
        if paths is None:
            continue
        own = read_records(paths, data, plain="conll")
        alike = {*choice.text, choice.label} <= set(own.columns)
        columns = choice if alike else choose_word_columns(own, data.text_column, data.label_column)
        parts[name], skipped = read_sentences(own, columns, data.skip_bad_rows, strip_segmentation)
        notes += [note for note in (*own.notes, *([] if alike else [columns.sentence]), *skipped) if note not in notes]
    return Splits(**parts), choice, notes


def cut_long(sentences: list[Sentence], max_length: int) -> tuple[list[Sentence], list[str]]:
    """Sentences to train on: none empty, none longer than `max_length` words; and how many were left out or cut.

    Raises:
        DataError: all of them are empty.
    """
    found, num_cut = [], 0
    for one in sentences:
        num_cut += len(one.words) > max_length
        for start in range(0, len(one.words), max_length):
            part = slice(start, start + max_length)
            found.append(one._replace(words=one.words[part], tags=one.tags[part]))
    if not found:
        raise DataError("the training sentences hold no word. Is it the right file, and the right column?")
    num_empty = sum(not one.words for one in sentences)
    notes = [f"{num_empty} training sentences without a word are left out"] if num_empty else []
    return found, notes + ([f"{num_cut} training sentences of more than {max_length} words are cut"] if num_cut else [])


def strip_index(word: str) -> str:
    """A word without the digit that tells its place in a segmented word, as Weibo NER has it: 科0 技1 -> 科 技."""
    return word[:-1] if len(word) > 1 and word[-1].isdecimal() else word


def entries_of(field: str) -> list[str]:
    """The entries of a list that travels as text."""
    if "\n" in field:
        return field.split("\n")
    return _BLANKS.split(field.strip(" \t")) if field.strip(" \t") else []


def _sentence(record: Record, choice: ColumnChoice) -> Sentence | str:
    """The record's sentence, or what is wrong with it."""
    missing = next((n for n in (*choice.text, choice.label) if n is not None and n not in record.fields), None)
    if missing is not None:
        return f"has no field {missing!r}"
    text = choice.text_of(record)
    if choice.label is None:
        return Sentence(tuple(entries_of(text)), (), record.id, record.where)
    tags = entries_of(record.fields[choice.label])
    # one tag: one word, whatever blanks it holds
    words = [text] if len(tags) == 1 and text and "\n" not in text else entries_of(text)
    if len(words) != len(tags):
        return (
            f"{len(words)} words ({choice.text_column}) and {len(tags)} tags ({choice.label}): one tag a word is wanted"
        )
    if "" in tags:
        return f"word {tags.index('') + 1} ({words[tags.index('')]!r}) has an empty tag"
    return Sentence(tuple(words), tuple(tag.strip() for tag in tags), record.id, record.where)


def _guess(records: Records, names: tuple[str, ...], place: int) -> str:
    columns: Iterator[str] = (name for name in names if records.named and name in records.columns)
    return next(columns, records.columns[place])
