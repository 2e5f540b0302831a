"""Guessing whether the first row names the columns."""

from __future__ import annotations

import pytest

from recurra.data.readers.header import guess_header

SPAM = [["ham", f"message {n}"] for n in range(40)] + [["spam", "win"]] * 10


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([["label", "review"], ["1", "good"], ["0", "bad"]], True),
        ([["Text", "Stars"], ["fine", "5"]], True),
        ([["v1", "v2"], *SPAM], True),
        ([["outcome", "words"], ["1", "good"], ["0", "bad"], ["1", "fine"]], True),
        ([["标签", "评论"], ["好", "房间很大"]], True),
        ([["3", "Fears for T N pension after talks"], ["4", "The Race is On"]], False),
        (SPAM, False),
        ([["a stirring , funny and finally transporting film of beauty", "pos"], ["dull", "neg"]], False),
        ([["good", "good"], ["bad", "bad"]], False),
        ([["fine", ""], ["bad", "x"]], False),
        ([["good", "yes"], ["bad", "no"]], False),
        ([["text"]], True),
        ([["hello there"]], False),
    ],
)
def test_guess(rows: list[list[str]], expected: bool) -> None:
    guess, reason = guess_header(rows)
    assert guess is expected
    assert reason
