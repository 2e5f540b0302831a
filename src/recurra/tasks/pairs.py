"""What translation and summarisation share: a text in, a text out, by an encoder-decoder and a search.

Worked example: the pair "ein hund" -> "a dog" becomes the source [7, 20, 1] (1 is eos), the decoder's input [1, 5, 9]
and the targets [5, 9, 1]; the loss is the sum of -log p(target). In evaluation the text is searched for, and the
reference's own likelihood is reported beside the score.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from pydantic import Field

from recurra.core.batch import Batch, InputKind, LossSum, Metrics, ModelOutput, Resolution, TaskSpec
from recurra.core.config import Config
from recurra.core.errors import ConfigError, DataError
from recurra.data import (
    BucketedBatches,
    DataConfig,
    Splits,
    Vocabulary,
    VocabularyConfig,
    fit_vocabulary,
    split_records,
    vocabulary_from_json,
)
from recurra.data.pairs import PairNames, TextPair, TextPairs, read_pairs
from recurra.decoding import SearchConfig
from recurra.losses import cross_entropy
from recurra.metrics import Generated, TextScores
from recurra.tasks.base import Preparation, Prepared, StreamOptions, TextItems, require_texts
from recurra.tasks.judging import Judged
from recurra.tasks.pair_coding import PairBatch, PairCoder, PairExample
from recurra.tasks.pair_search import Found, PairSearch, row_nats
from recurra.tasks.pictures import Alignment
from recurra.tasks.rewarded import Rewarding, RewardMetrics
from recurra.tasks.rewards import LikelihoodConfig, ObjectiveConfig, RewardConfig, reward_of

_SHOWN = 20


class PairConfig(Config):
    """Options that all tasks on pairs of texts have."""

    vocabulary: VocabularyConfig = VocabularyConfig(kind="word", min_frequency=2)
    target_vocabulary: VocabularyConfig | None = Field(None, description="of the targets; none: as `vocabulary`")
    shared_vocabulary: bool = Field(False, description="one vocabulary, fitted on sources and targets")
    copying: bool = Field(False, description="words of the source may be copied, unknown ones too")
    max_length: int = Field(100, ge=1, description="most tokens of a source; longer ones are cut")
    too_long: Literal["drop", "cut"] = Field("cut", description="what becomes of training pairs that are too long")
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    search: SearchConfig = SearchConfig()
    replace_unknown: bool = Field(False, description="unknown words become the source word most attended to")
    objective: ObjectiveConfig = LikelihoodConfig()


class PairTask(TextItems, ABC):
    """A task on pairs over fitted vocabularies; a subclass says how texts are scored and what competes."""

    Config: ClassVar[type[Config]] = PairConfig
    names: ClassVar[PairNames]
    answer: ClassVar[str]
    """The key of the text in `readable`."""
    score: ClassVar[str]
    """The tag of the metric that chooses the best weights, unless a reward does."""

    def __init__(self, config: Any, source: Vocabulary, target: Vocabulary, fitted: Mapping[str, Any]) -> None:
        """Put the fitted parts together.

        Args:
            config: the options.
            source: vocabulary of the sources.
            target: vocabulary of the targets; the same object where they share one.
            fitted: JSON values: `columns` of the training file, and what a subclass found out about the texts.
        """
        self.config, self.vocabulary, self.target_vocabulary, self.fitted = config, source, target, dict(fitted)
        self.columns = self.fitted.get("columns", {})
        style = _target_config(config)
        self.coder = PairCoder(source, target, copying=config.copying, pattern=style.pattern, lowercase=style.lowercase)
        self._searching = PairSearch(self.coder, config.search, replace_unknown=config.replace_unknown)
        self._rewarding: Rewarding | None = None
        counts = target.counts.astype(np.float64) + 0.5
        self.spec = TaskSpec(
            input_kind=InputKind.TOKENS,
            input_size=source.size,
            output_size=target.size,
            resolution=Resolution.TARGET,
            output_prior=tuple((counts / counts.sum()).tolist()),
            eos_index=target.eos_index,
        )

    # -- from files and back ----------------------------------------------------------------------------------------

    @classmethod
    def prepare(cls, config: Any, given: Preparation) -> Prepared:
        """Read the pairs, hold parts out, fit the vocabularies on the training part, encode."""
        _require_consistent(config)
        pairs, columns, notes = cls._read_splits(given.data, given.seed)
        fitted = given.fitted
        if fitted is not None:
            task = cls(config, fitted.vocabulary, fitted.target_vocabulary, {**fitted.fitted, "columns": columns})
        else:
            source, target = _fit_vocabularies(config, pairs.train)
            task = cls(config, source, target, {"columns": columns, **cls._examine(config, pairs.train)})
        train, dropped = task._encode_training(pairs.train)
        others = (task._encode_rows(rows) if rows else None for rows in pairs[1:])
        splits = Splits(train, *others)
        return Prepared(task=task, splits=splits, notes=(*notes, *dropped, *task._describe(splits)))

    @classmethod
    def from_files(cls, config: Any, files: Mapping[str, Any]) -> Self:
        """The task of a saved model."""
        fitted = files["pairs.json"]
        source = vocabulary_from_json(files["vocabulary.json"])
        target = source if fitted["shared"] else vocabulary_from_json(files["target_vocabulary.json"])
        return cls(config, source, target, {key: value for key, value in fitted.items() if key != "shared"})

    def files(self) -> dict[str, Any]:
        """The vocabularies, and what was found out about the texts."""
        shared = self.target_vocabulary is self.vocabulary
        found: dict[str, Any] = {"vocabulary.json": self.vocabulary.to_json()}
        if not shared:
            found["target_vocabulary.json"] = self.target_vocabulary.to_json()
        return {**found, "pairs.json": {"shared": shared, **self.fitted}}

    def stream(self, split: list[PairExample], options: StreamOptions) -> BucketedBatches:
        """Batches of sources of similar length."""
        return BucketedBatches(
            split,
            options.batch_size,
            self.coder.collate,
            seed=options.seed,
            shuffle=options.shuffle,
            shard=options.shard,
        )

    def read(self, paths: str | list[str], data: DataConfig) -> list[PairExample]:
        """Encode files with sources and targets; columns are those of the training file unless `data` names others."""
        read = read_pairs(paths, data, self.names, self.columns)
        examples = self._encode_rows(read.rows)
        if note := _cut_note(examples, self.config.max_length):
            logging.getLogger("recurra").warning("recurra: %s", note)
        return examples

    def encode(self, texts: list[str]) -> list[PairExample]:
        """Encode sources without targets."""
        require_texts(texts)
        return [self.coder.encode(text, None, str(n), self.config.max_length) for n, text in enumerate(texts)]

    def encode_labelled(self, texts: list[str], targets: list[str]) -> list[PairExample]:
        """Encode sources with targets."""
        require_texts(texts)
        require_texts(targets)
        if len(texts) != len(targets):
            raise DataError(f"{len(texts)} sources and {len(targets)} targets: one each is wanted.")
        rows = enumerate(zip(texts, targets, strict=True))
        return [self.coder.encode(text, target, str(n), self.config.max_length) for n, (text, target) in rows]

    def sizes(self, split: list[PairExample]) -> str:
        """Number of pairs."""
        return f"{len(split):,} pairs"

    # -- learning -----------------------------------------------------------------------------------------------------

    def loss(self, prediction: Any, batch: Batch) -> LossSum:
        """-log p of the targets, summed over tokens; with weights, summed over rows that are weighed."""
        target = batch.inputs.target
        mask = None if target.lengths is None else target.mask
        if batch.weights is None:
            return cross_entropy(prediction, batch.targets, mask, self.config.label_smoothing)
        rows = row_nats(prediction, batch)
        return LossSum((rows * batch.weights).sum(), torch.tensor(len(rows), device=rows.device))

    def act(self, model: Any, batch: Batch) -> Batch:
        """The batch to learn from: itself, or the model's own texts weighed by their rewards."""
        objective = self.config.objective
        if not isinstance(objective, RewardConfig) or batch.blank or not isinstance(batch, PairBatch):
            return batch
        # Not made before it is used: a saved model is of use without the reward that it was trained by.
        self._rewarding = self._rewarding or Rewarding(self._searching, objective)
        return self._rewarding.batch(model, batch)

    def search(self, model: Any, batch: Batch, *, quick: bool) -> ModelOutput:
        """Search for each row's text, and score the references."""
        assert isinstance(batch, PairBatch), "batches come from this task's streams"
        found = self._searching.search(model, batch, quick=quick)
        nats = None
        if all(row.reference is not None for row in batch.rows):
            nats = row_nats(model(batch.inputs).prediction, batch).tolist()
        return ModelOutput(Found(found, nats), None)

    # -- what a person reads ------------------------------------------------------------------------------------------

    def predict(self, prediction: Found, batch: Batch) -> list[Generated]:
        """Each row's text with its alternatives and the attention."""
        assert isinstance(batch, PairBatch), "batches come from this task's streams"
        nats: Sequence[float | None] = prediction.nats or [None] * len(batch.rows)
        rows = zip(prediction.hypotheses, nats, batch.rows, strict=True)
        return [self._searching.generated(found, value, row) for found, value, row in rows]

    def references(self, batch: Batch) -> list[str]:
        """Each row's reference, as it stands in the file."""
        assert isinstance(batch, PairBatch), "batches come from this task's streams"
        return [row.reference or "" for row in batch.rows]

    def readable(self, prediction: Generated) -> dict[str, Any]:
        """The text, its score, and the alternatives where there are any."""
        row: dict[str, Any] = {self.answer: prediction.text, "score": prediction.score}
        if prediction.alternatives:
            row["alternatives"] = [{self.answer: text, "score": score} for text, score in prediction.alternatives]
        if prediction.cut:
            row["note"] = f"the last {prediction.cut} tokens of the source were not read (task.max_length)"
        return row

    def brief(self, prediction: Generated) -> str:
        """The text."""
        return prediction.text

    def line(self, item: str, row: dict[str, Any]) -> str:
        """The text alone, in one line, so that the output is parallel to the input."""
        return " ".join(str(row[self.answer]).split())

    def picture(self, item: Any, prediction: Generated) -> Alignment | None:
        """The attention."""
        if prediction.attention is None:
            return None
        return Alignment(prediction.target_tokens, prediction.source_tokens, prediction.attention)

    def report(self, predictions: list[Generated], references: list[str]) -> dict[str, Any]:
        """Some sources with what was said and what was wanted."""
        rows = list(zip(predictions, references, strict=True))
        chosen = rows[:: max(1, len(rows) // _SHOWN)][:_SHOWN]
        return {"examples": [(prediction.source, prediction.text, wanted) for prediction, wanted in chosen]}

    def judge(self, split: list[PairExample], predictions: list[Generated], references: list[str]) -> Judged:
        """The score's terms; the loss is what a text lacks to its best score by itself."""
        terms, alone = self.scores().terms([p.text for p in predictions], references)
        return Judged(
            predictions=predictions,
            references=references,
            terms=terms,
            figure=self.scores().figure,
            losses=1 - alone,
            lengths=np.array([len(example.tokens) - 1 for example in split]),
            ids=tuple(example.id for example in split),
            shown=lambda place: (predictions[place].source, predictions[place].text, references[place]),
        )

    @property
    def compared(self) -> tuple[str, Literal["min", "max"]]:
        """The task's score, which those that learn from no reward have as well."""
        return self.score, "max"

    @property
    def monitor(self) -> tuple[str, Literal["min", "max"]]:
        """The task's score, or the reward that it learns from."""
        return ("reward" if isinstance(self.config.objective, RewardConfig) else self.score), "max"

    def metrics(self) -> Metrics:
        """A fresh collector."""
        objective = self.config.objective
        if not isinstance(objective, RewardConfig):
            return self.scores()
        try:
            return RewardMetrics(self.scores(), reward_of(objective.reward))
        except ConfigError:  # a saved model, away from the module of its reward
            return self.scores()

    @abstractmethod
    def scores(self) -> TextScores:
        """A fresh collector of the task's own metrics."""

    @abstractmethod
    def baselines(self, train: list[PairExample], evaluated: list[PairExample]) -> dict[str, dict[str, float]]:
        """Metrics of cheap models fitted on `train`, measured on `evaluated`, by name."""

    # -- parts --------------------------------------------------------------------------------------------------------

    @classmethod
    def _examine(cls, config: Any, rows: Sequence[TextPair]) -> dict[str, Any]:
        """JSON values found out about the training texts."""
        return {}

    def _describe(self, splits: Splits[Any]) -> list[str]:
        """Sentences on what was prepared."""
        held = ", ".join(
            f"{name} {self.sizes(part)}" for name, part in zip(Splits._fields, splits, strict=True) if part
        )
        sizes = f"{self.vocabulary.kind} vocabulary of {self.vocabulary.size}, shared"
        if self.target_vocabulary is not self.vocabulary:
            target = self.target_vocabulary
            sizes = f"{self.vocabulary.kind} vocabulary of {self.vocabulary.size} for sources, "
            sizes += f"{target.kind} vocabulary of {target.size} for targets"
        notes = [_cut_note(part, self.config.max_length, name) for name, part in splits._asdict().items() if part]
        return [*filter(None, notes), f"{sizes}; {held}"]

    @classmethod
    def _read_splits(cls, data: DataConfig, seed: int) -> tuple[Splits[list[TextPair]], dict[str, str], list[str]]:
        if data.train is None:
            raise ConfigError(
                "no training data: give --data.train=[SOURCE,TARGET], two text files line by line, or a CSV, TSV or "
                "JSONL file with two columns."
            )
        read = read_pairs(data.train, data, cls.names, {})
        own: dict[str, TextPairs] = {
            name: read_pairs(paths, data, cls.names, read.columns)
            for name, paths in (("valid", data.valid), ("test", data.test))
            if paths is not None
        }
        held = split_records(
            read.rows,  # type: ignore[arg-type]
            0.0 if "valid" in own else data.valid_fraction,
            0.0 if "test" in own else data.test_fraction,
            seed=seed,
        )
        parts = held._asdict() | {name: pairs.rows for name, pairs in own.items()}
        notes = list(dict.fromkeys([*read.notes, *(note for pairs in own.values() for note in pairs.notes)]))
        if data.valid is None and data.valid_fraction > 0:
            notes.append(f"{len(held.valid):,} of the training pairs are held out at random for validation")
        return Splits(**parts), read.columns, notes

    def _encode_rows(self, rows: Sequence[TextPair]) -> list[PairExample]:
        return [self.coder.encode(row.source, row.target, row.id, self.config.max_length) for row in rows]

    def _encode_training(self, rows: Sequence[TextPair]) -> tuple[list[PairExample], list[str]]:
        """The training pairs; those that are too long are dropped or cut, and counted."""
        limit = self.config.search.max_length - 1
        examples = self._encode_rows(rows)
        long = [example.cut > 0 or len(example.target) > limit for example in examples]
        if not any(long):
            return examples, []
        what = f"longer than task.max_length={self.config.max_length} or task.search.max_length={limit + 1}"
        if self.config.too_long == "drop":
            kept = [example for example, is_long in zip(examples, long, strict=True) if not is_long]
            if not kept:
                raise DataError(f"all {len(rows):,} training pairs are {what}. Raise these, or set task.too_long=cut.")
            return kept, [f"{sum(long):,} of {len(rows):,} training pairs were dropped: {what}"]
        cut = [
            example._replace(target=example.target[:limit], ended=len(example.target) <= limit) for example in examples
        ]
        return cut, [f"{sum(long):,} of {len(rows):,} training pairs were cut: {what}"]


def _cut_note(examples: Sequence[PairExample], limit: int, name: str = "") -> str:
    cut = [example for example in examples if example.cut]
    where = f"{name}: " if name else ""
    return f"{where}{len(cut):,} sources were cut to task.max_length={limit} tokens" if cut and name != "train" else ""


def _target_config(config: Any) -> VocabularyConfig:
    found: VocabularyConfig = config.target_vocabulary or config.vocabulary
    return found


def _require_consistent(config: Any) -> None:
    if (config.shared_vocabulary or config.copying) and config.target_vocabulary is not None:
        raise ConfigError("`task.target_vocabulary`: with copying or a shared vocabulary there is one; leave it away.")
    if isinstance(config.objective, RewardConfig):
        reward_of(config.objective.reward)


def _fit_vocabularies(config: Any, rows: Sequence[TextPair]) -> tuple[Vocabulary, Vocabulary]:
    if config.shared_vocabulary or config.copying:
        both = fit_vocabulary(config.vocabulary, [text for row in rows for text in (row.source, row.target)])
        return both, both
    source = fit_vocabulary(config.vocabulary, [row.source for row in rows])
    return source, fit_vocabulary(_target_config(config), [row.target for row in rows])
