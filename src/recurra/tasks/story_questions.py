"""Questions on stories (bAbI): the answer is a word, or several joined by commas, of those seen in training.

Worked example: of "1 Mary went home.", "2 Who went home?<TAB>Mary<TAB>1" the story becomes ((2, 3, 4, 5),), the
question (6, 3, 4, 7) and the target the index of "Mary" among the answers; the model gives logits of the answers and
says which sentences it read in which round; the loss is -log softmax(logits)[target].
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from recurra.baselines.stories import Asked, story_baselines
from recurra.core.batch import Batch, InputKind, LossSum, Metrics, Resolution, TaskSpec
from recurra.core.config import Config
from recurra.core.errors import DataError
from recurra.core.outputs import AttendedLogits
from recurra.data import (
    BucketedBatches,
    DataConfig,
    Labels,
    Splits,
    Vocabulary,
    VocabularyConfig,
    fit_labels,
    fit_vocabulary,
    smoothed_shares,
    vocabulary_from_json,
)
from recurra.data.readers.babi import is_numbered
from recurra.data.readers.decoding import read_lines
from recurra.data.readers.reading import format_of
from recurra.data.stories import (
    StoryExample,
    StoryQuestion,
    collate_stories,
    cut_sentences,
    read_stories,
    read_story_splits,
)
from recurra.losses import cross_entropy
from recurra.metrics import ClassificationMetrics, Classified
from recurra.tasks.base import PlainItems, Preparation, Prepared, StreamOptions
from recurra.tasks.figures import class_tables, figures_of
from recurra.tasks.judging import Judged, judge_labels
from recurra.tasks.pictures import Alignment

UNSEEN = "(not seen in training)"
_WORTH_TELLING = 0.1


class StoryQuestionsConfig(Config):
    """Options of questions on stories."""

    kind: Literal["story-questions"] = "story-questions"
    vocabulary: VocabularyConfig = VocabularyConfig(kind="word", lowercase=True)
    max_sentences: int = Field(200, ge=1, description="of a longer story the last so many are read")
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    supporting_weight: float = Field(
        0.0, ge=0, description="weight of a loss that shows the model which sentences to read; 0: answers alone teach"
    )


class StoryAnswer(NamedTuple):
    """An answer, and how it was found.

    Attributes:
        answer: the most likely one.
        probability: its own.
        probs: (O,) of all answers.
        question: as the model read it.
        sentences: (M,) as the model read them: the last `max_sentences` of the story, unknown words as <unk>.
        attention: (R, M), how far each sentence was read in each round, 0..1.
    """

    answer: str
    probability: float
    probs: np.ndarray
    question: str
    sentences: tuple[str, ...]
    attention: np.ndarray


class StoryQuestions(PlainItems):
    """The task over a fitted vocabulary and answers. An item is (sentences of the story, question)."""

    Config: ClassVar[type[Config]] = StoryQuestionsConfig
    usage: ClassVar[str] = 'print(model.predict([(["Mary went home."], "Where is Mary?")]))'
    monitor: ClassVar[tuple[str, Literal["min", "max"]]] = ("accuracy", "max")

    def __init__(
        self, config: StoryQuestionsConfig, vocabulary: Vocabulary, labels: Labels, frequencies: np.ndarray
    ) -> None:
        """Put the fitted parts together.

        Args:
            config: the options.
            vocabulary: of the words.
            labels: the answers.
            frequencies: (O,) how often each answer occurs in the training split.
        """
        self.config, self.vocabulary, self.labels = config, vocabulary, labels
        self.frequencies = np.asarray(frequencies, dtype=np.float64)
        share = smoothed_shares(self.frequencies)
        self.spec = TaskSpec(
            input_kind=InputKind.TOKENS,
            input_size=vocabulary.size,
            output_size=len(labels),
            resolution=Resolution.SEQUENCE,
            output_prior=tuple(share.tolist()),
        )

    @classmethod
    def prepare(cls, config: StoryQuestionsConfig, given: Preparation) -> Prepared:
        """Read the questions, hold whole stories out, fit answers and words on the training part, encode."""
        rows, notes = read_story_splits(given.data, given.seed)
        if given.fitted is not None:
            labels, vocabulary = given.fitted.labels, given.fitted.vocabulary
        else:
            labels = fit_labels(row.answer for row in rows.train)
            sentences = [text for row in rows.train for text in (*row.story, row.question)]
            vocabulary = fit_vocabulary(config.vocabulary, sentences)
        counts = np.zeros(len(labels))
        for row in rows.train:
            counts[labels.index(row.answer, row.where)] += 1
        task = cls(config, vocabulary, labels, counts)
        splits = Splits(*(task._encode_rows(part) if part else None for part in rows))
        named = zip(Splits._fields, splits, strict=True)
        held = ", ".join(f"{name} {task.sizes(part)}" for name, part in named if part)
        shown = ", ".join(labels.names[:12]) + (", ..." if len(labels) > 12 else "")
        notes += [f"{len(labels)} answers: {shown}", f"{vocabulary.kind} vocabulary of {vocabulary.size}; {held}"]
        return Prepared(task=task, splits=splits, notes=(*notes, *task._unused(rows)))

    @classmethod
    def from_files(cls, config: StoryQuestionsConfig, files: Mapping[str, Any]) -> StoryQuestions:
        """The task of a saved model."""
        stored = files["labels.json"]
        vocabulary = vocabulary_from_json(files["vocabulary.json"])
        return cls(config, vocabulary, Labels(stored["names"]), np.array(stored["counts"]))

    def files(self) -> dict[str, Any]:
        """Vocabulary and answers."""
        labels = {"names": list(self.labels.names), "counts": self.frequencies.tolist()}
        return {"vocabulary.json": self.vocabulary.to_json(), "labels.json": labels}

    def stream(self, split: list[StoryExample], options: StreamOptions) -> BucketedBatches:
        """Batches of stories of similar length."""
        return BucketedBatches(
            split,
            options.batch_size,
            lambda examples: collate_stories(examples, with_support=self.config.supporting_weight > 0),
            seed=options.seed,
            shuffle=options.shuffle,
            shard=options.shard,
        )

    def read(self, paths: str | list[str], data: DataConfig) -> list[StoryExample]:
        """Encode files of questions with answers."""
        return self._encode_rows(read_stories(paths, data)[0])

    def item(self, line: str) -> tuple[tuple[str, ...], str]:
        """A line "story, sentence by sentence <TAB> question"; without a TAB the last sentence is the question."""
        story, tab, question = line.rpartition("\t")
        sentences = cut_sentences(story if tab else line)
        if tab and question.strip():
            return sentences, question.strip()
        if not sentences or not sentences[-1].endswith(("?", "？")):
            raise DataError(f"{line.strip()[:80]!r}: no question: a story, a TAB and a question are wanted on a line.")
        return sentences[:-1], sentences[-1]

    def items(self, paths: str | list[str], data: DataConfig) -> Iterator[Any]:
        """Questions of bAbI files, tables or JSONL, answered or not; or a story and a question a line."""
        for path in [paths] if isinstance(paths, str) else paths:
            if format_of(Path(path), data) == "text" and not is_numbered(Path(path), data.encoding):
                yield from (self.item(line) for line in read_lines(Path(path), data.encoding) if line.strip())
            else:
                yield from ((row.story, row.question) for row in read_stories(path, data, want_answers=False)[0])

    def encode(self, items: Sequence[Any]) -> list[StoryExample]:
        """Encode stories with questions; the target is a placeholder that nothing reads."""
        rows = [StoryQuestion(*_checked(item, number), id=str(number)) for number, item in enumerate(items)]
        return self._encode_rows(rows)

    def encode_labelled(self, items: Sequence[Any], targets: Sequence[Any]) -> list[StoryExample]:
        """Encode stories with questions and answers."""
        if len(items) != len(targets):
            raise DataError(f"{len(items)} questions and {len(targets)} answers: one each is wanted.")
        rows = [
            StoryQuestion(*_checked(item, number), answer=str(answer), id=str(number))
            for number, (item, answer) in enumerate(zip(items, targets, strict=True))
        ]
        return self._encode_rows(rows)

    def loss(self, prediction: AttendedLogits, batch: Batch) -> LossSum:
        """Cross-entropy; with `supporting_weight`, also of having read the right sentences in some round."""
        if batch.targets.dim() == 1:
            return cross_entropy(prediction.logits, batch.targets, None, self.config.label_smoothing)
        found = cross_entropy(prediction.logits, batch.targets[:, 0], None, self.config.label_smoothing)
        shown = _reading_loss(prediction.attention, batch.targets[:, 1:], batch.inputs.story.mask)
        return LossSum(found.total + self.config.supporting_weight * shown, found.count)

    def predict(self, prediction: AttendedLogits, batch: Batch) -> list[StoryAnswer]:
        """Each row's answer, with what was read."""
        probs = prediction.logits.detach().float().softmax(-1).cpu().numpy()
        attention = prediction.attention.detach().float().cpu().numpy()
        sentences, stories, questions = (
            [row.tolist() for row in part.unpad()]
            for part in (batch.inputs.sentences, batch.inputs.story, batch.inputs.question)
        )
        told = [self.vocabulary.decode(sentence) for sentence in sentences]
        answers = []
        for number, (row, story) in enumerate(zip(probs, stories, strict=True)):
            best = int(row.argmax())
            read, question = tuple(told[place] for place in story), self.vocabulary.decode(questions[number])
            name, weights = self.labels.names[best], attention[number, :, : len(story)]
            answers.append(StoryAnswer(name, float(row[best]), row, question, read, weights))
        return answers

    def references(self, batch: Batch) -> list[str]:
        """Each row's answer."""
        targets = batch.targets if batch.targets.dim() == 1 else batch.targets[:, 0]
        return self._names(targets.tolist())

    def metrics(self) -> Metrics:
        """A fresh collector."""
        return _AnswerMetrics((*self.labels.names, UNSEEN))

    def readable(self, prediction: StoryAnswer) -> dict[str, Any]:
        """Answer and probabilities; for each round the sentences that were read, the strongest first."""
        return {
            "answer": prediction.answer,
            "probability": prediction.probability,
            "probabilities": dict(zip(self.labels.names, map(float, prediction.probs), strict=True)),
            "read": [_strongest(prediction.sentences, weights) for weights in prediction.attention],
        }

    def asked(self, item: Any) -> dict[str, Any]:
        """Story and question."""
        return {"story": list(item[0]), "question": item[1]}

    def brief(self, prediction: StoryAnswer) -> str:
        """The answer."""
        return prediction.answer

    def line(self, item: Any, row: dict[str, Any]) -> str:
        """Answer, probability, question, and for each round the sentence that was read most."""
        rounds = []
        for number, sentences in enumerate(row["read"], start=1):
            best = f"{sentences[0]['sentence']} ({sentences[0]['weight']:.2f})" if sentences else "-"
            rounds.append(f"{number}: {best}")
        return "\t".join([row["answer"], f"{row['probability']:.4f}", " ".join(item[1].split()), *rounds])

    def picture(self, item: Any, prediction: StoryAnswer) -> Alignment | None:
        """Rounds by sentences; None of a model without rounds."""
        if not len(prediction.attention):
            return None
        rounds = tuple(f"{number}" for number in range(1, len(prediction.attention) + 1))
        return Alignment(rounds, prediction.sentences, prediction.attention)

    def report(self, predictions: list[StoryAnswer], references: list[str]) -> dict[str, Any]:
        """Confusion, and figures of each answer."""
        names = [*self.labels.names, UNSEEN] if UNSEEN in references else list(self.labels.names)
        return class_tables([p.answer for p in predictions], references, names)

    def judge(self, split: list[StoryExample], predictions: list[StoryAnswer], references: list[str]) -> Judged:
        """Right or wrong, and -log of the probability of the right answer."""
        index = {name: number for number, name in enumerate(self.labels.names)}
        answers = [
            (p.answer, p.probability, float(p.probs[index[right]]) if right in index else 0.0)
            for p, right in zip(predictions, references, strict=True)
        ]

        def asked(place: int) -> str:
            return " ".join((*predictions[place].sentences, predictions[place].question))

        lengths = [len(example.tokens) for example in split]
        return judge_labels(predictions, references, answers, split, lengths, asked)

    def baselines(self, train: list[StoryExample], evaluated: list[StoryExample]) -> dict[str, dict[str, float]]:
        """Cheap ways to answer: see `recurra.baselines.stories`."""
        words = [self.vocabulary.encode(name) for name in self.labels.names]
        answers = story_baselines(
            [Asked(row.tokens, row.question, row.target) for row in train],
            [Asked(row.tokens, row.question, row.target) for row in evaluated],
            [word[0] if len(word) == 1 and word[0] != self.vocabulary.unk_index else None for word in words],
            self.vocabulary.size,
        )
        return figures_of(
            {name: self._names(chosen) for name, chosen in answers.items()},
            self._names([row.target for row in evaluated]),
            lambda: ClassificationMetrics((*self.labels.names, UNSEEN)),
        )

    def sizes(self, split: list[StoryExample]) -> str:
        """Number of questions."""
        return f"{len(split):,} questions"

    def _encode_rows(self, rows: Sequence[StoryQuestion]) -> list[StoryExample]:
        """Equal sentences become the same tuple."""
        known: dict[str, tuple[int, ...]] = {}

        def encoded(sentence: str) -> tuple[int, ...]:
            if sentence not in known:
                known[sentence] = tuple(self.vocabulary.encode(sentence))
            return known[sentence]

        index = {name: number for number, name in enumerate(self.labels.names)}
        examples = []
        for row in rows:
            first = max(0, len(row.story) - self.config.max_sentences)
            supporting = tuple(place - 1 - first for place in row.supporting if place > first)
            target = index.get(row.answer, len(index)) if row.answer else 0
            tokens = tuple(encoded(sentence) for sentence in row.story[first:])
            examples.append(StoryExample(tokens, encoded(row.question), target, supporting, row.id))
        return examples

    def _unused(self, rows: Splits[list[StoryQuestion]]) -> list[str]:
        """What of the data is not used as it stands."""
        most, notes = self.config.max_sentences, []
        if num_cut := sum(len(row.story) > most for part in rows for row in part):
            notes.append(f"{num_cut:,} stories are longer than task.max_sentences={most}: their last {most} are read")
        if num_unseen := sum(row.answer not in self.labels.names for row in (*rows.valid, *rows.test)):
            notes.append(f"{num_unseen:,} questions held out have answers not seen in training: they count as wrong")
        return notes

    def _names(self, targets: Sequence[int]) -> list[str]:
        names = (*self.labels.names, UNSEEN)
        return [names[target] for target in targets]


