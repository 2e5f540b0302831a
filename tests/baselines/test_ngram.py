"""N-gram models: against the papers' formulas written out with dictionaries, and published perplexities."""

from __future__ import annotations

import gzip
from collections import Counter, defaultdict

import numpy as np
import pytest

from recurra.baselines import NGramModel, strongest_ngram
from recurra.core.errors import ConfigError, DataError, ShapeError


def toy_stream(length: int = 400, vocab_size: int = 6, seed: int = 0) -> np.ndarray:
    """Tokens that depend on the two before; the last id never occurs."""
    rng = np.random.default_rng(seed)
    table = np.random.default_rng(99).dirichlet(np.full(vocab_size - 1, 0.3), size=(vocab_size, vocab_size))
    stream = [0, 1]
    while len(stream) < length:
        stream.append(int(rng.choice(vocab_size - 1, p=table[stream[-2], stream[-1]])))
    return np.array(stream)


class SlowModel:
    """Chen and Goodman's recursions, one token at a time."""

    def __init__(self, stream: list[int], order: int, vocab_size: int, smoothing: str) -> None:
        self.order, self.vocab_size, self.smoothing = order, vocab_size, smoothing
        self.counts: list[dict[tuple[int, ...], int]] = []
        for length in range(1, order + 1):
            grams = Counter(tuple(stream[i : i + length]) for i in range(len(stream) - length + 1))
            if smoothing == "kneser-ney" and length < order:
                before = defaultdict(set)
                for i in range(len(stream) - length + 1):
                    before[tuple(stream[i : i + length])].add(stream[i - 1] if i else "start")
                grams = Counter({gram: len(kinds) for gram, kinds in before.items()})
            self.counts.append(dict(grams))

    def discount(self, length: int, count: int) -> float:
        n = Counter(self.counts[length - 1].values())
        if not all(n[k] for k in (1, 2, 3, 4)):
            return [0, 0.5, 1.0, 1.5][min(count, 3)]
        k = min(count, 3)
        value = k - (k + 1) * n[1] / (n[1] + 2 * n[2]) * n[k + 1] / n[k]
        return min(max(value, 0.0), float(k))

    def prob(self, context: tuple[int, ...], token: int) -> float:
        lower = self.prob(context[1:], token) if context else 1 / self.vocab_size
        length = len(context) + 1
        after = {gram: c for gram, c in self.counts[length - 1].items() if gram[:-1] == context}
        if not after:
            return lower
        total, count = sum(after.values()), after.get((*context, token), 0)
        if self.smoothing == "witten-bell":
            return (count + len(after) * lower) / (total + len(after))
        freed = sum(self.discount(length, c) for c in after.values())
        kept = count - self.discount(length, count) if count else 0.0
        return (kept + freed * lower) / total


@pytest.mark.parametrize("smoothing", ["kneser-ney", "witten-bell"])
@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("length", [3, 30, 400])
def test_agrees_with_the_formulas(smoothing, order, length):
    train, test = toy_stream(length), toy_stream(60, seed=1)
    test[10] = 5  # never seen in training
    slow = SlowModel(train.tolist(), min(order, length), 6, smoothing)
    wanted = [
        np.log(slow.prob(tuple(test[max(0, i - slow.order + 1) : i].tolist()), int(w))) for i, w in enumerate(test)
    ]
    np.testing.assert_allclose(NGramModel(order, 6, smoothing).fit(train).log_probs(test), wanted, rtol=1e-10)


@pytest.mark.parametrize("smoothing", ["kneser-ney", "witten-bell"])
@pytest.mark.parametrize("order", [1, 2, 5])
def test_sums_to_one_after_any_context(smoothing, order):
    train = toy_stream()
    model = NGramModel(order, 6, smoothing).fit(train)
    for context in ([], [0], [5], [0, 5, 1], train[:7], train[-4:], [1, 2, 3, 4, 0, 1]):
        probs = model.distribution(context)
        assert probs.sum() == pytest.approx(1, abs=1e-12)
        assert (probs > 0).all()
        each = [model.log_probs([token], context=context)[0] for token in range(6)]
        np.testing.assert_allclose(np.log(probs), each, rtol=1e-12)


