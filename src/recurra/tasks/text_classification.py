"""Text classification: one label, or several, for each text.

Worked example: the row {"text": "good room", "label": "1"} becomes the tokens [1, 17, 5, 1] (eos on both
sides, as in language modelling) and the target 1 (the index of
"1" among the labels); the model gives logits (2,), the loss is -log softmax(logits)[1]. With `multi_label` the target
is a row of zeros and ones, and each label has a sigmoid of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from recurra.baselines import classification_baselines
from recurra.core.batch import Batch, InputKind, LossSum, Metrics, OutputKind, Resolution, TaskSpec
from recurra.core.config import Config
from recurra.core.errors import ConfigError, DataError
from recurra.data import (
    BucketedBatches,
    ColumnChoice,
    DataConfig,
    Example,
    Labels,
    Record,
    Records,
    Splits,
    TextAugmentConfig,
    Vocabulary,
    VocabularyConfig,
    choose_columns,
    fit_labels,
    fit_vocabulary,
    read_records,
    smoothed_shares,
    split_records,
    usable_rows,
    vocabulary_from_json,
)
from recurra.losses import binary_cross_entropy, cross_entropy
from recurra.metrics import (
    ClassificationMetrics,
    Classified,
    MultiClassified,
    MultiLabelMetrics,
)
from recurra.tasks.base import Preparation, Prepared, StreamOptions, TextItems, extend, require_texts
from recurra.tasks.figures import class_tables, figures_of
from recurra.tasks.judging import Judged, f1_figure, judge_labels, nats_of
from recurra.tasks.whole_series import each_member


class TextClassificationConfig(Config):
    """Options of text classification."""

    kind: Literal["text-classification"] = "text-classification"
    vocabulary: VocabularyConfig = VocabularyConfig(kind="word", lowercase=True, min_frequency=2)
    max_length: int = Field(400, ge=1, description="longer texts are cut to so many tokens (half from each end)")
    multi_label: bool = Field(False, description="several labels a text, joined by label_separator")
    label_separator: str = Field(",", min_length=1)
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    class_weights: Literal["none", "balanced"] = Field("none", description="balanced: rare classes count more")
    augmentation: TextAugmentConfig = TextAugmentConfig()


class TextClassification(TextItems):
    """The task over a fitted vocabulary and labels."""

    Config: ClassVar[type[Config]] = TextClassificationConfig
    usage = 'print(model.predict(["a text"]), model.predict_proba(["a text"]))'

    def __init__(
        self,
        config: TextClassificationConfig,
        vocabulary: Vocabulary,
        labels: Labels,
        frequencies: np.ndarray,
        columns: Mapping[str, Any],
    ) -> None:
        """Put the fitted parts together.

        Args:
            config: the options.
            vocabulary: of the texts.
            labels: class names.
            frequencies: (O,) how often each label occurs in the training split.
            columns: {"text": "title+body", "label": "class"}: what a file of the same kind calls them.
        """
        self.config, self.vocabulary, self.labels, self.columns = config, vocabulary, labels, dict(columns)
        self.frequencies = np.asarray(frequencies, dtype=np.float64)
        share = smoothed_shares(self.frequencies)
        self.spec = TaskSpec(
            input_kind=InputKind.TOKENS,
            input_size=vocabulary.size,
            output_size=len(labels),
            resolution=Resolution.SEQUENCE,
            output_prior=None if config.multi_label else tuple(share.tolist()),
            output_kind=OutputKind.LABELS if config.multi_label else OutputKind.CLASSES,
        )
        self._weights: Tensor | None = None
        if config.class_weights == "balanced":
            if config.multi_label:
                raise ConfigError("`task.class_weights`: balanced is for one label a text; set none with multi_label.")
            self._weights = torch.tensor(1 / (share * len(labels)), dtype=torch.float32)

    @property
    def monitor(self) -> tuple[str, Literal["min", "max"]]:
        """Accuracy, or micro F1 where a text has several labels."""
        return ("micro_f1", "max") if self.config.multi_label else ("accuracy", "max")

    @classmethod
    def prepare(cls, config: TextClassificationConfig, given: Preparation) -> Prepared:
        """Read the rows, hold parts out, fit labels and vocabulary on the training part, encode."""
        rows, choice, notes = _read_splits(given.data, given.seed)
        names = [_split_label(choice.label_of(row), config) for row in rows.train]
        texts = [choice.text_of(row) for row in rows.train]
        labels = fit_labels(name for row in names for name in row) if given.fitted is None else given.fitted.labels
        known = given.pretrained if given.fitted is None else given.fitted.vocabulary
        if known is None:
            vocabulary = fit_vocabulary(config.vocabulary, texts)
        else:
            vocabulary, added = extend(known, texts, given.new_words)
            notes = (*notes, *added)
        counts = np.zeros(len(labels))
        for row, given_names in zip(rows.train, names, strict=True):
            for name in given_names:
                counts[labels.index(name, row.where)] += 1
        columns = {"text": choice.text_column, "label": choice.label}
        task = cls(config, vocabulary, labels, counts, columns)
        splits = Splits(*(task._encode_rows(part, choice) if part else None for part in rows))
        named = zip(Splits._fields, splits, strict=True)
        held = ", ".join(f"{name} {task.sizes(part)}" for name, part in named if part)
        shown = ", ".join(labels.names[:12]) + (", ..." if len(labels) > 12 else "")
        notes = (*notes, f"{len(labels)} labels: {shown}", f"{vocabulary.kind} vocabulary of {vocabulary.size}; {held}")
        return Prepared(task=task, splits=splits, notes=notes)

    @classmethod
    def from_files(cls, config: TextClassificationConfig, files: Mapping[str, Any]) -> TextClassification:
        """The task of a saved model."""
        stored = files["labels.json"]
        vocabulary = vocabulary_from_json(files["vocabulary.json"])
        return cls(config, vocabulary, Labels(stored["names"]), np.array(stored["counts"]), stored["columns"])

    def files(self) -> dict[str, Any]:
        """Vocabulary, labels and column names."""
        labels = {"names": list(self.labels.names), "counts": self.frequencies.tolist(), "columns": self.columns}
        return {"vocabulary.json": self.vocabulary.to_json(), "labels.json": labels}

    def stream(self, split: list[Example], options: StreamOptions) -> BucketedBatches:
        """Batches of texts of similar length."""
        augment = None
        if options.shuffle and self.config.augmentation.is_active():
            augment = self.config.augmentation.build(options.seed, self.vocabulary.unk_index)
        return BucketedBatches(
            split,
            options.batch_size,
            seed=options.seed,
            shuffle=options.shuffle,
            augment=augment,
            shard=options.shard,
        )

    def read(self, paths: str | list[str], data: DataConfig) -> list[Example]:
        """Encode labelled files; columns are those of the training file unless `data` names others."""
        records = read_records(paths, data)
        choice = choose_columns(
            records,
            self._column("text", records) if data.text_column is None else data.text_column,
            self._column("label", records) if data.label_column is None else data.label_column,
        )
        return self._encode_rows(usable_rows(records, choice, data.skip_bad_rows).rows, choice)

    def encode(self, texts: list[str]) -> list[Example]:
        """Encode texts; the target is a placeholder that nothing reads."""
        require_texts(texts)
        blank: Any = [0.0] * len(self.labels) if self.config.multi_label else 0
        return [Example(self._encode_text(text), blank, str(number)) for number, text in enumerate(texts)]

    def encode_labelled(self, texts: list[str], labels: list[Any]) -> list[Example]:
        """Encode texts with labels: names, or lists of names where a text has several."""
        require_texts(texts)
        if len(labels) != len(texts):
            raise DataError(f"{len(texts)} texts and {len(labels)} labels: one each is wanted.")
        rows = zip(texts, labels, strict=True)
        return [
            Example(self._encode_text(text), self._target(_as_names(label), f"text {n}"), str(n))
            for n, (text, label) in enumerate(rows)
        ]

    def loss(self, prediction: Tensor, batch: Batch) -> LossSum:
        """Cross-entropy, or binary cross-entropy of each label; of each reader, where several answer in training."""
        logits, targets = each_member(prediction, batch.targets)
        if self.config.multi_label:
            smoothing = self.config.label_smoothing  # towards "as likely as not", for each label by itself
            return binary_cross_entropy(logits, targets * (1 - smoothing) + smoothing / 2)
        if self._weights is None:
            return cross_entropy(logits, targets, None, self.config.label_smoothing)
        weights = self._weights.to(logits.device)
        total = torch.nn.functional.cross_entropy(
            logits.float(), targets, weights, reduction="sum", label_smoothing=self.config.label_smoothing
        )
        return LossSum(total, weights[targets].sum())

    def predict(self, prediction: Tensor, batch: Batch) -> list[Classified | MultiClassified]:
        """Each row's label (or labels), with the probabilities of all."""
        logits = prediction.detach().float()
        return self._named((logits.sigmoid() if self.config.multi_label else logits.softmax(-1)).cpu().numpy())

    def references(self, batch: Batch) -> list[Any]:
        """Each row's label, or labels."""
        return self._true_names(batch.targets.cpu().numpy())

    def metrics(self) -> Metrics:
        """A fresh collector."""
        return (MultiLabelMetrics if self.config.multi_label else ClassificationMetrics)(self.labels.names)

    def readable(self, prediction: Classified | MultiClassified) -> dict[str, Any]:
        """The label (or labels) and the probability of each."""
        probabilities = dict(zip(self.labels.names, map(float, prediction.probs), strict=True))
        if isinstance(prediction, MultiClassified):
            return {"labels": list(prediction.labels), "probabilities": probabilities}
        chosen = prediction.label
        return {"label": chosen, "probability": probabilities[chosen], "probabilities": probabilities}

    def brief(self, prediction: Classified | MultiClassified) -> Any:
        """The label, or the list of labels."""
        return list(prediction.labels) if isinstance(prediction, MultiClassified) else prediction.label

    def line(self, item: str, row: dict[str, Any]) -> str:
        """Label and probability (or the labels), then the text."""
        answer = [",".join(row["labels"])] if "labels" in row else [row["label"], f"{row['probability']:.4f}"]
        return "\t".join([*answer, " ".join(item.split())])

    def report(self, predictions: list[Any], references: list[Any]) -> dict[str, Any]:
        """Confusion matrix and per-class table."""
        if self.config.multi_label:
            return {}
        return class_tables([p.label for p in predictions], references, self.labels.names)

    def judge(self, split: list[Example], predictions: list[Any], references: list[Any]) -> Judged:
        """Right or wrong, and -log of the probability of the right label (or of all labels that hold or do not)."""
        index = {name: number for number, name in enumerate(self.labels.names)}
        if not self.config.multi_label:
            answers = [
                (p.label, float(p.probs[index[p.label]]), float(p.probs[index[right]]))
                for p, right in zip(predictions, references, strict=True)
            ]
            return judge_labels(
                predictions,
                references,
                answers,
                split,
                [len(example.tokens) - 2 for example in split],
                lambda place: self._read_text(split[place]),
            )
        given, wanted = (
            np.array([[name in row for name in index] for row in rows], dtype=bool).reshape(-1, len(index))
            for rows in ([p.labels for p in predictions], references)
        )
        probs = np.array([p.probs for p in predictions]).reshape(wanted.shape)
        return Judged(
            predictions=predictions,
            references=references,
            terms=np.stack([(given & wanted).sum(1), given.sum(1), wanted.sum(1)], axis=1).astype(np.float64),
            figure=f1_figure,
            losses=nats_of(np.where(wanted, probs, 1 - probs).ravel()).reshape(wanted.shape).sum(1),
            lengths=np.array([len(example.tokens) - 2 for example in split]),
            ids=tuple(example.id for example in split),
            shown=lambda place: (
                self._read_text(split[place]),
                ", ".join(predictions[place].labels) or "-",
                ", ".join(references[place]) or "-",
            ),
            marks={"label": [tuple(row) or ("-",) for row in references]},
        )

    def baselines(self, train: list[Example], evaluated: list[Example]) -> dict[str, dict[str, float]]:
        """Majority class, naive Bayes and logistic regression on the same tokens."""
        probs = classification_baselines(
            [example.tokens for example in train],
            np.array([example.target for example in train]),
            [example.tokens for example in evaluated],
            len(self.labels),
        )
        references = self._true_names([e.target for e in evaluated])
        return figures_of({name: self._named(table) for name, table in probs.items()}, references, self.metrics)

    def sizes(self, split: list[Example]) -> str:
        """Number of texts."""
        return f"{len(split):,} texts"

    def _encode_rows(self, rows: list[Record], choice: ColumnChoice) -> list[Example]:
        examples = []
        for row in rows:
            names = _split_label(choice.label_of(row), self.config)
            examples.append(Example(self._encode_text(choice.text_of(row)), self._target(names, row.where), row.id))
        return examples

    def _encode_text(self, text: str) -> np.ndarray:
        """The tokens between two eos, as a language model sees a document; a long text loses its middle."""
        tokens = self.vocabulary.encode_array(text)
        if len(tokens) > self.config.max_length:
            tail = self.config.max_length // 2
            tokens = np.concatenate([tokens[: self.config.max_length - tail], tokens[len(tokens) - tail :]])
        return np.pad(tokens, 1, constant_values=self.vocabulary.eos_index)

    def _read_text(self, example: Example) -> str:
        """The text as the model reads it."""
        return self.vocabulary.decode(np.asarray(example.tokens)[1:-1].tolist())

    def _target(self, names: list[str], where: str) -> Any:
        if not self.config.multi_label:
            return self.labels.index(names[0], where)
        target = np.zeros(len(self.labels), dtype=np.float32)
        for name in names:
            target[self.labels.index(name, where)] = 1
        return target

    def _named(self, probs: np.ndarray) -> list[Classified | MultiClassified]:
        """Rows of probabilities with the names that they stand for."""
        names = self.labels.names
        if self.config.multi_label:
            chosen = [tuple(n for n, p in zip(names, row, strict=True) if p >= 0.5) for row in probs]
            return [MultiClassified(labels, row) for labels, row in zip(chosen, probs, strict=True)]
        return [Classified(names[int(row.argmax())], row) for row in probs]

    def _true_names(self, targets: Any) -> list[Any]:
        names = self.labels.names
        if self.config.multi_label:
            return [tuple(n for n, held in zip(names, row, strict=True) if held) for row in targets]
        return [names[int(target)] for target in targets]

    def _column(self, what: str, records: Records) -> str:
        """The name of the text or label column in the training file, if other files have it too."""
        name: str = self.columns[what]
        if name not in records.columns and not set(name.split("+")) <= set(records.columns):
            raise DataError(
                f"{records.source}: no column {name!r}, which held the {what} in training; its columns are "
                f"{', '.join(records.columns)}. Pass --data.{what}_column=NAME."
            )
        return name


