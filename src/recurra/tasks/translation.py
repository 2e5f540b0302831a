"""Translation: a sentence in one language, the same in another.

Worked example: line 1 of train.de is "Ein Hund ." and line 1 of train.en is "A dog ."; a translation "A cat ." scores
by the words that it shares with the reference (BLEU, chrF), as sacrebleu computes them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from recurra.baselines import Retrieval
from recurra.core.config import Config
from recurra.data.pairs import PairNames, TextPair
from recurra.decoding import SearchConfig
from recurra.metrics import TranslationMetrics
from recurra.tasks.base import Preparation, Prepared
from recurra.tasks.figures import figures_of
from recurra.tasks.pair_coding import PairExample
from recurra.tasks.pairs import PairConfig, PairTask

_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff]")
_KANA = re.compile("[\u3040-\u30ff]")
_RETRIEVED_FROM = 100_000
_SAMPLE = 1000

Tokenizer = Literal["auto", "13a", "zh", "char", "intl", "none", "ja-mecab", "ko-mecab", "flores101", "flores200"]


class TranslationConfig(PairConfig):
    """Options of translation."""

    kind: Literal["translation"] = "translation"
    too_long: Literal["drop", "cut"] = Field("drop", description="what becomes of training pairs that are too long")
    search: SearchConfig = SearchConfig(length_penalty=1.0, max_ratio=2.0)
    bleu_tokenizer: Tokenizer = Field("auto", description="as sacrebleu names them; auto: zh for Chinese, else 13a")


class Translation(PairTask):
    """The task over fitted vocabularies."""

    Config: ClassVar[type[Config]] = TranslationConfig
    score = "bleu"
    names = PairNames(
        ("source", "src", "text", "input", "original", "原文", "源"),
        ("target", "tgt", "trg", "translation", "output", "label", "译文", "翻译", "目标"),
        longer=False,
    )
    answer = "translation"
    usage = 'print(model.predict(["Ein Hund rennt."]))'

    @classmethod
    def prepare(cls, config: Any, given: Preparation) -> Prepared:
        """As all tasks on pairs; the scorer is tried first, so that a missing package is told before the work."""
        TranslationMetrics()
        prepared = super().prepare(config, given)
        assert isinstance(prepared.task, cls), "the task's own"
        note = f"scored by sacrebleu: {prepared.task.scores().signature()}"
        return Prepared(task=prepared.task, splits=prepared.splits, notes=(*prepared.notes, note))

    def scores(self) -> TranslationMetrics:
        """A fresh collector; case does not count where the target vocabulary has none."""
        chosen = self.config.bleu_tokenizer
        style = self.config.target_vocabulary or self.config.vocabulary
        return TranslationMetrics(style.lowercase, self.fitted["tokenizer"] if chosen == "auto" else chosen)

    def baselines(self, train: list[PairExample], evaluated: list[PairExample]) -> dict[str, dict[str, float]]:
        """The source as it is, and the translation of the most similar training source."""
        known = train[:_RETRIEVED_FROM]
        retrieval = Retrieval([e.source for e in known], [e.reference or "" for e in known])
        sources = [example.source for example in evaluated]
        answers = {"copy-source": sources, "retrieval": retrieval.predict(sources)}
        return figures_of(answers, [example.reference or "" for example in evaluated], self.scores)

    @classmethod
    def _examine(cls, config: Any, rows: Sequence[TextPair]) -> dict[str, Any]:
        """How BLEU is to cut the targets: Chinese by characters."""
        text = "".join(row.target for row in rows[:_SAMPLE])
        han, kana = len(_HAN.findall(text)), len(_KANA.findall(text))
        if han + kana <= 0.2 * len(text):
            return {"tokenizer": "13a"}
        return {"tokenizer": "char" if kana > 0.05 * len(text) else "zh"}
