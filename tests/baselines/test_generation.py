"""Cheap writers: retrieval by tf-idf, first words, lead sentences, weighty words."""

from __future__ import annotations

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from recurra.baselines import Extraction, Retrieval, TfIdf
from recurra.baselines.generation import first_words, lead_sentence, words_of
from recurra.metrics import rouge_l

SOURCES = ["ein hund rennt", "ein mann liest ein buch", "zwei hunde spielen", "der mann und der hund", "ein kind"]
TARGETS = ["a dog runs", "a man reads a book", "two dogs play", "the man and the dog", "a child"]


def test_retrieval_finds_the_most_similar_source() -> None:
    retrieval = Retrieval(SOURCES, TARGETS)
    assert retrieval.predict(SOURCES) == TARGETS
    asked = ["der mann mit hund", "ein buch", "kind und kind", "nichts davon"]
    assert retrieval.predict(asked) == [TARGETS[3], TARGETS[1], TARGETS[4], TARGETS[0]]


def test_similarity_is_the_cosine_of_tf_idf() -> None:
    draw = np.random.default_rng(0)
    words = np.array(["a", "b", "c", "d", "e", "f", "g", "h"])
    rows = [" ".join(draw.choice(words, draw.integers(3, 9))) for _ in range(40)]
    asked = [" ".join(draw.choice(words, 5)) for _ in range(20)]
    vectorizer = TfidfVectorizer(token_pattern=r"\w+", norm="l2")
    vectorizer.fit(rows)
    tfidf = TfIdf(rows)
    # sklearn adds 1 to each idf; ours is log((1 + N) / df)
    counts = {word: sum(word in row.split() for row in rows) for word in words}
    vectorizer.idf_ = np.array([np.log(41 / counts[word]) for word in vectorizer.get_feature_names_out()])
    similarity = (vectorizer.transform(asked) @ vectorizer.transform(rows).T).toarray()
    found = Retrieval(rows, [str(n) for n in range(40)]).predict(asked)
    for number, row in enumerate(similarity):
        assert row[int(found[number])] >= row.max() - 1e-12
    assert tfidf.weigh(tfidf.rows[0]).keys() == tfidf.rows[0].keys()


def test_parts_of_a_text() -> None:
    text = "Dear all,\nthe BUDGET is late. Please wait!"
    assert words_of("It's me, 王先生 3.") == ["it's", "me", "王", "先", "生", "3"]
    assert first_words(text, 3) == "dear all the"
    assert lead_sentence(text) == "Dear all,"
    assert lead_sentence("今天开会。明天见。") == "今天开会。"
    assert lead_sentence("") == first_words("", 3) == ""


def test_the_number_of_words_is_tuned() -> None:
    draw = np.random.default_rng(1)
    rows = []
    for number in range(60):
        rare = [f"name{number}x", f"name{number}y"]
        common = draw.choice(["the", "is", "at", "of"], 8).tolist()
        rows.append((" ".join([*common[:4], rare[0], *common[4:], rare[1]]), " ".join(rare)))
    extraction = Extraction([s for s, _ in rows], [t for _, t in rows], rouge_l)
    assert extraction.num_weighty == 2
    found = extraction.predict(["the at unheard of is thing"])
    assert found["tfidf-words"] == ["unheard thing"]
    assert set(found) == {"first-words", "lead-sentence", "tfidf-words"}
