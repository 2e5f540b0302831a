"""Tag schemes: there and back, which pairs they forbid; spans and figures against seqeval's and conlleval's."""

from __future__ import annotations

import itertools
import json
import random
from pathlib import Path

import pytest

from recurra.metrics import Span, Tagged, TagMetrics, breaks, convert, detect_scheme, spans_of, tags_of
from recurra.metrics.schemes import Scheme, forbidden_pairs, span_tags

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "spans.json").read_text(encoding="utf-8"))
SCHEMES: tuple[Scheme, ...] = ("IOB1", "BIO", "BIOES", "BILOU", "BMES")


def random_spans(rng: random.Random, length: int) -> list[Span]:
    spans, start = [], 0
    while start < length:
        if rng.random() < 0.6:
            end = min(length, start + rng.randint(1, 3))
            spans.append(Span(rng.choice(("PER", "LOC")), start, end))
            start = end
        else:
            start += 1
    return spans


@pytest.mark.parametrize("case", GOLDEN["spans"], ids=range(len(GOLDEN["spans"])))
def test_spans_are_those_of_seqeval(case: dict[str, list[str]]) -> None:
    assert spans_of(case["tags"]) == [Span(*span) for span in case["spans"]]


def test_figures_are_those_of_seqeval() -> None:
    corpus = GOLDEN["corpus"]
    metrics = TagMetrics()
    predictions = [Tagged((), tuple(row.split())) for row in corpus["predictions"]]
    metrics.update(predictions, [row.split() for row in corpus["references"]])
    figures = metrics.compute()
    for tag, value in corpus["expected"].items():
        assert figures[tag] == pytest.approx(value, abs=1e-12), tag
    assert metrics.by_type()["PER"]["f1"] == figures["f1/PER"]


def test_figures_by_hand() -> None:
    """Three spans in truth, three given, one right: the second ends too early, the third has another type."""
    wanted = ["B-PER", "I-PER", "O", "B-LOC", "I-LOC", "O", "B-ORG"]
    given = ["B-PER", "I-PER", "O", "B-LOC", "O", "O", "B-PER"]
    metrics = TagMetrics()
    metrics.update([given], [wanted])
    figures = metrics.compute()
    assert (figures["precision"], figures["recall"]) == (pytest.approx(1 / 3), pytest.approx(1 / 3))
    assert figures["accuracy"] == pytest.approx(5 / 7) and figures["sentence_accuracy"] == 0
    assert (figures["precision/PER"], figures["recall/PER"]) == (0.5, 1.0)
    assert (figures["f1/LOC"], figures["f1/ORG"]) == (0, 0)


def test_tags_that_write_no_spans() -> None:
    metrics = TagMetrics(spans=False)
    metrics.update([["NOUN", "VERB", "NOUN"]], [["NOUN", "VERB", "ADJ"]])
    figures = metrics.compute()
    assert figures["accuracy"] == pytest.approx(2 / 3)
    assert figures["f1/NOUN"] == pytest.approx(2 / 3) and figures["f1/ADJ"] == 0
    assert figures["macro_f1"] == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert "precision" not in figures


@pytest.mark.parametrize("scheme", SCHEMES)
def test_there_and_back(scheme: Scheme) -> None:
    rng = random.Random(0)
    for _ in range(300):
        length = rng.randint(0, 8)
        spans = random_spans(rng, length)
        tags = tags_of(spans, length, scheme)
        assert spans_of(tags) == spans
        assert breaks([tags], scheme) == 0
        assert convert(convert(tags, "BIOES"), scheme) == tags


def test_the_table_of_the_module() -> None:
    iob1 = ["I-P", "I-P", "O", "I-P", "I-P", "I-L"]
    assert convert(iob1, "BIO") == ["B-P", "I-P", "O", "B-P", "I-P", "B-L"]
    assert convert(iob1, "BIOES") == ["B-P", "E-P", "O", "B-P", "E-P", "S-L"]
    assert convert(["B-P", "B-P", "I-P"], "IOB1") == ["I-P", "B-P", "I-P"]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_schemes_are_told_by_their_tags(scheme: Scheme) -> None:
    rng = random.Random(1)
    sentences = [tags_of(random_spans(rng, 8), 8, scheme) for _ in range(20)]
    assert detect_scheme(sentences) == scheme


def test_what_is_no_scheme() -> None:
    assert detect_scheme([["NOUN", "VERB"], ["O"]]) is None
    assert detect_scheme([["O", "O"]]) is None
    assert detect_scheme([]) is None
    assert detect_scheme([["B-NP", "-LRB-"]]) is None
    assert detect_scheme([["B-X", "I-X"], ["O", "I-X"], ["B-X"]]) == "BIO"
    assert breaks([["B-X", "I-X"], ["O", "I-X"], ["B-X"]], "BIO") == 1


@pytest.mark.parametrize("scheme", ["BIO", "BIOES", "BILOU", "BMES"])
def test_a_row_of_tags_is_forbidden_where_no_spans_write_it(scheme: Scheme) -> None:
    tags = span_tags(["A", "B"], scheme)
    forbidden = set(forbidden_pairs(tags, scheme))
    outside = len(tags)
    for length in (1, 2, 3):
        for path in itertools.product(range(outside), repeat=length):
            names = [tags[index] for index in path]
            allowed = not forbidden & set(itertools.pairwise((outside, *path, outside)))
            assert allowed == (convert(names, scheme) == names), names
