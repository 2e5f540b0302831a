"""Extracted answers against reference texts: exact match and F1, by words as SQuAD has it, or by characters.

Sources: the normalisation, the bag-of-words F1, the best of several references and the treatment of questions without
an answer are those of SQuAD's evaluation scripts v1.1 and v2.0 (Rajpurkar et al., 2016, section 6.1,
https://arxiv.org/abs/1606.05250; Rajpurkar et al., 2018, https://arxiv.org/abs/1806.03822); figures by characters are
those of CMRC 2018 (Cui et al., 2019, section 4, https://arxiv.org/abs/1810.07366).
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

AnswerLevel = Literal["words", "characters"]

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_MIXED = re.compile(rf"[{_HAN}\u3040-\u30ff]|[^\s{_HAN}\u3040-\u30ff]+")


class ScoredAnswer(NamedTuple):
    """An answer as the collector may get it in place of a bare text.

    Attributes:
        text: "" says that the passage holds no answer.
        no_answer_score: how much likelier (in nats) it is that there is no answer than that `best` is one; None where
            the model always answers.
        best: the best answer that is not "", for the choice of a threshold.
    """

    text: str
    no_answer_score: float | None = None
    best: str = ""


def normalise_answer(text: str) -> str:
    """Lower case, without ASCII punctuation and English articles, single blanks."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def answer_words(text: str) -> list[str]:
    """The words that are compared: those of the normalised answer."""
    return normalise_answer(text).split()


def answer_characters(text: str) -> list[str]:
    """Han characters and kana one by one, other runs as words, in lower case and without punctuation of any script."""
    kept = "".join(c for c in text.lower() if not unicodedata.category(c).startswith("P") and c not in "`~^$+=|<>")
    return _MIXED.findall(kept)


def answer_exact_match(answer: str, references: Sequence[str], level: AnswerLevel = "words") -> float:
    """1.0 where the answer equals one of the references but for normalisation, else 0.0.

    Args:
        answer: "" for none.
        references: right answers; empty, or all "" when normalised: there is no answer, and "" is right.
        level: see `answer_words` and `answer_characters`.
    """
    units = _UNITS[level]
    given = units(answer)
    return float(any(given == wanted for wanted in _wanted(references, units)))


def answer_f1(answer: str, references: Sequence[str], level: AnswerLevel = "words") -> float:
    """Harmonic mean of precision and recall of words (characters: of the longest common run), best of the references.

    Args:
        answer: as in `answer_exact_match`, as are the others. Where either side is empty, 1.0 if both are, else 0.0.
    """
    units = _UNITS[level]
    shared = _shared_words if level == "words" else _longest_run
    given = units(answer)
    return max(_f1(given, wanted, shared) for wanted in _wanted(references, units))


class AnswerMetrics:
    """Collects answers and their references.

    Args:
        level: what is compared; see `answer_words` and `answer_characters`.
    """

    def __init__(self, level: AnswerLevel = "words") -> None:
        self.level = level
        self._rows: list[tuple[ScoredAnswer, Sequence[str]]] = []

    def update(self, predictions: list[Any], references: list[Any]) -> None:
        """Add one batch.

        Args:
            predictions: texts, or whatever has the attribute `text` and may have those of `ScoredAnswer`.
            references: for each the right texts; none for a question without an answer.
        """
        self._rows += zip(map(_scored, predictions), references, strict=True)

    def compute(self) -> dict[str, float]:
        """`exact_match` and `f1`; where some questions have no answer those of both kinds ("f1/answered",
        "f1/no_answer") and, where scores came with all answers, the best reachable `f1` and the threshold for it."""
        if not self._rows:
            return {"exact_match": float("nan"), "f1": float("nan")}
        matches = [answer_exact_match(row.text, wanted, self.level) for row, wanted in self._rows]
        scores = [answer_f1(row.text, wanted, self.level) for row, wanted in self._rows]
        figures = {"exact_match": _mean(matches), "f1": _mean(scores)}
        answered = [bool(_wanted(wanted, _UNITS[self.level])[0]) for _, wanted in self._rows]
        if all(answered):
            return figures
        for name, kind in (("answered", True), ("no_answer", False)):
            chosen = [index for index, own in enumerate(answered) if own is kind]
            if chosen:
                figures[f"exact_match/{name}"] = _mean([matches[index] for index in chosen])
                figures[f"f1/{name}"] = _mean([scores[index] for index in chosen])
        if all(row.no_answer_score is not None for row, _ in self._rows):
            figures |= self._best_threshold(answered)
        return figures

    def _best_threshold(self, answered: Sequence[bool]) -> dict[str, float]:
        """The mean F1 with the best of all thresholds of `no_answer_score`, and that threshold.

        Above the threshold a question is left without an answer; beginning with none answered, the questions are let
        in one by one, the likeliest to have an answer first (evaluation script v2.0, `find_best_thresh`).
        """
        order = sorted(range(len(self._rows)), key=lambda index: self._rows[index][0].no_answer_score or 0.0)
        total = best = float(sum(not own for own in answered))
        threshold = float(self._rows[order[0]][0].no_answer_score or 0.0) - 1.0
        for place, index in enumerate(order):
            row, wanted = self._rows[index]
            total += answer_f1(row.best, wanted, self.level) if answered[index] else -float(bool(row.best))
            score = row.no_answer_score or 0.0
            tied = place + 1 < len(order) and self._rows[order[place + 1]][0].no_answer_score == score
            if total > best and not tied:
                best, threshold = total, score
        return {"best_f1": best / len(self._rows), "best_f1_threshold": threshold}


def _scored(prediction: Any) -> ScoredAnswer:
    if isinstance(prediction, str):
        return ScoredAnswer(prediction)
    if isinstance(prediction, ScoredAnswer):
        return prediction
    return ScoredAnswer(
        prediction.text, getattr(prediction, "no_answer_score", None), getattr(prediction, "best", prediction.text)
    )


def _wanted(references: Sequence[str], units: Callable[[str], list[str]]) -> list[list[str]]:
    """The references' units, those without any left out; [[]] where none is left."""
    return [found for found in map(units, references) if found] or [[]]


def _f1(given: list[str], wanted: list[str], shared: Callable[[list[str], list[str]], int]) -> float:
    if not given or not wanted:
        return float(given == wanted)
    same = shared(given, wanted)
    return 2.0 * same / (len(given) + len(wanted))


def _shared_words(given: list[str], wanted: list[str]) -> int:
    return (Counter(given) & Counter(wanted)).total()


def _longest_run(given: list[str], wanted: list[str]) -> int:
    """Length of the longest run of units that stands in both."""
    longest = 0
    before = [0] * (len(wanted) + 1)
    for unit in given:
        lengths = [0] * (len(wanted) + 1)
        for place, other in enumerate(wanted, start=1):
            if unit == other:
                lengths[place] = before[place - 1] + 1
        longest = max(longest, *lengths)
        before = lengths
    return longest


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


_UNITS: dict[AnswerLevel, Callable[[str], list[str]]] = {"words": answer_words, "characters": answer_characters}
