"""Laws of every vocabulary: text there and back, JSON there and back, counts, speed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recurra.core.errors import DataError, ModelFileError
from recurra.data import VOCABULARIES, Vocabulary, VocabularyConfig, fit_vocabulary, vocabulary_from_json

TEXTS = [
    "The cat sat on the mat, and the dog didn't.\n\"Who's there?\" (nobody)\n",
    "距离川沙公路较近,但是公交指示不对。房间较为简单!\n",
    "naïve café 😀 costs 3.50 <eos> <unk>\ttabs  and blanks\n",
] * 3
KINDS = sorted(VOCABULARIES)
EXACT = [kind for kind in KINDS if kind != "word"]
FAST = ("char", "byte", "word")
every_kind = pytest.mark.parametrize("kind", KINDS)
_FITTED: dict[str, Vocabulary] = {}


def fitted(kind: str) -> Vocabulary:
    if kind not in _FITTED:
        _FITTED[kind] = fit_vocabulary(VocabularyConfig(kind=kind, max_size=400), TEXTS)  # type: ignore[arg-type]
    return _FITTED[kind]


@pytest.mark.parametrize("kind", EXACT)
def test_decode_undoes_encode(kind: str) -> None:
    vocabulary = fitted(kind)
    for text in [*TEXTS, "".join(TEXTS), "", "\n", "  ", "aa  bb"]:
        assert vocabulary.decode(vocabulary.encode(text)) == text


@settings(deadline=None, max_examples=25)
@given(st.text())
def test_bytes_and_parts_of_words_know_every_text(text: str) -> None:
    for kind in ("byte", "bpe", "unigram"):
        vocabulary = fitted(kind)
        indices = vocabulary.encode(text)
        assert vocabulary.unk_index is None or vocabulary.unk_index not in indices
        assert vocabulary.eos_index not in indices
        assert vocabulary.decode(indices) == text


@every_kind
def test_indices_are_in_range_and_arrays_agree(kind: str) -> None:
    vocabulary = fitted(kind)
    for text in [*TEXTS, "ünseen Zeichen ☃ ﷽\x00", ""]:
        indices = vocabulary.encode(text)
        array = vocabulary.encode_array(text)
        assert array.dtype == np.int32 and array.tolist() == indices
        assert all(type(index) is int and 0 <= index < vocabulary.size for index in indices)
        assert isinstance(vocabulary.decode(indices), str)
        assert vocabulary.decode(array) == vocabulary.decode(indices)  # type: ignore[arg-type]


@every_kind
def test_special_tokens(kind: str) -> None:
    vocabulary = fitted(kind)
    assert vocabulary.kind == kind
    assert (vocabulary.unk_index, vocabulary.eos_index) == ((None, 256) if kind == "byte" else (0, 1))
    assert vocabulary.token(vocabulary.eos_index) == "<eos>"
    assert vocabulary.decode([vocabulary.eos_index]) == ""
    assert all(isinstance(vocabulary.token(index), str) for index in range(vocabulary.size))


@every_kind
def test_counts(kind: str) -> None:
    vocabulary = fitted(kind)
    counted = np.bincount(np.concatenate([vocabulary.encode_array(text) for text in TEXTS]), minlength=vocabulary.size)
    counted[vocabulary.eos_index] = len(TEXTS)
    assert vocabulary.counts.dtype == np.int64
    np.testing.assert_array_equal(vocabulary.counts, counted)


@every_kind
def test_json_round_trip(kind: str) -> None:
    vocabulary = fitted(kind)
    text = json.dumps(vocabulary.to_json())
    again = vocabulary_from_json(json.loads(text))
    assert json.dumps(again.to_json()) == text
    assert again.size == vocabulary.size
    for sample in [*TEXTS, "ünseen ☃"]:
        assert again.encode(sample) == vocabulary.encode(sample)
    np.testing.assert_array_equal(again.counts, vocabulary.counts)


@every_kind
def test_same_texts_same_vocabulary(kind: str) -> None:
    config = VocabularyConfig(kind=kind, max_size=400)  # type: ignore[arg-type]

    def anew() -> Iterator[str]:
        yield from TEXTS

    expected = fitted(kind).to_json()
    assert fit_vocabulary(config, anew).to_json() == expected
    assert fit_vocabulary(config, iter(TEXTS)).to_json() == expected


@every_kind
def test_lowercase(kind: str) -> None:
    vocabulary = fit_vocabulary(VocabularyConfig(kind=kind, max_size=300, lowercase=True), TEXTS)  # type: ignore[arg-type]
    assert vocabulary.encode("The CAT") == vocabulary.encode("the cat")
    assert vocabulary.decode(vocabulary.encode("The CAT")) == "the cat"
    assert vocabulary_from_json(vocabulary.to_json()).encode("The CAT") == vocabulary.encode("the cat")


@every_kind
@pytest.mark.parametrize("texts", [[], [""], ["", ""]])
def test_nothing_to_learn_from(kind: str, texts: list[str]) -> None:
    with pytest.raises(DataError, match="hold no token"):
        fit_vocabulary(VocabularyConfig(kind=kind), texts)  # type: ignore[arg-type]


@every_kind
def test_damaged_json(kind: str) -> None:
    values = fitted(kind).to_json()
    with pytest.raises(ModelFileError, match="damaged"):
        vocabulary_from_json({key: value for key, value in values.items() if key != "counts"})
    with pytest.raises(ModelFileError, match="damaged"):
        vocabulary_from_json(values | {"counts": values["counts"][:-1]})
    with pytest.raises(ModelFileError, match="no known kind"):
        vocabulary_from_json(values | {"kind": "words"})


@every_kind
def test_speed(kind: str) -> None:
    vocabulary = fitted(kind)
    text = ("".join(TEXTS) * 3000)[: 1_000_000 if kind in FAST else 100_000]
    begin = time.perf_counter()
    vocabulary.encode(text)
    assert time.perf_counter() - begin < 1


@every_kind
def test_a_run_without_blanks_takes_linear_time(kind: str) -> None:
    text = "ab" * 100_000
    begin = time.perf_counter()
    vocabulary = fit_vocabulary(VocabularyConfig(kind=kind, max_size=300), [text])  # type: ignore[arg-type]
    assert vocabulary.decode(vocabulary.encode(text)) == text
    assert time.perf_counter() - begin < 5
