"""Stories with questions in the format of bAbI: numbered lines, questions among them with TABs.

    1 Mary went to the garden.
    2 John took the ball.
    3 Where is Mary?<TAB>garden<TAB>1

The number 1 starts a new story; a question is asked of all sentences of its story before it; the last field holds the
line numbers of the sentences that it takes to answer. Without an answer, a question ends in a question mark.

Source: Weston et al. (2016), https://arxiv.org/abs/1502.05698.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from recurra.data.readers.decoding import read_lines
from recurra.data.readers.options import ReadOptions
from recurra.data.readers.rows import BadRow, Row, RowReader

COLUMNS = ("story", "question", "answer", "supporting")
_MEND = "Mend it, or pass --data.skip_bad_rows=true to skip and count such rows."
_LINE = re.compile(r"\s*(\d{1,9})[ \t](?=.*\S)(.*)")
_IS_QUESTION = re.compile(r"[?？]\s*$")


def read_babi(path: Path, options: ReadOptions) -> RowReader:
    """A row a question.

    Columns: `story`, its sentences so far, a line end after each; `question`; `answer`, "" where there is none;
    `supporting`, the places of the sentences to read, counted from 1 within `story`, joined by line ends. A line whose
    number does not go on makes all questions of its story bad, as their sentences are not known.
    """
    return RowReader(list(COLUMNS), _Story(path).rows(read_lines(path, options.encoding)))


def is_numbered(path: Path, encoding: str = "utf-8") -> bool:
    """Whether the first line that is not blank starts with the number of a story's first line."""
    first = next((line for line in read_lines(path, encoding) if line.strip()), "")
    found = _LINE.match(first)
    return found is not None and int(found[1]) == 1


class _Story:
    """The story that is being read.

    Attributes:
        sentences: so far.
        place_of: line number within the story -> place of the sentence, from 1.
        last: number of the line before; 0 before the first.
        broken: what is wrong with the numbers of this story; "" for nothing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._start()
        self.last = 0

    def rows(self, lines: Iterator[str]) -> Iterator[Row | BadRow]:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield from self._read(line, number)

    def _read(self, line: str, line_number: int) -> Iterator[Row | BadRow]:
        where = f"{self.path}:{line_number}"
        found = _LINE.match(line)
        if found is None:
            self.broken = f"{where}: a line number and a sentence are wanted, such as '1 Mary went home.'."
            yield BadRow(f"{self.broken} {_MEND}")
            return
        number, text = int(found[1]), found[2]
        if number == 1:
            self._start()
        elif number != self.last + 1 and not self.broken:
            self.broken = f"{where}: line {number} follows line {self.last}: {self.last + 1} goes on, 1 starts a story."
            yield BadRow(f"{self.broken} {_MEND}")
        self.last = number
        if "\t" in text or _IS_QUESTION.search(text):
            yield self._question(text, str(line_number), where)
        else:
            self.sentences.append(text.strip())
            self.place_of[number] = len(self.sentences)

    def _start(self) -> None:
        self.sentences: list[str] = []
        self.place_of: dict[int, int] = {}
        self.broken = ""

    def _question(self, text: str, number: str, where: str) -> Row | BadRow:
        parts = [part.strip() for part in text.split("\t")]
        question, answer, supporting = (*parts, "", "")[:3]
        unknown = next((part for part in supporting.split() if self._place(part) is None), None)
        if self.broken:
            fault = f"a question of a broken story ({self.broken.removesuffix('.')})"
        elif len(parts) > 3:
            fault = f"{len(parts)} fields between TABs: question, answer and supporting lines are wanted"
        elif not question:
            fault = "the question is empty"
        elif not self.sentences:
            fault = "a question before any sentence of its story"
        elif unknown is not None:
            fault = f"supporting line {unknown!r}: the number of a sentence before the question is wanted"
        else:
            fault = ""
        if fault:
            return BadRow(f"{where}: {fault}. {_MEND}")
        places = "\n".join(str(self._place(part)) for part in supporting.split())
        fields = ("".join(f"{sentence}\n" for sentence in self.sentences), question, answer, places)
        return Row(dict(zip(COLUMNS, fields, strict=True)), number, where)

    def _place(self, number: str) -> int | None:
        return self.place_of.get(int(number)) if number.isdecimal() else None
