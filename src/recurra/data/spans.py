"""Words with their places in the text, so that a span of words is always a piece of the original text.

Worked example: "It costs $1,000." has the words It, costs, $, "1,000" and "." at (0, 2), (3, 8), (9, 10), (10, 15) and
(15, 16). The characters 9 to 15 are its words 2 to 3; characters 9 to 13 cut the word "1,000", and are taken for the
same two words.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

# Scripts written without blanks, as in the vocabulary of words: each character is a word.
_NO_BLANKS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"\d+(?:[.,]\d+)*|[^\W\d_{_NO_BLANKS}]+|\S")
_SENTENCE_END = re.compile(
    r"[.!?\u3002\uff01\uff1f]+[\"'\u201d\u2019)\]]*(?=\s|$|[\u3040-\u9fff])|[\u3002\uff01\uff1f]|\n+"
)


class WordSpan(NamedTuple):
    """Words of a text.

    Attributes:
        first, last: index of the first and of the last word, both included.
        cuts: whether the characters that were asked for begin or end within a word.
    """

    first: int
    last: int
    cuts: bool


def word_places(text: str) -> list[tuple[int, int]]:
    """Where each word starts and ends: runs of letters, numbers, and any other character that is no blank by itself.

    Apostrophes and hyphens part words, as answers often end at them ("Manning" in "Manning's").
    """
    return [match.span() for match in _WORD.finditer(text)]


def words_within(places: Sequence[tuple[int, int]], start: int, end: int) -> WordSpan | None:
    """The words that the characters start to end (excluded) touch; None where they touch none, or there are none.

    Args:
        places: of `word_places`.
        start: blanks at either end do not matter, as words hold none.
        end: beyond `start`.
    """
    first = bisect_right(places, start, key=lambda place: place[1])
    last = bisect_left(places, end, key=lambda place: place[0]) - 1
    if last < first:
        return None
    return WordSpan(first, last, places[first][0] < start or places[last][1] > end)


def sentence_places(text: str) -> list[tuple[int, int]]:
    """Where each sentence starts and ends, by end marks before blanks and by line ends; blanks are in none."""
    return list(_stripped(text))


def _stripped(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for end in (*(match.end() for match in _SENTENCE_END.finditer(text)), len(text)):
        piece = text[start:end]
        if piece.strip():
            yield start + len(piece) - len(piece.lstrip()), start + len(piece.rstrip())
        start = end
