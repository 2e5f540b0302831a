"""Sentences as columns of words: CoNLL (a word a line, blank lines between sentences) and CoNLL-U, gzip or not.

    Ada       B-PER                1  From  from  ADP  IN ...
    Lovelace  I-PER                2  the   the   DET  DT ...
    wrote     O

A sentence is a row whose fields hold a column each, its entries joined by line ends (as lists of JSON are): words of
any other characters travel whole. Columns are parted by tabs where most of the first lines have any, else by blanks;
no-break and ideographic spaces belong to words. CoNLL's columns are numbered, CoNLL-U's have names.

Format: https://universaldependencies.org/format.html for CoNLL-U.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from recurra.core.errors import DataError
from recurra.data.readers.decoding import read_lines
from recurra.data.readers.options import ReadOptions
from recurra.data.readers.rows import BadRow, Row, RowReader

CONLLU_COLUMNS = ("form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")

_SAMPLE_LINES = 1000
_BLANKS = re.compile(r"[ \t]+")
_DOCSTART = "-DOCSTART-"
_NOT_A_WORD = re.compile(r"\d+[-.]\d+\Z")
_MEND = "Mend it, or pass --data.skip_bad_rows=true to skip and count such sentences."

_Line = tuple[int, str]


def read_conll(path: Path, options: ReadOptions) -> RowReader:
    """A row a sentence; the columns are "0", "1", ... Left out are -DOCSTART- and, before a sentence, # comments."""
    numbered = enumerate(read_lines(path, options.encoding), start=1)
    sample = list(itertools.islice(numbered, _SAMPLE_LINES))
    wordy = [line for _, line in sample if line.strip(" \t") and not line.startswith(_DOCSTART)]
    if not wordy:
        raise DataError(f"{path}: the file holds blank lines only. Give a file with a word and its tag a line.")
    tabs = sum("\t" in line.strip(" \t") for line in wordy) * 2 > len(wordy)
    cut = _cut_at_tabs if tabs else _cut_at_blanks
    usual = Counter(len(cut(line)) for line in wordy).most_common(1)[0][0]

    def is_comment(line: str) -> bool:
        return line.startswith("#") and len(cut(line)) != usual

    def cells(line: str) -> list[str] | str:
        found = cut(line)
        if len(found) != usual:
            mark = "tab" if tabs else "blank"
            return f"{len(found)} columns where the file has {usual}: a {mark} is missing or too many"
        return f"column {found.index('')} is empty" if "" in found else found

    columns = [str(number) for number in range(usual)]
    rows = _read(path, itertools.chain(sample, numbered), columns, cells, is_comment)
    return RowReader(columns, rows, named=False)


def read_conllu(path: Path, options: ReadOptions) -> RowReader:
    """A row a sentence; the columns are those of CONLLU_COLUMNS. Multiword tokens (1-2) and empty nodes (1.1) are left
    out: their words stand in lines of their own."""

    def cells(line: str) -> list[str] | str | None:
        found = line.split("\t")
        if len(found) != 10:
            return f"{len(found)} columns where CoNLL-U has 10, parted by tabs"
        if _NOT_A_WORD.match(found[0]):
            return None
        if not found[0].isdecimal():
            return f"{found[0]!r} is no word number"
        return f"column {CONLLU_COLUMNS[found.index('') - 1]!r} is empty" if "" in found else found[1:]

    numbered = enumerate(read_lines(path, options.encoding), start=1)
    rows = _read(path, numbered, list(CONLLU_COLUMNS), cells, lambda line: line.startswith("#"))
    return RowReader(list(CONLLU_COLUMNS), rows)


def _read(
    path: Path,
    numbered: Iterator[_Line],
    columns: list[str],
    cells: Callable[[str], list[str] | str | None],
    is_comment: Callable[[str], bool],
) -> Iterator[Row | BadRow]:
    """The sentences; `cells` gives a line's entries, what is wrong with it, or None for a line to leave out."""
    for sentence in _sentences(numbered):
        while sentence and (is_comment(sentence[0][1]) or sentence[0][1].startswith(_DOCSTART)):
            sentence.pop(0)
        if not sentence:
            continue
        words = []
        for number, line in sentence:
            found = cells(line)
            if isinstance(found, str):
                yield BadRow(f"{path}:{number}: {found}. {_MEND}")
                break
            if found is not None:
                words.append(found)
        else:
            first = sentence[0][0]
            entries = zip(*words, strict=True) if words else [()] * len(columns)
            fields = {name: "\n".join(column) for name, column in zip(columns, entries, strict=True)}
            yield Row(fields, str(first), f"{path}:{first}")


def _sentences(numbered: Iterator[_Line]) -> Iterator[list[_Line]]:
    """Runs of lines that hold more than blanks and tabs, with their numbers."""
    held: list[_Line] = []
    for number, line in numbered:
        if line.strip(" \t"):
            held.append((number, line))
        elif held:
            yield held
            held = []
    if held:
        yield held


def _cut_at_tabs(line: str) -> list[str]:
    return [cell.strip(" ") for cell in line.rstrip(" \t").split("\t")]


def _cut_at_blanks(line: str) -> list[str]:
    return _BLANKS.split(line.strip(" \t"))
