"""Summarisation: a long text in, a short one out; words may be copied from the source.

Worked example: the row {"body": "Zoltan asks for the budget of 2001 ...", "subject": "Budget 2001"} gives a source
of up to `max_length` tokens, and the target "budget 2001", in which 2001 may be a word that only the source knows.

Sources: copying: See et al. (2017), https://arxiv.org/abs/1704.04368; subject lines: Zhang and Tetreault (2019),
https://aclanthology.org/P19-1043.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from recurra.baselines import Extraction
from recurra.core.config import Config
from recurra.data import VocabularyConfig
from recurra.data.pairs import PairNames
from recurra.decoding import SearchConfig
from recurra.metrics import SummaryMetrics, rouge_l
from recurra.tasks.figures import figures_of
from recurra.tasks.pair_coding import PairExample
from recurra.tasks.pairs import PairConfig, PairTask

_TRAINED_ON = 20_000


class SummarisationConfig(PairConfig):
    """Options of summarisation."""

    kind: Literal["summarisation"] = "summarisation"
    vocabulary: VocabularyConfig = VocabularyConfig(kind="word", lowercase=True, min_frequency=3, max_size=20_000)
    copying: bool = Field(True, description="words of the source may be copied, unknown ones too")
    max_length: int = Field(200, ge=1, description="most tokens of a source; longer ones are cut")
    search: SearchConfig = SearchConfig(length_penalty=1.5, max_length=40)


class Summarisation(PairTask):
    """The task over a fitted vocabulary."""

    Config: ClassVar[type[Config]] = SummarisationConfig
    score = "rouge_l"
    names = PairNames(
        (
            "body",
            "document",
            "article",
            "text",
            "content",
            "source",
            "dialogue",
            "story",
            "正文",
            "文本",
            "内容",
            "文章",
        ),
        ("summary", "subject", "highlights", "headline", "title", "abstract", "target", "摘要", "标题"),
        longer=True,
    )
    answer = "summary"
    usage = 'print(model.predict(["A long text."]))'

    def scores(self) -> SummaryMetrics:
        """A fresh collector."""
        return SummaryMetrics()

    def baselines(self, train: list[PairExample], evaluated: list[PairExample]) -> dict[str, dict[str, float]]:
        """The first words, the first sentence, and the words of highest tf-idf."""
        known: list[Any] = train[:_TRAINED_ON]
        extraction = Extraction([e.source for e in known], [e.reference or "" for e in known], rouge_l)
        answers = extraction.predict([example.source for example in evaluated])
        return figures_of(answers, [example.reference or "" for example in evaluated], self.scores)
