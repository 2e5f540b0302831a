"""Words: what they are, which are kept, how they are put together again."""

from __future__ import annotations

from typing import Literal

import pytest

from recurra.data import Vocabulary, VocabularyConfig, fit_vocabulary, vocabulary_from_json
from recurra.data.vocabularies.words import WordVocabulary, fit_words


def words_of(text: str, pattern: Literal["words", "whitespace"] = "words") -> list[str]:
    vocabulary = fit_vocabulary(VocabularyConfig(kind="word", pattern=pattern), [text])
    return [vocabulary.token(index) for index in vocabulary.encode(text)]


def fit(texts: list[str], min_frequency: int = 1, max_size: int = 1000) -> Vocabulary:
    return fit_vocabulary(
        VocabularyConfig(kind="word", pattern="whitespace", min_frequency=min_frequency, max_size=max_size), texts
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, world!", ["Hello", ",", "world", "!"]),
        ("don't won’t", ["don't", "won’t"]),
        ("3.50 and 1,000 or 7.", ["3.50", "and", "1,000", "or", "7", "."]),
        ("3rd torch2 snake_case", ["3rd", "torch2", "snake_case"]),
        ("a\n\nb", ["a", "\n", "\n", "b"]),
        ("房间OK很大。", ["房", "间", "OK", "很", "大", "。"]),
        ("Привет, мир", ["Привет", ",", "мир"]),
        ("<unk> x", ["<unk>", "x"]),
        ("a--b ...", ["a", "-", "-", "b", ".", ".", "."]),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words_of(text) == expected


def test_whitespace() -> None:
    assert words_of(" no it was n't <unk> \n N years\n", "whitespace") == [
        "no", "it", "was", "n't", "<unk>", "\n", "N", "years", "\n"
    ]  # fmt: skip


def test_the_word_unk_is_the_unknown_one() -> None:
    vocabulary = fit(["a <unk> b <unk>"])
    assert vocabulary.encode("<unk> a") == [0, vocabulary.encode("a")[0]]
    assert vocabulary.counts.tolist() == [2, 1, 1, 1]
    assert vocabulary.size == 4


def test_the_word_eos_can_not_be_written() -> None:
    vocabulary = fit(["a <eos> b"])
    assert vocabulary.eos_index not in vocabulary.encode("<eos> a")


def test_rare_words_become_unknown() -> None:
    vocabulary = fit(["b b b a a c d d"], min_frequency=2)
    assert [vocabulary.token(index) for index in range(vocabulary.size)] == ["<unk>", "<eos>", "b", "a", "d"]
    assert vocabulary.counts.tolist() == [1, 1, 3, 2, 2]
    assert vocabulary.encode("c a e") == [0, 3, 0]


def test_max_size_counts_the_special_entries() -> None:
    vocabulary = fit(["b b b a a c d d"], max_size=4)
    assert [vocabulary.token(index) for index in range(vocabulary.size)] == ["<unk>", "<eos>", "b", "a"]
    assert vocabulary.counts.tolist() == [3, 1, 3, 2]


@pytest.mark.parametrize(
    "text",
    [
        'He said, "well done!" (twice) and left.\nShe didn\'t; why?\n',
        "a well-known fact: 50% of $100.",
        "see runs/demo_1 or x=3",
        "房间很大，OK。",
        '"One," said he, "two."',
    ],
)
def test_usual_blanks_come_back(text: str) -> None:
    vocabulary = fit_vocabulary(VocabularyConfig(kind="word"), [text])
    assert vocabulary.decode(vocabulary.encode(text)) == text


def test_whitespace_decode_keeps_lines() -> None:
    text = "one two\nthree\n"
    vocabulary = fit([text])
    assert vocabulary.decode(vocabulary.encode(text)) == text


def test_zero_digits_keeps_the_shape_of_numbers():
    vocabulary = fit_vocabulary(VocabularyConfig(kind="word", pattern="zero-digits"), ["call 0871 or 1234, 5p"])
    assert vocabulary.decode(vocabulary.encode("call 9999")) == "call 0000"
    assert vocabulary.encode("0871") == vocabulary.encode("1234") != vocabulary.encode("12")
    again = vocabulary_from_json(vocabulary.to_json())
    assert again.encode("call 9999") == vocabulary.encode("call 0871")


def test_words_that_are_cut_already() -> None:
    config = VocabularyConfig(kind="word", lowercase=True, pattern="zero-digits", min_frequency=2)
    vocabulary = fit_words(config, [["New York", "1999", "a"], ["new york", "2001", "b", "<eos>"], []])
    assert [vocabulary.token(index) for index in range(vocabulary.size)] == ["<unk>", "<eos>", "0000", "new york"]
    assert [vocabulary.index_of(word) for word in ("NEW York", "1850", "a", "<eos>", "<unk>")] == [3, 2, 0, 0, 0]
    assert vocabulary.counts.tolist() == [3, 3, 2, 2]
    again = vocabulary_from_json(vocabulary.to_json())
    assert isinstance(again, WordVocabulary) and again.index_of("1850") == 2
