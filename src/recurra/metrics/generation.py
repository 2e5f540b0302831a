"""Metrics of generated text: BLEU and chrF by sacrebleu, ROUGE-1, -2 and -L, and BLEU of single sentences for rewards.

Sources: BLEU: Papineni et al. (2002); chrF: Popovic (2015); one way to compute both: Post (2018),
https://arxiv.org/abs/1804.08771; ROUGE: Lin (2004); smoothing: Lin and Och (2004), https://aclanthology.org/C04-1072.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from recurra.core.errors import MissingExtraError
from recurra.metrics.language import perplexity

# Scripts written without blanks: each character counts as a word.
_NO_BLANKS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_ROUGE_TOKEN = re.compile(rf"[{_NO_BLANKS}]|[^\W_{_NO_BLANKS}]+")
_BLEU_TOKEN = re.compile(rf"[{_NO_BLANKS}]|[^\W_{_NO_BLANKS}]+|[^\w\s]|_")


class Generated(NamedTuple):
    """A text that was searched for.

    Attributes:
        text: the best one found.
        source: the text that it is of.
        score: what texts were ranked by.
        alternatives: other texts with their scores, best first.
        source_tokens: what was read, the end included.
        target_tokens: what was said.
        attention: (T, S) weights of the source tokens at each target token, or None.
        reference_nats: negative log-likelihood of the reference by teacher forcing, or None.
        reference_tokens: how many tokens that is, the end included.
        cut: how many tokens of the source were left out because it was too long.
    """

    text: str
    source: str = ""
    score: float = 0.0
    alternatives: tuple[tuple[str, float], ...] = ()
    source_tokens: tuple[str, ...] = ()
    target_tokens: tuple[str, ...] = ()
    attention: np.ndarray | None = None
    reference_nats: float | None = None
    reference_tokens: int = 0
    cut: int = 0


class Rouge(NamedTuple):
    """F-measures, 0 to 1."""

    rouge_1: float
    rouge_2: float
    rouge_l: float


def rouge(prediction: str, reference: str) -> Rouge:
    """ROUGE-1, -2 and -L of one text: lower-cased words without stemming, Chinese and Japanese by characters.

    On English the same as the package rouge-score gives; of other alphabets it knows no letters.
    """
    given, wanted = _words(_ROUGE_TOKEN, prediction), _words(_ROUGE_TOKEN, reference)
    return Rouge(
        _overlap(_ngrams(given, 1), _ngrams(wanted, 1)),
        _overlap(_ngrams(given, 2), _ngrams(wanted, 2)),
        _f_measure(longest_common_subsequence(given, wanted), len(given), len(wanted)),
    )


def rouge_l(prediction: str, reference: str) -> float:
    """ROUGE-L alone."""
    given, wanted = _words(_ROUGE_TOKEN, prediction), _words(_ROUGE_TOKEN, reference)
    return _f_measure(longest_common_subsequence(given, wanted), len(given), len(wanted))


def longest_common_subsequence(first: Sequence[Any], second: Sequence[Any]) -> int:
    """Length of the longest sequence that both hold, in order but not necessarily in one piece.

    A bit of `row` is 0 where the length goes up at that place of `first`; a word of `second` is then three operations
    on whole numbers (Hyyrö 2004, "Bit-parallel LCS-length computation revisited").
    """
    places: dict[Any, int] = {}
    for index, entry in enumerate(first):
        places[entry] = places.get(entry, 0) | 1 << index
    full = (1 << len(first)) - 1
    row = full
    for entry in second:
        match = row & places.get(entry, 0)
        row = ((row + match) | (row - match)) & full
    return len(first) - row.bit_count()


def sentence_bleu(prediction: str, reference: str) -> float:
    """BLEU of one sentence, 0 to 1: up to 4-grams, counts of 2-grams and longer plus 1 (Lin and Och 2004, BLEU+1).

    Lower-cased; letters and digits are words, other marks single tokens, Chinese and Japanese characters too.
    """
    given, wanted = _words(_BLEU_TOKEN, prediction), _words(_BLEU_TOKEN, reference)
    if not given or not wanted:
        return 0.0
    total = 0.0
    for order in range(1, 5):
        found, known = _ngrams(given, order), _ngrams(wanted, order)
        hits, more = sum((found & known).values()), int(order > 1)
        if not hits + more:
            return 0.0
        total += math.log((hits + more) / (max(0, len(given) - order + 1) + more))
    return math.exp(total / 4 + min(0.0, 1 - len(wanted) / len(given)))


class TextScores(Protocol):
    """A collector of texts whose main score is made of sums over the texts."""

    def update(self, predictions: list[Any], references: list[Any]) -> None:
        """Add one batch."""

    def compute(self) -> dict[str, float]:
        """The figures over all that was added."""

    def terms(self, predictions: Sequence[str], references: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """(N, K) what the score is made of, a row for each text; and (N,) a score of each by itself, 0 to 1."""

    def figure(self, sums: np.ndarray) -> np.ndarray:
        """(..., K) sums of terms -> (...) the main score."""


def require_sacrebleu() -> Any:
    """The package.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        import sacrebleu
    except ImportError as error:
        raise MissingExtraError("sacrebleu", "text", "scoring translations (BLEU, chrF)") from error
    return sacrebleu


