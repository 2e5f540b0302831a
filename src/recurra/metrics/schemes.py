"""Spans written as a tag a word: IOB1, BIO (IOB2), BIOES, and the same as BIOES under other letters.

    words   Ada  Lovelace  met  Mr    Babbage  London
    IOB1    I-P  I-P       O    I-P   I-P      I-L
    BIO     B-P  I-P       O    B-P   I-P      B-L
    BIOES   B-P  E-P       O    B-P   E-P      S-L

Reading follows conlleval: tags that break their scheme are never refused; I- after O or after another type begins a
span, as B- does. Source: the script conlleval of the CoNLL shared tasks 2000 to 2003, https://www.clips.uantwerpen.be/
conll2002/ner/, functions startOfChunk and endOfChunk, with S and E as E- and single-word spans.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

Scheme = Literal["IOB1", "BIO", "BIOES", "BILOU", "BMES"]

_LETTERS: dict[Scheme, str] = {"IOB1": "BIII", "BIO": "BIIB", "BIOES": "BIES", "BILOU": "BILU", "BMES": "BMES"}
"""How a scheme writes the first, inner and last word of a span, and the only one."""
_MEANING = {"B": "B", "I": "I", "M": "I", "E": "E", "L": "E", "S": "S", "U": "S"}
_SPAN_TAG = re.compile(r"[BIESMLU]-(?s:.)+\Z")


class Span(NamedTuple):
    """A stretch of words.

    Attributes:
        type: what it is, "PER".
        start: its first word.
        end: the word after its last one.
    """

    type: str
    start: int
    end: int


def spans_of(tags: Sequence[str]) -> list[Span]:
    """The spans that tags of any scheme write, from left to right.

    Args:
        tags: "O", or a letter of B I E S M L U, a hyphen and a type; anything else counts as O.
    """
    spans = []
    start, kind, ends = -1, "", True
    for index, tag in enumerate(tags):
        letter, own = _parts(tag)
        if start >= 0 and (ends or letter in "OBS" or own != kind):
            spans.append(Span(kind, start, index))
            start = -1
        if letter != "O":
            start, kind = (index if start < 0 else start), own
        ends = letter in "ES"
    if start >= 0:
        spans.append(Span(kind, start, len(tags)))
    return spans


def tags_of(spans: Iterable[Span], length: int, scheme: Scheme) -> list[str]:
    """Write spans, which must not overlap, as `length` tags; the inverse of `spans_of`."""
    tags = ["O"] * length
    first, inner, last, only = tuple(_LETTERS[scheme])
    before = Span("", -1, -1)
    for span in sorted(spans, key=lambda span: span.start):
        assert before.end <= span.start < span.end <= length, f"{span} overlaps {before} or {length} words"
        touches = before.end == span.start and before.type == span.type
        begin, single = first, only
        if scheme == "IOB1":
            begin = single = "B" if touches else "I"
        tags[span.start : span.end] = [f"{inner}-{span.type}"] * (span.end - span.start)
        tags[span.end - 1] = f"{last}-{span.type}"
        tags[span.start] = f"{begin if span.end - span.start > 1 else single}-{span.type}"
        before = span
    return tags


def convert(tags: Sequence[str], scheme: Scheme) -> list[str]:
    """The same spans in another scheme."""
    return tags_of(spans_of(tags), len(tags), scheme)


def detect_scheme(sentences: Iterable[Sequence[str]]) -> Scheme | None:
    """The scheme that the tags are written in; None where they write no spans.

    It is told by the letters; IOB1 and BIO, which share theirs, by which of the two fits more tags (BIO if they tie).
    """
    letters: set[str] = set()
    sentences = list(sentences)
    known: set[str] = set()
    for tags in sentences:
        known.update(tags)
    for tag in known - {"O"}:
        if not _SPAN_TAG.match(tag):
            return None
        letters.add(tag[0])
    if not letters:
        return None
    if letters <= set("BI"):
        fitting: tuple[Scheme, Scheme] = ("BIO", "IOB1")
        return min(fitting, key=lambda scheme: breaks(sentences, scheme))
    longer: tuple[Scheme, ...] = ("BIOES", "BILOU", "BMES")
    return next((scheme for scheme in longer if letters <= set(_LETTERS[scheme])), "BIOES")


def breaks(sentences: Iterable[Sequence[str]], scheme: Scheme) -> int:
    """How many tags are not as `scheme` would write the spans that they are read as."""
    return sum(given != wanted for tags in sentences for given, wanted in zip(tags, convert(tags, scheme), strict=True))


def span_tags(types: Iterable[str], scheme: Scheme) -> list[str]:
    """All tags that `scheme` needs for spans of these types, O first."""
    letters = dict.fromkeys(_LETTERS[scheme])
    return ["O", *[f"{letter}-{kind}" for kind in types for letter in letters]]


def forbidden_pairs(tags: Sequence[str], scheme: Scheme) -> list[tuple[int, int]]:
    """Pairs (i, j) of tags that never stand side by side in what `tags_of` writes.

    Args:
        tags: tag names in the order of their indices; len(tags) stands for what is before the first and after the
            last word of a sentence.
        scheme: BIO, BIOES or one of BIOES's kin. IOB1 has none beside B- at the wrong place, which is not told.
    """
    outside = len(tags)
    parts = [*map(_parts, tags), ("O", "")]
    if scheme == "IOB1":
        return []
    closes = scheme != "BIO"
    found = []
    for i, (before, kind) in enumerate(parts):
        for j, (after, own) in enumerate(parts):
            open_span = before in ("BI" if closes else "BIES")
            if i == j == outside:
                continue
            goes_on = after in "IE"
            if (goes_on and not (open_span and kind == own)) or (closes and open_span and not goes_on):
                found.append((i, j))
    return found


def _parts(tag: str) -> tuple[str, str]:
    """The letter (in BIOES's alphabet) and type of a tag."""
    if _SPAN_TAG.match(tag):
        return _MEANING[tag[0]], tag[2:]
    return "O", ""