def test_a_stream_in_two_parts_equals_the_whole():
    model = NGramModel(4, 6).fit(toy_stream())
    test = toy_stream(50, seed=2)
    whole = model.log_probs(test)
    np.testing.assert_array_equal(model.log_probs(test[20:], context=test[:20]), whole[20:])
    assert model.log_probs([], context=test).shape == (0,)


def test_witten_bell_cut_short_is_the_shorter_model():
    train, test = toy_stream(), toy_stream(50, seed=3)
    cut = NGramModel(5, 6, "witten-bell").fit(train).log_probs(test, max_order=2)
    np.testing.assert_allclose(cut, NGramModel(2, 6, "witten-bell").fit(train).log_probs(test), rtol=1e-12)


def test_a_stream_of_one_repeated_token_has_proper_probabilities():
    for smoothing in ("kneser-ney", "witten-bell"):
        probs = NGramModel(3, 4, smoothing).fit(np.zeros(20, int)).distribution([0, 0])
        assert probs.argmax() == 0
        assert probs.sum() == pytest.approx(1)


def test_strongest_names_the_unigram_and_one_longer_model():
    train, test = toy_stream(3000), toy_stream(500, seed=4)
    for level in ("character", "word"):
        scores = strongest_ngram(train, test, 6, level)
        assert next(iter(scores)) == "unigram" and len(scores) == 2
        assert min(scores, key=scores.get) != "unigram"
    cut = strongest_ngram(train, test, 6, "word", max_train_tokens=100)
    assert "unigram, last 100 training tokens" in cut


def test_errors_name_the_mend():
    with pytest.raises(ConfigError, match="Did you mean `kneser-ney`"):
        NGramModel(2, 5, "kneserney")
    with pytest.raises(ConfigError, match="order=0"):
        NGramModel(0, 5)
    with pytest.raises(ConfigError, match="no level `words`"):
        strongest_ngram([0], [0], 1, "words")
    with pytest.raises(ShapeError, match="wanted 0 to 4"):
        NGramModel(2, 5).fit([1, 5])
    with pytest.raises(ShapeError, match="one stream"):
        NGramModel(2, 5).fit([[1, 2]])
    with pytest.raises(DataError):
        NGramModel(2, 5).fit([])
    with pytest.raises(DataError):
        strongest_ngram([0], [], 1, "word")


def test_penn_treebank_perplexity(data_folder):
    """Modified Kneser-Ney, 5-grams: 141.2 in Mikolov et al. (2011), https://doi.org/10.21437/Interspeech.2011-242."""
    ids: dict[str, int] = {}
    streams = []
    for name in ("ptb.train.txt.gz", "ptb.test.txt"):
        path = data_folder / "language_modelling" / "penn_treebank" / name
        text = (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()).decode()
        words = (word for line in text.splitlines() for word in [*line.split(), "<eos>"])
        streams.append(np.array([ids.setdefault(word, len(ids)) for word in words]))
    assert len(ids) == 10_000
    scores = strongest_ngram(*streams, 10_000, "word")
    assert np.exp(scores["5-gram, kneser-ney"]) == pytest.approx(141.2, rel=0.005)
    assert np.exp(scores["unigram"]) == pytest.approx(639, rel=0.005)


def test_tiny_shakespeare_nats(data_folder):
    """Witten-Bell 5-grams reach 1.669 nats; long Kneser-Ney n-grams are far stronger."""
    text = (data_folder / "language_modelling" / "tiny_shakespeare" / "input.txt").read_text()
    _, stream = np.unique(np.array(list(text)), return_inverse=True)
    train, test = np.split(stream, [int(len(stream) * 0.9)])
    witten_bell = NGramModel(5, 65, "witten-bell").fit(train).log_probs(test)
    assert -witten_bell.mean() == pytest.approx(1.669, abs=0.001)
    scores = strongest_ngram(train, test, 65, "character")
    assert scores["7-gram, kneser-ney"] == pytest.approx(1.517, abs=0.002)
