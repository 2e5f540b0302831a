"""Words and sentences with their places: nothing of the text is lost, nothing is made up."""

from __future__ import annotations

import itertools
import random

import pytest

from recurra.data.spans import WordSpan, sentence_places, word_places, words_within


def words(text: str) -> list[str]:
    return [text[start:end] for start, end in word_places(text)]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("It costs $1,000.", ["It", "costs", "$", "1,000", "."]),
        ("Manning's third-party", ["Manning", "'", "s", "third", "-", "party"]),
        ("北京大学, 1898年", ["北", "京", "大", "学", ",", "1898", "年"]),
        ("a😀b 𝔘nicode", ["a", "😀", "b", "𝔘nicode"]),
        ("snake_case", ["snake", "_", "case"]),
        (" \n ", []),
    ],
)
def test_words(text: str, wanted: list[str]) -> None:
    assert words(text) == wanted


def test_words_are_the_text_without_blanks() -> None:
    rng = random.Random(0)
    for _ in range(300):
        text = "".join(rng.choices("ab Z1,.'-_\n\t½é好😀\u0301\u00a0", k=30))
        assert "".join(words(text)) == "".join(text.split())
        places = word_places(text)
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(places))


def test_words_within_a_span_against_a_search_through_all() -> None:
    rng = random.Random(1)
    for _ in range(500):
        text = "".join(rng.choices("ab  ,1", k=14))
        places = word_places(text)
        start = rng.randrange(len(text))
        end = rng.randrange(start + 1, len(text) + 1)
        touched = [number for number, (first, last) in enumerate(places) if first < end and last > start]
        found = words_within(places, start, end)
        if not touched:
            assert found is None
        else:
            cuts = places[touched[0]][0] < start or places[touched[-1]][1] > end
            assert found == WordSpan(touched[0], touched[-1], cuts)


def test_sentences() -> None:
    text = ' He came.  "Why?" she asked (v1.2)...\nNo end'
    assert [text[a:b] for a, b in sentence_places(text)] == ["He came.", '"Why?"', "she asked (v1.2)...", "No end"]
    chinese = "他来了。为什么？不知道！"
    assert [chinese[a:b] for a, b in sentence_places(chinese)] == ["他来了。", "为什么？", "不知道！"]
    assert sentence_places(" \n ") == []
