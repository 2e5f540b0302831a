"""BLEU, chrF and ROUGE beside the packages that define them."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import sacrebleu

from recurra.metrics import (
    Generated,
    SummaryMetrics,
    TranslationMetrics,
    longest_common_subsequence,
    rouge,
    rouge_l,
    sentence_bleu,
)

ROUGE = json.loads((Path(__file__).parents[1] / "golden" / "rouge.json").read_text(encoding="utf-8"))["cases"]
GIVEN = ["Ein Hund rennt durch den Schnee.", "two men talk .", "the Cat sat on the mat", ""]
WANTED = ["Ein brauner Hund rennt durch Schnee.", "Two men are talking .", "the cat sat on a mat", "a house"]


@pytest.mark.parametrize("case", ROUGE, ids=[case["prediction"][:20] for case in ROUGE])
def test_rouge_is_that_of_the_package(case: dict[str, list[float] | str]) -> None:
    found = rouge(str(case["prediction"]), str(case["reference"]))
    assert list(found) == pytest.approx(case["expected"], abs=1e-9)
    assert rouge_l(str(case["prediction"]), str(case["reference"])) == found.rouge_l


def test_rouge_of_chinese_is_by_characters() -> None:
    found = rouge("我喜欢北京。", "我爱北京")
    assert found.rouge_1 == pytest.approx(2 * 3 / (5 + 4))
    assert found.rouge_2 == pytest.approx(2 * 1 / (4 + 3))
    assert found.rouge_l == pytest.approx(2 * 3 / (5 + 4))


def test_longest_common_subsequence_by_the_table() -> None:
    draw = random.Random(0)
    for _ in range(200):
        first, second = ([draw.choice("abcd") for _ in range(draw.randint(0, 12))] for _ in range(2))
        table = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
        for i, a in enumerate(first, start=1):
            for j, b in enumerate(second, start=1):
                table[i][j] = table[i - 1][j - 1] + 1 if a == b else max(table[i - 1][j], table[i][j - 1])
        assert longest_common_subsequence(first, second) == table[-1][-1]


@pytest.mark.parametrize(("lowercase", "tokenizer"), [(False, "13a"), (True, "13a"), (True, "char")])
def test_bleu_and_chrf_are_sacrebleus(lowercase: bool, tokenizer: str) -> None:
    metrics = TranslationMetrics(lowercase, tokenizer)
    metrics.update(GIVEN[:2], WANTED[:2])
    metrics.update([Generated(text) for text in GIVEN[2:]], WANTED[2:])
    found = metrics.compute()
    bleu = sacrebleu.corpus_bleu(GIVEN, [WANTED], lowercase=lowercase, tokenize=tokenizer).score
    assert found["bleu"] == pytest.approx(bleu)
    assert found["chrf"] == pytest.approx(
        sacrebleu.metrics.CHRF(lowercase=lowercase).corpus_score(GIVEN, [WANTED]).score
    )
    assert f"tok:{tokenizer}" in metrics.signature()
    assert "nats" not in found


def test_chinese_bleu() -> None:
    metrics = TranslationMetrics(tokenizer="zh")
    metrics.update(["我们在北京看到一只狗。"], ["我们在北京看见了一只狗。"])
    expected = sacrebleu.corpus_bleu(["我们在北京看到一只狗。"], [["我们在北京看见了一只狗。"]], tokenize="zh").score
    assert metrics.compute()["bleu"] == pytest.approx(expected)
    assert 10 < expected < 90


def test_sentence_bleu_is_that_of_sacrebleu_with_one_added() -> None:
    draw = random.Random(1)
    words = ["a", "dog", "runs", "over", "the", "big", "house", "!"]
    for _ in range(100):
        given, wanted = (" ".join(draw.choices(words, k=draw.randint(1, 12))) for _ in range(2))
        theirs = sacrebleu.sentence_bleu(
            given, [wanted], smooth_method="add-k", smooth_value=1, tokenize="none", use_effective_order=False
        )
        assert sentence_bleu(given, wanted) == pytest.approx(theirs.score / 100, abs=1e-9)
    assert sentence_bleu("The Dog.", "the dog .") == pytest.approx(1.0)
    assert sentence_bleu("", "a") == sentence_bleu("a", "") == 0.0


def test_perplexity_of_the_references_where_the_model_tells() -> None:
    metrics = SummaryMetrics()
    metrics.update([Generated("a b", reference_nats=2.0, reference_tokens=3), Generated("a")], ["a b", "c"])
    found = metrics.compute()
    assert found["nats"] == pytest.approx(2 / 3)
    assert found["rouge_1"] == pytest.approx(50.0)
