"""Questions on passages as rows of a batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recurra.data import VocabularyConfig
from recurra.data.questions import AnswerPlace, Question
from recurra.data.reading import ReadingEncoder, match_features
from recurra.data.spans import word_places
from recurra.data.words import Lexicon

PASSAGE = "Rome is old. Old Rome is very big."


def encoder(window: int = 99, stride: int = 99) -> ReadingEncoder:
    words = [PASSAGE[a:b] for a, b in word_places(PASSAGE)]
    lexicon = Lexicon.fit([words], VocabularyConfig(lowercase=True), VocabularyConfig(kind="char"))
    return ReadingEncoder(lexicon, window, stride)


def question(*answers: str, passage: str = PASSAGE, known: bool = True) -> Question:
    places = tuple(AnswerPlace(text, passage.index(text)) for text in answers)
    return Question("q", "How big is it?", passage, places if known else None, "here")


def test_features() -> None:
    found = match_features(["Sharing", "is", "old"], ["Old", "is", "shared", "is"])
    np.testing.assert_allclose(found, [[0, 1, 1, 0.25], [1, 1, 1, 0.5], [0, 0, 1, 0.25], [1, 1, 1, 0.5]])
    assert match_features(["a"], []).shape == (0, 4)


def test_marks() -> None:
    """Column 0 stands for no answer; several answers share the marks."""
    coder = encoder()
    batch = coder.collate([coder.encode(q) for q in (question("very big"), question(), question(known=False))])
    assert batch.targets.shape == (3, 2, 1 + 10)
    assert batch.targets[0].nonzero().tolist() == [[0, 8], [1, 9]]
    assert batch.targets[1].nonzero().tolist() == [[0, 0], [1, 0]]
    assert not batch.targets[2].any()
    (row,) = coder.collate([coder.encode(question("very big", "big", "is"))]).targets
    torch.testing.assert_close(row.sum(1), torch.ones(2))
    assert row[0, 2] == row[0, 8] == row[0, 9] == pytest.approx(1 / 3) and row[1, 9] == pytest.approx(2 / 3)


@pytest.mark.parametrize(("window", "stride"), [(4, 2), (4, 4), (3, 1), (9, 5), (10, 1)])
def test_windows_cover_the_passage_and_share_the_marks(window: int, stride: int) -> None:
    coder = encoder(window, stride)
    example = coder.encode(question("is very"))
    reached = [set(range(w.first, w.first + len(w.words.words))) for w in example.windows]
    assert set().union(*reached) == set(range(10))
    assert all(len(words) <= window for words in reached)
    assert len(reached) == 1 or max(reached[-2]) < 9, "no window more than needed"
    batch = coder.collate([example, coder.encode(question())])
    assert len(batch.windows) == batch.inputs.batch_size == 2 * len(example.windows)
    first = batch.targets[: len(reached)]
    torch.testing.assert_close(first.sum((0, 2)), torch.ones(2))
    for row, side, column in first.nonzero().tolist():
        assert example.windows[row].first + column - 1 == example.spans[0][side]
    whole = [words for words in reached if {6, 7} <= words]
    if whole:
        assert int((first[:, 0] > 0).sum()) == len(whole), "only windows that hold the whole answer are marked"


def test_batch_keeps_what_predictions_need_on_any_device() -> None:
    coder = encoder()
    batch = coder.collate([coder.encode(question("big"))]).to("cpu")
    assert batch.examples[0].source.passage == PASSAGE and batch.ids == ("q",)
    assert batch.inputs.features.shape == (1, 10, 4)


def test_passage_without_words() -> None:
    coder = encoder()
    batch = coder.collate([coder.encode(question(passage=" "))])
    assert batch.targets.shape == (1, 2, 2) and batch.targets[:, :, 0].all()
