"""The program of article 001 in recurra: a simple recurrent network and a softmax over ten classes.

The article's `x_train` is nowhere defined. Here the texts are names of letters as every Python knows them, without
their first words, and the question is which of ten scripts a letter belongs to: YI SYLLABLE GGUOX reads as GGUOX.

    python examples/article_001.py
"""

from __future__ import annotations

import random
import sys
import unicodedata

from recurra import TextClassifier

SCRIPTS = (
    *("ARABIC LETTER", "BAMUM LETTER", "CANADIAN SYLLABICS", "ETHIOPIC SYLLABLE", "HANGUL SYLLABLE", "KATAKANA LETTER"),
    *("MYANMAR LETTER", "RUNIC LETTER", "VAI SYLLABLE", "YI SYLLABLE"),
)


def read(seed: int = 0) -> list[tuple[str, str]]:
    """(name of a letter, its script), shuffled; of the 11,172 Hangul syllables one in fifteen."""
    names = [unicodedata.name(chr(code), "") for code in range(sys.maxunicode)]
    rows = [(name.removeprefix(script)[1:], script) for script in SCRIPTS for name in names if name.startswith(script)]
    rows = [row for number, row in enumerate(rows) if row[1] != "HANGUL SYLLABLE" or number % 15 == 0]
    random.Random(seed).shuffle(rows)
    return rows


def build(epochs: int = 10) -> TextClassifier:
    """SimpleRNN(64, tanh) over the characters, Dense(10, softmax), cross-entropy, Adam."""
    options = {
        "task.vocabulary.kind": "char",
        "task.augmentation.word_dropout": 0,
        "task.label_smoothing": 0,
        "model.embedding_dim": 32,
        "model.cell": "elman",
        "model.hidden_size": 64,
        "model.bidirectional": False,
        "model.pooling": "last",
        "model.dropout.input": 0,
        "model.head_dropout": 0,
        "optimizer": "adam",
        "schedule": "constant",
    }
    return TextClassifier(epochs=epochs, options=options)


def main() -> None:
    """Train on nine tenths, test on the last one."""
    texts, labels = zip(*read(), strict=True)
    cut = len(texts) * 9 // 10
    model = build().fit(texts[:cut], labels[:cut])
    largest = max(map(labels[cut:].count, SCRIPTS)) / len(labels[cut:])
    print(f"accuracy {model.score(texts[cut:], labels[cut:]):.3f}; of the most frequent class {largest:.3f}")


if __name__ == "__main__":
    main()