def _split_label(raw: str, config: TextClassificationConfig) -> list[str]:
    if not config.multi_label:
        return [raw.strip()]
    parts = raw.replace("\n", config.label_separator).split(config.label_separator)
    return [part.strip() for part in parts if part.strip()]


def _as_names(label: Any) -> list[str]:
    return [str(part) for part in label] if isinstance(label, list | tuple | set) else [str(label)]


def _read_splits(data: DataConfig, seed: int) -> tuple[Splits[Any], ColumnChoice, tuple[str, ...]]:
    """The rows of each split, from files of its own or held out of the training files."""
    if data.train is None:
        raise ConfigError("no training data: give --data.train FILE (CSV, TSV or JSONL with text and label columns).")
    records = read_records(data.train, data)
    choice = choose_columns(records, data.text_column, data.label_column)
    usable = usable_rows(records, choice, data.skip_bad_rows)
    held = split_records(
        usable.rows,
        0.0 if data.valid is not None else data.valid_fraction,
        0.0 if data.test is not None else data.test_fraction,
        seed=seed,
        label_of=choice.label_of,
    )
    notes = [*usable.notes, choice.sentence]
    parts = {"train": held.train, "valid": held.valid, "test": held.test}
    for name, paths in (("valid", data.valid), ("test", data.test)):
        if paths is None:
            continue
        own = read_records(paths, data)
        if not set((*choice.text, choice.label)) <= set(own.columns):
            raise DataError(
                f"{own.source}: its columns are {', '.join(own.columns)}; {choice.text_column} and {choice.label} are "
                "wanted, as in the training file. Rename them, or check data.header."
            )
        part = usable_rows(own, choice, data.skip_bad_rows)
        parts[name] = part.rows
        notes += [note for note in part.notes if note not in notes]
    if data.valid is None and data.valid_fraction > 0:
        notes.append(f"{len(held.valid):,} of the training rows are held out at random for validation")
    return Splits(**parts), choice, tuple(notes)
