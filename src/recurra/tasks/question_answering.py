"""Extractive question answering: the piece of a passage that answers a question, or that there is none.

Worked example: of the question "Who is old?" on the passage "Rome is old." the model scores each word as the first and
as the last of the answer; the loss is the mean of the cross-entropies of the start and of the end (the word "Rome",
twice). The prediction is `Answer(text="Rome", start=0, end=4, ...)`: its offsets point into the text as it was given.
A passage longer than a window is read in windows that overlap; scores of all windows make one distribution.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor

from recurra.baselines.reading import ReadingRow, reading_baselines
from recurra.core.batch import Batch, InputKind, LossSum, Metrics, Resolution, TaskSpec
from recurra.core.config import Config
from recurra.core.errors import ConfigError, DataError
from recurra.data import BucketedBatches, DataConfig, Splits, VocabularyConfig
from recurra.data.questions import (
    Question,
    QuestionColumns,
    Questions,
    hold_out_documents,
    place_answers,
    read_questions,
)
from recurra.data.reading import NUM_FEATURES, ReadingBatch, ReadingEncoder, ReadingExample
from recurra.data.spans import sentence_places, word_places, words_within
from recurra.data.vocabulary import vocabulary_from_json
from recurra.data.words import Lexicon
from recurra.metrics.answers import AnswerLevel, AnswerMetrics, answer_f1
from recurra.tasks.answers import Answer, AnswerChooser, answer_notes, text_of
from recurra.tasks.base import PlainItems, Preparation, Prepared, StreamOptions
from recurra.tasks.figures import figures_of
from recurra.tasks.judging import Judged, mean_figure, mean_terms
from recurra.tasks.pictures import Alignment

Item = tuple[str, str]
_SHOWN_PASSAGE = 200


class QuestionAnsweringConfig(Config):
    """Options of extractive question answering."""

    kind: Literal["question-answering"] = "question-answering"
    vocabulary: VocabularyConfig = VocabularyConfig(kind="word", lowercase=True, min_frequency=2)
    characters: VocabularyConfig | None = Field(VocabularyConfig(kind="char"), description="of the spellings of words")
    rare_word_dropout: float = Field(0.0, ge=0, le=1, description="how often a word seen once is read as unknown")
    window: int = Field(400, ge=2, description="words of a passage that are read at once")
    stride: int = Field(200, ge=1, description="words between the starts of two windows of a longer passage")
    max_answer_length: int = Field(30, ge=1, description="longest answer, in words")
    no_answer: Literal["auto", "yes", "no"] = Field(
        "auto", description="whether a passage may hold no answer; auto: as in the training file"
    )
    no_answer_text: str = Field("", description="what a table has in the answer's column where there is none")
    no_answer_threshold: float = Field(0.0, description="nats by which no answer must be likelier than the best one")
    choice: Literal["likeliest", "overlap"] = Field(
        "likeliest", description="the likeliest answer, or the one of highest expected F1"
    )
    level: AnswerLevel = Field("words", description="what metrics compare; characters is for Chinese")

    @model_validator(mode="after")
    def _windows_cover_the_passage(self) -> QuestionAnsweringConfig:
        if self.stride > self.window:
            raise ValueError("stride must not be above window: words between two windows would never be read")
        if self.vocabulary.kind != "word" or (self.characters is not None and self.characters.kind != "char"):
            raise ValueError("vocabulary.kind must be word, and characters.kind char")
        return self


class QuestionAnswering(PlainItems):
    """The task over fitted vocabularies."""

    Config: ClassVar[type[Config]] = QuestionAnsweringConfig
    usage: ClassVar[str] = 'print(model.predict([("Who is old?", "Rome is old.")]))'
    monitor: ClassVar[tuple[str, Literal["min", "max"]]] = ("f1", "max")

    def __init__(
        self, config: QuestionAnsweringConfig, lexicon: Lexicon, with_none: bool, columns: QuestionColumns
    ) -> None:
        """Put the fitted parts together.

        Args:
            config: the options.
            lexicon: vocabularies of words, spellings and text.
            with_none: whether a passage may hold no answer.
            columns: what a file of the same kind calls them.
        """
        self.config, self.lexicon, self.with_none, self.columns = config, lexicon, with_none, columns
        self.chooser = AnswerChooser(
            config.max_answer_length, config.choice == "overlap", with_none, config.no_answer_threshold
        )
        self.encoder = ReadingEncoder(lexicon, config.window, config.stride)
        self.spec = TaskSpec(
            input_kind=InputKind.TOKENS,
            input_size=lexicon.words.size,
            output_size=3 if with_none else 2,
            resolution=Resolution.SPAN,
            character_size=0 if lexicon.characters is None else lexicon.characters.size,
            text_size=0 if lexicon.text is None else lexicon.text.size,
            feature_size=NUM_FEATURES,
        )
        counts = lexicon.words.counts
        self._forget = np.where(counts <= max(1, config.vocabulary.min_frequency), config.rare_word_dropout, 0.0)

    @classmethod
    def prepare(cls, config: QuestionAnsweringConfig, given: Preparation) -> Prepared:
        """Read the questions, hold passages out, fit the vocabularies on the training part, encode."""
        parts, columns, notes = _read_splits(config, given.data, given.seed)
        if given.fitted is not None:
            fitted: QuestionAnswering = given.fitted
            task = cls(config, fitted.lexicon, fitted.with_none, columns)
        else:
            texts = dict.fromkeys(text for row in parts.train for text in (row.question, row.passage))
            sentences = [[text[start:end] for start, end in word_places(text)] for text in texts]
            lexicon = Lexicon.fit(sentences, config.vocabulary, config.characters, given.pretrained)
            found = any(not row.answers for row in parts.train)
            task = cls(config, lexicon, found if config.no_answer == "auto" else config.no_answer == "yes", columns)
        splits = Splits(*([task.encoder.encode(row) for row in part] or None for part in parts))
        named = zip(Splits._fields, splits, strict=True)
        held = ", ".join(f"{name} {task.sizes(part)}" for name, part in named if part)
        notes.append(f"word vocabulary of {task.lexicon.words.size}; {held}")
        missing = sum(not row.answers for row in parts.train)
        if missing:
            may = "may" if task.with_none else "can't"
            notes.append(f"{missing:,} of the training questions have no answer; the model {may} say so")
        for name, part in zip(Splits._fields, splits, strict=True):
            notes += answer_notes(name, part or [], config.max_answer_length)
        return Prepared(task=task, splits=splits, notes=tuple(notes))

    @classmethod
    def from_files(cls, config: QuestionAnsweringConfig, files: Mapping[str, Any]) -> QuestionAnswering:
        """The task of a saved model."""
        stored = files["questions.json"]
        text = None if stored["text"] is None else vocabulary_from_json(stored["text"])
        columns = QuestionColumns(*stored["columns"])
        return cls(config, Lexicon.from_json(files["vocabulary.json"], text), bool(stored["with_none"]), columns)

    def files(self) -> dict[str, Any]:
        """Vocabularies and column names."""
        text = None if self.lexicon.text is None else self.lexicon.text.to_json()
        stored = {"columns": list(self.columns), "with_none": self.with_none, "text": text}
        return {"vocabulary.json": self.lexicon.to_json(), "questions.json": stored}

    def stream(self, split: list[ReadingExample], options: StreamOptions) -> BucketedBatches:
        """Batches of passages of similar length."""
        forgets = options.shuffle and bool(self._forget.any())

        def forget(example: ReadingExample, epoch: int, index: int) -> ReadingExample:
            rng = np.random.default_rng([options.seed, epoch, index])
            question = self.lexicon.forget_rare(example.question, self._forget, rng)
            windows = (w._replace(words=self.lexicon.forget_rare(w.words, self._forget, rng)) for w in example.windows)
            return example._replace(question=question, windows=tuple(windows))

        return BucketedBatches(
            split,
            options.batch_size,
            self.encoder.collate,
            seed=options.seed,
            shuffle=options.shuffle,
            augment=forget if forgets else None,
            shard=options.shard,
        )

    def read(self, paths: str | list[str], data: DataConfig) -> list[ReadingExample]:
        """Encode files with answers; columns are those of the training file unless `data` names others."""
        found = read_questions(paths, data, no_answer=self.config.no_answer_text, known=self.columns)
        return [self.encoder.encode(row) for row in found.rows]

    def item(self, line: str) -> Item:
        """A question, a tab, a passage.

        Raises:
            DataError: no tab.
        """
        question, tab, passage = line.partition("\t")
        if not tab:
            raise DataError(f"{line[:60]!r}: there is no tab: a line is to be a question, a tab and a passage.")
        return question, passage

    def items(self, paths: str | list[str], data: DataConfig) -> Iterator[Item]:
        """The questions of files, with or without answers, and of lines "question<TAB>passage"."""
        found = read_questions(paths, data, want_answers=False, known=self.columns)
        return ((row.question, row.passage) for row in found.rows)

    def encode(self, items: list[Any]) -> list[ReadingExample]:
        """Encode pairs of question and passage."""
        return [self.encoder.encode(_question(item, number, None)) for number, item in enumerate(items)]

    def encode_labelled(self, items: list[Any], targets: list[Any]) -> list[ReadingExample]:
        """Encode pairs with answers: a text, several, or None (or "") where the passage holds none."""
        rows = enumerate(zip(items, targets, strict=True))
        return [self.encoder.encode(_question(item, number, _as_texts(target))) for number, (item, target) in rows]

    def loss(self, prediction: Tensor, batch: Batch) -> LossSum:
        """Mean of the cross-entropies of start and end, over questions whose answer is known and can be given.

        A model that always answers learns nothing from a question without an answer.
        """
        assert isinstance(batch, ReadingBatch)
        log_probs = self._log_probs(prediction.float(), batch)
        marks = batch.targets.masked_fill(~torch.isfinite(log_probs), 0.0)
        terms = marks * log_probs.masked_fill(marks == 0, 0.0)
        return LossSum(-terms.sum() / 2, marks.sum().round() / 2)

    def predict(self, prediction: Tensor, batch: Batch) -> list[Answer]:
        """The answer to each question of the batch."""
        assert isinstance(batch, ReadingBatch)
        found = self._log_probs(prediction.detach().float(), batch).cpu().double().numpy()
        rows: list[list[int]] = [[] for _ in batch.examples]
        for row, (number, _) in enumerate(batch.windows):
            rows[number].append(row)
        return [self.chooser.choose(example, found[own]) for example, own in zip(batch.examples, rows, strict=True)]

    def references(self, batch: Batch) -> list[list[str]]:
        """The texts of the right answers; none where the passage holds none."""
        assert isinstance(batch, ReadingBatch)
        return [[answer.text for answer in example.source.answers or ()] for example in batch.examples]

    def metrics(self) -> Metrics:
        """A fresh collector."""
        return AnswerMetrics(self.config.level)

    def asked(self, item: Item) -> dict[str, Any]:
        """Question and passage."""
        return {"question": item[0], "passage": item[1]}

    def readable(self, prediction: Answer) -> dict[str, Any]:
        """The answer, where it stands, how likely it is, and others."""
        others = [
            {"answer": other.text, "start": other.start, "end": other.end, "probability": other.probability}
            for other in prediction.alternatives
        ]
        found: dict[str, Any] = {"answer": prediction.text, "start": prediction.start, "end": prediction.end}
        found["probability"] = prediction.probability
        if prediction.no_answer_score is not None:
            found["no_answer_score"] = prediction.no_answer_score
        return {**found, "alternatives": others}

    def brief(self, prediction: Answer) -> str:
        """The answer's text."""
        return prediction.text

    def line(self, item: Item, row: dict[str, Any]) -> str:
        """Answer, its place, its probability and the question, with TABs between."""
        place = f"{row['start']}-{row['end']}" if row["answer"] else "no answer"
        return "\t".join([_flat(row["answer"]), place, f"{row['probability']:.4f}", _flat(item[0])])

    def picture(self, item: Any, prediction: Answer) -> Alignment | None:
        """None."""
        return None

    def report(self, predictions: list[Answer], references: list[list[str]]) -> dict[str, Any]:
        """Some questions with the answers given and wanted."""
        pairs = list(zip(predictions, references, strict=True))[:: max(1, len(predictions) // 20)][:20]
        return {"examples": [(p.question, p.text or "(none)", " | ".join(r) or "(none)") for p, r in pairs]}

    def judge(self, split: list[ReadingExample], predictions: list[Answer], references: list[list[str]]) -> Judged:
        """F1 of each answer; the loss is what it lacks, times how sure the model was of it."""
        rows = zip(predictions, references, strict=True)
        scores = np.array([answer_f1(p.text, wanted, self.config.level) for p, wanted in rows])

        def shown(place: int) -> tuple[str, str, str]:
            answer, passage = predictions[place], split[place].source.passage
            told = passage if len(passage) <= _SHOWN_PASSAGE else f"{passage[:_SHOWN_PASSAGE]}…"
            given = f"{answer.text or '(none)'} ({answer.probability:.2f})"
            return f"{answer.question} | {told}", given, " | ".join(references[place]) or "(none)"

        return Judged(
            predictions=predictions,
            references=references,
            terms=mean_terms(scores),
            figure=mean_figure,
            losses=(1 - scores) * np.array([answer.probability for answer in predictions]),
            lengths=np.array([len(example.tokens) for example in split]),
            ids=tuple(example.id for example in split),
            shown=shown,
            marks={"answer": [("there" if wanted else "none",) for wanted in references]},
        )

    def baselines(self, train: list[ReadingExample], evaluated: list[ReadingExample]) -> dict[str, dict[str, float]]:
        """Whole passage, first sentence, sliding window and a linear model on the same words."""
        learnt = [_baseline_row(example) for example in train if len(example.tokens) and example.spans]
        learnt += [_baseline_row(example) for example in train if len(example.tokens) and not example.spans]
        shown = [example for example in evaluated if len(example.tokens)]
        spans = reading_baselines(learnt, [_baseline_row(example) for example in shown], self.config.max_answer_length)
        answers = {
            name: ["" if span is None else text_of(one, *span) for one, span in zip(shown, chosen, strict=True)]
            for name, chosen in spans.items()
        }
        return figures_of(answers, [[a.text for a in one.source.answers or ()] for one in shown], self.metrics)

    def sizes(self, split: list[ReadingExample]) -> str:
        """Number of questions and of passages."""
        return f"{len(split):,} questions on {len({example.source.passage for example in split}):,} passages"

    def _log_probs(self, prediction: Tensor, batch: ReadingBatch) -> Tensor:
        """(R, 2, 1 + T) over all windows of a question together; -inf where nothing can be."""
        possible = torch.isfinite(prediction)
        filled = prediction.masked_fill(~possible, torch.finfo(prediction.dtype).min)
        totals = filled.logsumexp(-1)
        if len(batch.windows) > len(batch.examples):
            number = torch.tensor([number for number, _ in batch.windows], device=prediction.device)
            highest = totals.new_full((len(batch.examples), 2), torch.finfo(totals.dtype).min)
            highest = highest.scatter_reduce(0, number[:, None].expand(-1, 2), totals.detach(), "amax")
            shares = (totals - highest[number]).exp()
            sums = torch.zeros_like(highest).index_add(0, number, shares)
            totals = (sums.log() + highest)[number]
        return (filled - totals[..., None]).masked_fill(~possible, -torch.inf)


def _flat(text: str) -> str:
    return " ".join(text.split())


def _as_texts(target: Any) -> list[str]:
    given = [target] if isinstance(target, str) or target is None else list(target)
    return [text for text in given if text]


def _question(item: Any, number: int, answers: list[str] | None) -> Question:
    where = f"question {number}"
    if not (isinstance(item, tuple | list) and len(item) == 2 and all(isinstance(part, str) for part in item)):
        raise DataError(f"{where} is {item!r}: a pair of two strings is wanted, the question and the passage.")
    question, passage = item
    placed = None if answers is None else place_answers(passage, answers, where)
    return Question(str(number), question, passage, placed, where)


def _baseline_row(example: ReadingExample) -> ReadingRow:
    passage = example.source.passage
    words = [passage[start:end].lower() for start, end in example.places]
    asked = [example.source.question[start:end].lower() for start, end in word_places(example.source.question)]
    found = (words_within(example.places, start, end) for start, end in sentence_places(passage))
    sentences = [(span.first, span.last) for span in found if span is not None]
    return ReadingRow(asked, words, sentences, example.spans)


def _read_splits(
    config: QuestionAnsweringConfig, data: DataConfig, seed: int
) -> tuple[Splits[list[Question]], QuestionColumns, list[str]]:
    """The questions of each split, from files of its own or held out of the training files by passage."""
    if data.train is None:
        raise ConfigError("no training data: give --data.train FILE (SQuAD JSON, or a table of questions).")

    def read(paths: str | list[str], known: QuestionColumns | None) -> Questions:
        return read_questions(paths, data, no_answer=config.no_answer_text, known=known)

    found = read(data.train, None)
    notes = list(found.notes)
    fractions = (
        0.0 if data.valid is not None else data.valid_fraction,
        0.0 if data.test is not None else data.test_fraction,
    )
    held = hold_out_documents(found.rows, *fractions, seed=seed)
    parts = {"train": held.train, "valid": held.valid, "test": held.test}
    for name, paths in (("valid", data.valid), ("test", data.test)):
        if paths is not None:
            own = read(paths, found.columns)
            parts[name] = own.rows
            notes += [note for note in own.notes if note not in notes]
    if fractions[0]:
        notes.append(
            f"{len(held.valid):,} of the training questions are held out for validation, whole documents at random"
        )
    return Splits(**parts), found.columns, notes