class _AnswerMetrics(ClassificationMetrics):
    """Takes `StoryAnswer`s."""

    def update(self, predictions: list[Any], references: list[Any]) -> None:
        """Add one batch."""
        super().update([Classified(p.answer, p.probs) for p in predictions], references)


def _reading_loss(attention: Tensor, supporting: Tensor, mask: Tensor) -> Tensor:
    """Mean binary cross-entropy over the sentences, summed over the rows whose supporting sentences are known.

    Args:
        attention: (B, R, M), 0..1.
        supporting: (B, M), 1 where a sentence is to be read in some round, else 0.
        mask: (B, M), True on real sentences.
    """
    read = (1 - (1 - attention.float()).prod(1)).clamp(1e-6, 1 - 1e-6)
    each = F.binary_cross_entropy(read, supporting.to(read.dtype), reduction="none") * mask
    known = supporting.sum(1) > 0
    return torch.where(known, each.sum(1) / mask.sum(1).clamp(min=1), 0.0).sum()


def _strongest(sentences: Sequence[str], weights: np.ndarray) -> list[dict[str, Any]]:
    order = np.argsort(-weights, kind="stable")
    return [
        {"number": int(place) + 1, "sentence": sentences[place], "weight": float(weights[place])}
        for place in order
        if weights[place] >= _WORTH_TELLING
    ]


def _checked(item: Any, number: int) -> tuple[tuple[str, ...], str]:
    """A story as sentences, and its question.

    Raises:
        DataError: the item is not a pair of such.
    """
    story, question = item if isinstance(item, tuple | list) and len(item) == 2 else (None, None)
    sentences: Any = cut_sentences(story) if isinstance(story, str) else story
    told = isinstance(sentences, tuple | list) and all(isinstance(sentence, str) for sentence in sentences)
    if not told or not isinstance(question, str):
        raise DataError(
            f"question {number}: (sentences of the story, question) is wanted, such as (['Mary went home.'], "
            f"'Where is Mary?'), not {str(item)[:80]!r}."
        )
    return tuple(sentences), question