class TranslationMetrics:
    """Collects translations.

    Args:
        lowercase: whether case does not count.
        tokenizer: how BLEU cuts words: a name that sacrebleu knows ("13a", "zh", "char", "intl", ...).
    """

    def __init__(self, lowercase: bool = False, tokenizer: str = "13a") -> None:
        metrics = require_sacrebleu().metrics
        self._tokenizer = tokenizer
        self._bleu = metrics.BLEU(lowercase=lowercase, tokenize=tokenizer)
        self._chrf = metrics.CHRF(lowercase=lowercase)
        self._predictions: list[str] = []
        self._references: list[str] = []
        self._likelihood = _Likelihood()

    def update(self, predictions: list[Any], references: list[Any]) -> None:
        """Add one batch.

        Args:
            predictions: `Generated`, or texts alone.
            references: texts.
        """
        for prediction, reference in zip(predictions, references, strict=True):
            self._predictions.append(prediction.text if isinstance(prediction, Generated) else prediction)
            self._references.append(reference)
            self._likelihood.add(prediction)

    def compute(self) -> dict[str, float]:
        """`bleu` and `chrf` (0 to 100), `length_ratio` (characters), and `nats` and `perplexity` of the references."""
        if not self._references:
            return {"bleu": math.nan, "chrf": math.nan, "length_ratio": math.nan}
        bleu = self._bleu.corpus_score(self._predictions, [self._references])
        chrf = self._chrf.corpus_score(self._predictions, [self._references])
        wanted = sum(map(len, self._references))
        ratio = sum(map(len, self._predictions)) / wanted if wanted else math.nan
        figures = {"bleu": float(bleu.score), "chrf": float(chrf.score), "length_ratio": ratio}
        return figures | self._likelihood.compute()

    def terms(self, predictions: Sequence[str], references: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """(N, 10) hits and totals of 1- to 4-grams and both lengths of each text; (N,) BLEU+1 of each, 0 to 1."""
        each = require_sacrebleu().metrics.BLEU(
            lowercase=self._bleu.lowercase, tokenize=self._tokenizer, effective_order=True
        )
        rows = []
        for given, wanted in zip(predictions, references, strict=True):
            found = each.sentence_score(given, [wanted])
            rows.append([*found.counts, *found.totals, found.sys_len, found.ref_len])
        alone = [sentence_bleu(*pair) for pair in zip(predictions, references, strict=True)]
        return np.array(rows, dtype=np.float64).reshape(-1, 10), np.array(alone)

    def figure(self, sums: np.ndarray) -> np.ndarray:
        """(..., 10) sums -> (...) BLEU, 0 to 100."""
        rows = np.rint(sums.reshape(-1, 10)).astype(np.int64).tolist()
        found = [
            self._bleu.compute_bleu(row[:4], row[4:8], row[8], row[9], self._bleu.smooth_method).score for row in rows
        ]
        return np.array(found).reshape(sums.shape[:-1])

    def signature(self) -> str:
        """How BLEU and chrF are computed, as sacrebleu writes it."""
        for metric in (self._bleu, self._chrf):
            metric.corpus_score(["a"], [["a"]])  # without a score there is no signature
        return f"BLEU {self._bleu.get_signature()}, chrF {self._chrf.get_signature()}"


class SummaryMetrics:
    """Collects summaries."""

    def __init__(self) -> None:
        self._scores: list[Rouge] = []
        self._lengths: list[tuple[int, int]] = []
        self._likelihood = _Likelihood()

    def update(self, predictions: list[Any], references: list[Any]) -> None:
        """Add one batch; arguments as `TranslationMetrics.update`."""
        for prediction, reference in zip(predictions, references, strict=True):
            text = prediction.text if isinstance(prediction, Generated) else prediction
            self._scores.append(rouge(text, reference))
            self._lengths.append((len(text), len(reference)))
            self._likelihood.add(prediction)

    def compute(self) -> dict[str, float]:
        """Mean `rouge_1`, `rouge_2`, `rouge_l` (F-measures, 0 to 100), `length_ratio`, `nats`, `perplexity`."""
        if not self._scores:
            return dict.fromkeys([*Rouge._fields, "length_ratio"], math.nan)
        means = 100 * np.mean(self._scores, axis=0)
        figures = dict(zip(Rouge._fields, map(float, means), strict=True))
        given, wanted = np.sum(self._lengths, axis=0)
        figures["length_ratio"] = float(given / wanted) if wanted else math.nan
        return figures | self._likelihood.compute()

    def terms(self, predictions: Sequence[str], references: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """(N, 2) ROUGE-L of each text in per cent, and 1; (N,) the same from 0 to 1."""
        alone = np.array([rouge_l(*pair) for pair in zip(predictions, references, strict=True)])
        return np.stack([100 * alone, np.ones_like(alone)], axis=-1), alone

    def figure(self, sums: np.ndarray) -> np.ndarray:
        """(..., 2) sums -> (...) mean ROUGE-L, 0 to 100."""
        found: np.ndarray = sums[..., 0] / np.maximum(sums[..., 1], 1)
        return found


class _Likelihood:
    """What the model gave the references, where it told."""

    def __init__(self) -> None:
        self._nats, self._tokens = 0.0, 0

    def add(self, prediction: Any) -> None:
        if isinstance(prediction, Generated) and prediction.reference_nats is not None:
            self._nats += prediction.reference_nats
            self._tokens += prediction.reference_tokens

    def compute(self) -> dict[str, float]:
        if not self._tokens:
            return {}
        return {"nats": self._nats / self._tokens, "perplexity": perplexity(self._nats, self._tokens)}


def _words(pattern: re.Pattern[str], text: str) -> list[str]:
    return pattern.findall(text.lower())


def _ngrams(words: Sequence[str], order: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(words[start:] for start in range(order)), strict=False))


def _overlap(given: Counter[Any], wanted: Counter[Any]) -> float:
    return _f_measure(sum((given & wanted).values()), sum(given.values()), sum(wanted.values()))


def _f_measure(hits: int, given: int, wanted: int) -> float:
    return 2 * hits / (given + wanted) if hits else 0.0
