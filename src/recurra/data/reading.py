"""Questions on passages -> what a reader reads: words, features, windows of long passages, and marks of the answers.

Worked example: the question "Who is old?" on the passage "Rome is old." has the features (exact match, match in lower
case, match of the first letters, share of the passage's words) of its words Rome, is, old and "."; the answer "Rome" is
its word 0, marked in column 1 of the targets, as column 0 stands for "the passage holds no answer". A passage longer
than a window becomes several rows of the batch; their columns are one distribution together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from recurra.core.batch import Batch
from recurra.core.inputs import Reading
from recurra.data.questions import Question
from recurra.data.spans import word_places, words_within
from recurra.data.words import EncodedWords, Lexicon

NUM_FEATURES = 4
_STEM = 4


class Window(NamedTuple):
    """A part of a passage: index of its first word, and its words."""

    first: int
    words: EncodedWords


class ReadingExample(NamedTuple):
    """One question on one passage.

    Attributes:
        tokens: (T,) word indices of the passage.
        question: its words.
        windows: parts that cover the passage; one where it is short.
        features: (T, NUM_FEATURES) float32, of each word of the passage.
        spans: first and last word of each answer; none where the passage holds no answer, or it is not known.
        places: where each word of the passage starts and ends in its text.
        source: the texts.
        id: of the question.
    """

    tokens: np.ndarray
    question: EncodedWords
    windows: tuple[Window, ...]
    features: np.ndarray
    spans: tuple[tuple[int, int], ...]
    places: list[tuple[int, int]]
    source: Question
    id: str


@dataclass(frozen=True, slots=True)
class ReadingBatch(Batch):
    """A batch of windows.

    Its inputs are `Reading` with a row for each of R windows, its targets (R, 2, 1 + T) float: how much of the right
    start (0) and end (1) of the window's question is at "no answer" (column 0) and at each word; a question's marks sum
    to 1, or to 0 where the answer is not known.

    Attributes:
        examples: the questions, fewer than rows where passages are long.
        windows: (R,) for each row the number of its question and the window's first word.
    """

    examples: tuple[ReadingExample, ...] = ()
    windows: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class ReadingEncoder:
    """Texts to examples.

    Attributes:
        lexicon: vocabularies of words, spellings and text.
        window: words of a window.
        stride: words between the starts of two windows.
    """

    lexicon: Lexicon
    window: int
    stride: int

    def encode(self, source: Question) -> ReadingExample:
        """One question; its answers are taken for the words that they touch."""
        places = word_places(source.passage)
        words = [source.passage[start:end] for start, end in places]
        asked = [source.question[start:end] for start, end in word_places(source.question)]
        whole = self.lexicon.encode(words)
        windows: tuple[Window, ...] = (Window(0, whole),)
        if len(words) > self.window:
            starts = range(0, len(words) - self.window + self.stride, self.stride)
            windows = tuple(Window(a, self.lexicon.encode(words[a : a + self.window])) for a in starts)
        found = (words_within(places, a.start, a.start + len(a.text)) for a in source.answers or ())
        spans = tuple(dict.fromkeys((span.first, span.last) for span in found if span is not None))
        features = match_features(asked, words)
        question = self.lexicon.encode(asked)
        return ReadingExample(whole.indices, question, windows, features, spans, places, source, source.id)

    def collate(self, examples: Sequence[ReadingExample]) -> ReadingBatch:
        """Pad the windows of the examples into one batch."""
        rows = [(number, window) for number, example in enumerate(examples) for window in example.windows]
        question = self.lexicon.pad([examples[number].question for number, _ in rows])
        passage = self.lexicon.pad([window.words for _, window in rows])
        features = np.zeros((len(rows), passage.words.num_steps, NUM_FEATURES), np.float32)
        targets = np.zeros((len(rows), 2, 1 + passage.words.num_steps), np.float32)
        for row, (number, window) in enumerate(rows):
            length = len(window.words.indices)
            features[row, :length] = examples[number].features[window.first : window.first + length]
        row = 0
        for example in examples:
            _mark(targets[row : row + len(example.windows)], example)
            row += len(example.windows)
        return ReadingBatch(
            Reading(question, passage, torch.from_numpy(features)),
            torch.from_numpy(targets),
            tuple(example.id for example in examples),
            examples=tuple(examples),
            windows=tuple((number, window.first) for number, window in rows),
        )


def match_features(question: Sequence[str], passage: Sequence[str]) -> np.ndarray:
    """What a word of the passage has to do with the question: (T, NUM_FEATURES) float32, each 0..1.

    The same word; the same in lower case; the same first letters in lower case, as words of one stem mostly have
    (Chen et al., 2017, section 3.2, https://arxiv.org/abs/1704.00051, has lemmas there); share of the passage's words.
    """
    exact = set(question)
    lower = {word.lower() for word in question}
    stems = {_stem(word) for word in lower}
    folded = [word.lower() for word in passage]
    counts = Counter(folded)
    rows = [
        (word in exact, low in lower, _stem(low) in stems, counts[low] / len(passage))
        for word, low in zip(passage, folded, strict=True)
    ]
    return np.array(rows, dtype=np.float32).reshape(len(passage), NUM_FEATURES)


def _stem(word: str) -> str:
    """The first letters: "shar" of share, shared and sharing."""
    return word[:_STEM]


def _mark(targets: np.ndarray, example: ReadingExample) -> None:
    """Write the marks of one question into the (W, 2, 1 + T) targets of its windows."""
    if not example.spans:
        if example.source.answers is not None:
            targets[:, :, 0] = 1 / len(example.windows)
        return
    reaches = [(window.first, window.first + len(window.words.indices)) for window in example.windows]
    for span in example.spans:
        whole = [row for row, (first, stop) in enumerate(reaches) if first <= span[0] and span[1] < stop]
        for side in (0, 1):
            held = whole or [row for row, (first, stop) in enumerate(reaches) if first <= span[side] < stop]
            for row in held:
                targets[row, side, 1 + span[side] - reaches[row][0]] += 1 / (len(held) * len(example.spans))
