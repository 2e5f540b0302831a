"""Tagging: a tag for each word of a sentence; part of speech, or spans such as names, written as tags.

Worked example: the sentence "Ada Lovelace wrote" with the tags B-PER I-PER O (BIO) is learnt as B-PER E-PER O (BIOES),
targets [1, 3, 0] among O B-PER I-PER E-PER S-PER; the model gives a score (3, 5) for each word and tag and, with a CRF,
for each pair of neighbouring tags; the loss is -log p([1, 3, 0]). Predictions are written as the training file is: BIO.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from pydantic import Field

from recurra.baselines.tagging import LinearTagger, most_frequent_tags, span_lookup
from recurra.core.batch import Batch, InputKind, LossSum, Resolution, TaskSpec
from recurra.core.config import Config
from recurra.core.errors import DataError
from recurra.data import (
    BucketedBatches,
    DataConfig,
    Records,
    Splits,
    VocabularyConfig,
    read_records,
    vocabulary_from_json,
)
from recurra.data.readers.decoding import read_lines
from recurra.data.readers.reading import format_of
from recurra.data.sentences import Sentence, choose_word_columns, cut_long, read_sentence_splits, read_sentences
from recurra.data.vocabularies.words import join_words
from recurra.data.words import EncodedWords, Lexicon, cut_words
from recurra.layers import TagScores
from recurra.metrics import Scheme, Span, Tagged, TaggedSpan, TagMetrics, confusion_matrix, spans_of, tags_of
from recurra.tasks.base import Preparation, Prepared, StreamOptions, TextItems
from recurra.tasks.figures import figures_of
from recurra.tasks.judging import Judged, f1_figure, mean_figure
from recurra.tasks.tag_chances import Chances, readable_span
from recurra.tasks.tag_sets import LearnedScheme, TagSet

_PLAIN_ENDINGS = (".txt", ".text", ".md")
_RAW_NAMES = ("text", "sentence")
_MOST_SHOWN_TAGS = 40


class TaggingConfig(Config):
    """Options of tagging."""

    kind: Literal["tagging"] = "tagging"
    vocabulary: VocabularyConfig = VocabularyConfig(kind="word", lowercase=True, pattern="zero-digits")
    characters: VocabularyConfig | None = Field(VocabularyConfig(kind="char"), description="of spellings; none: none")
    max_spelling: int = Field(30, ge=2, description="longer words are spelt by so many characters, half from each end")
    singleton_dropout: float = Field(
        0.5, ge=0, le=1, description="chance in training that a word which occurs once is read as the unknown word"
    )
    word_dropout: float = Field(0.0, ge=0, lt=1, description="the same of any word")
    scheme: Literal["auto", "none"] | Scheme = Field("auto", description="how tags write spans; none: they do not")
    learned_scheme: LearnedScheme = Field("BIOES", description="how the model learns spans")
    max_length: int = Field(200, ge=1, description="longer sentences are trained on in parts; predicted whole always")
    strip_segmentation: bool = Field(
        False, description="take the last digit off each word of a file (Weibo NER: 科0 技1); not off raw text"
    )
    raw_words: Literal["auto", "words", "characters"] = Field(
        "auto", description="how raw text is cut; auto: into characters where all training words are single ones"
    )


class TaggedExample(NamedTuple):
    """One encoded sentence.

    Attributes:
        tokens: (T,) word indices.
        target: (T,) tag indices; zeros where the tags are not known.
        id: the record's.
        encoded: what the model reads.
        text: the raw line that the words were cut from, or None.
        offsets: where each word stands in it.
    """

    tokens: np.ndarray
    target: np.ndarray
    id: str
    encoded: EncodedWords
    text: str | None = None
    offsets: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class TaggingBatch(Batch):
    """A batch that knows its sentences.

    Attributes:
        sentences: one a row.
    """

    sentences: tuple[TaggedExample, ...] = ()


class Tagging(TextItems):
    """The task over fitted vocabularies and tags."""

    Config: ClassVar[type[Config]] = TaggingConfig

    def __init__(self, config: TaggingConfig, lexicon: Lexicon, tags: TagSet, columns: Mapping[str, Any]) -> None:
        """Put the fitted parts together.

        Args:
            config: the options.
            lexicon: vocabularies of words, characters and a language model's text.
            tags: what is told apart.
            columns: {"text": "form", "label": "upos", "characters": False}: what a file of the same kind calls them,
                and whether raw text is cut into characters.
        """
        self.config, self.lexicon, self.tags, self.columns = config, lexicon, tags, dict(columns)
        self.vocabulary = lexicon.words
        self.labels = tags.labels
        self.spec = TaskSpec(
            input_kind=InputKind.TOKENS,
            input_size=lexicon.words.size,
            output_size=len(tags),
            resolution=Resolution.STEP,
            output_prior=tags.prior,
            character_size=0 if lexicon.characters is None else lexicon.characters.size,
            text_size=0 if lexicon.text is None else lexicon.text.size,
            forbidden=tags.forbidden,
        )
        counts = lexicon.words.counts
        self._forgotten = np.where(counts == 1, max(config.singleton_dropout, config.word_dropout), config.word_dropout)

    @property
    def monitor(self) -> tuple[str, Literal["min", "max"]]:
        """F1 of spans, or accuracy where tags write none."""
        return ("accuracy" if self.tags.scheme is None else "f1"), "max"

    @classmethod
    def prepare(cls, config: TaggingConfig, given: Preparation) -> Prepared:
        """Read the sentences, hold parts out, fit tags and vocabularies on the training part, encode."""
        parts, choice, notes = read_sentence_splits(given.data, given.seed, config.strip_segmentation)
        train, cut = cut_long(parts.train, config.max_length)
        parts, notes = parts._replace(train=train), [*notes, *cut]
        if given.fitted is not None:
            task = cls(config, given.fitted.lexicon, given.fitted.tags, given.fitted.columns)
        else:
            sentences = [sentence.words for sentence in train]
            apart = (*(() if given.data.valid else parts.valid), *(() if given.data.test else parts.test))
            own, others = ([one.tags for one in part] for part in (train, apart))
            tags, note = TagSet.fit(own, config.scheme, config.learned_scheme, others)
            notes.append(f"{len(tags)} tags: {note}")
            single = all(len(word) == 1 for words in sentences for word in words)
            cuts = single if config.raw_words == "auto" else config.raw_words == "characters"
            columns = {"text": choice.text_column, "label": choice.label, "characters": cuts}
            lexicon = Lexicon.fit(
                sentences, config.vocabulary, config.characters, given.pretrained, config.max_spelling
            )
            task = cls(config, lexicon, tags, columns)
        splits = Splits(*(task._encode_sentences(part, given.data, notes) or None for part in parts))
        held = ", ".join(
            f"{name} {task.sizes(part)}" for name, part in zip(Splits._fields, splits, strict=True) if part
        )
        notes.append(f"vocabulary of {task.vocabulary.size:,} words; {held}")
        return Prepared(task=task, splits=splits, notes=tuple(notes))

    @classmethod
    def from_files(cls, config: TaggingConfig, files: Mapping[str, Any]) -> Tagging:
        """The task of a saved model."""
        stored = files["labels.json"]
        text = vocabulary_from_json(files["text-vocabulary.json"]) if stored["reads_text"] else None
        lexicon = Lexicon.from_json(files["vocabulary.json"], text)
        return cls(config, lexicon, TagSet.from_json(stored["tags"]), stored["columns"])

    def files(self) -> dict[str, Any]:
        """Vocabularies, tags and column names."""
        text = self.lexicon.text
        stored = {"tags": self.tags.to_json(), "columns": self.columns, "reads_text": text is not None}
        files = {"vocabulary.json": self.lexicon.to_json(), "labels.json": stored}
        return files if text is None else {**files, "text-vocabulary.json": text.to_json()}

    def stream(self, split: list[TaggedExample], options: StreamOptions) -> BucketedBatches:
        """Batches of sentences of similar length; in training some words are read as unknown."""
        augment: Any = None
        if options.shuffle and self._forgotten.any():

            def augment(example: TaggedExample, epoch: int, index: int) -> TaggedExample:
                rng = np.random.default_rng([options.seed, epoch, index])
                encoded = self.lexicon.forget_rare(example.encoded, self._forgotten, rng)
                return example._replace(encoded=encoded, tokens=encoded.indices)

        return BucketedBatches(
            split,  # type: ignore[arg-type]
            options.batch_size,
            self.collate,  # type: ignore[arg-type]
            seed=options.seed,
            shuffle=options.shuffle,
            augment=augment,
            shard=options.shard,
        )

    def collate(self, examples: Sequence[TaggedExample]) -> TaggingBatch:
        """Pad sentences into one batch; targets (B, T), 0 on padding."""
        inputs = self.lexicon.pad([example.encoded for example in examples])
        targets = torch.zeros(inputs.words.data.shape, dtype=torch.int64)
        for row, example in zip(targets, examples, strict=True):
            row[: len(example.target)] = torch.from_numpy(example.target)
        ids = tuple(example.id for example in examples)
        return TaggingBatch(inputs, targets, ids, sentences=tuple(examples))

    def read(self, paths: str | list[str], data: DataConfig) -> list[TaggedExample]:
        """Encode tagged files; columns are those of the training file, or usual ones, unless `data` names others."""
        records = read_records(paths, data, plain="conll")
        words = self._column("text", records) if data.text_column is None else data.text_column
        tags = self._column("label", records) if data.label_column is None else data.label_column
        choice = choose_word_columns(records, words, tags)
        sentences, _ = read_sentences(records, choice, data.skip_bad_rows, self.config.strip_segmentation)
        return self._encode_sentences(sentences, data, [])

    def item(self, line: str) -> Any:
        """A raw line; JSON lists of words are sentences that are cut already."""
        if line.startswith("["):
            try:
                words = json.loads(line)
            except ValueError:
                return line
            if isinstance(words, list) and all(isinstance(word, str) for word in words):
                return words
        return line

    def items(self, paths: str | list[str], data: DataConfig) -> Iterator[Any]:
        """Each line of a text file, or the words of each sentence of other files.

        A column named text or sentence holds raw text, unless it held the words in training.
        """
        single = paths if isinstance(paths, str) else paths[0] if len(paths) == 1 else None
        if single is not None and format_of(Path(single), data) == "text":
            name = Path(single.lower().removesuffix(".gz"))
            if data.format == "text" or name.suffix in ("", *_PLAIN_ENDINGS):
                return (self.item(line) for line in read_lines(Path(single), data.encoding))
        records = read_records(paths, data, plain="conll")
        words = self._column("text", records) if data.text_column is None else data.text_column
        choice = choose_word_columns(records, words, None, want_tags=False)
        if choice.text_column in _RAW_NAMES and choice.text_column != self.columns["text"]:
            return (choice.text_of(record) for record in records)
        sentences, _ = read_sentences(records, choice, data.skip_bad_rows, self.config.strip_segmentation)
        return (list(sentence.words) for sentence in sentences)

    def encode(self, items: list[Any]) -> list[TaggedExample]:
        """Encode raw lines (str) or sentences that are cut already (lists of words)."""
        return [self._encode_item(item, number) for number, item in enumerate(items)]

    def encode_labelled(self, items: list[Any], targets: list[Any]) -> list[TaggedExample]:
        """Encode sentences with their tags, one a word.

        Raises:
            DataError: not as many tags as words, or a tag that is not known.
        """
        examples = []
        for number, (example, tags) in enumerate(zip(self.encode(items), targets, strict=True)):
            if len(tags) != len(example.tokens):
                raise DataError(
                    f"sentence {number}: {len(example.tokens)} words and {len(tags)} tags: one tag a word is wanted. "
                    "Give lists of words, so that nothing is cut."
                )
            examples.append(example._replace(target=self.tags.encode(list(map(str, tags)), f"sentence {number}")))
        return examples

    def loss(self, prediction: TagScores, batch: Batch) -> LossSum:
        """-log p of each sentence's tags, in nats; counted by words."""
        likely = prediction.log_likelihood(batch.targets)
        if batch.weights is not None:
            likely = likely * batch.weights
        return LossSum(-likely.sum(), prediction.emissions.mask.sum())

    def predict(self, prediction: TagScores, batch: Batch) -> list[Tagged]:
        """Each sentence's likeliest tags, with the probabilities of tags and spans."""
        assert isinstance(batch, TaggingBatch)
        best = prediction.best()
        posterior = prediction.posterior()
        chances = Chances(posterior.marginals.cpu().numpy(), posterior.links(best, best).cpu().numpy())
        if (inner := self.tags.inner) is not None:
            following = torch.from_numpy(inner).to(best.device)[best].roll(1, 1)
            chances = chances._replace(goes_on=posterior.links(best, following).cpu().numpy())
        tagged = zip(batch.sentences, best.cpu().numpy(), strict=True)
        return [self._tagged(one, tags[: len(one.tokens)], chances.row(row)) for row, (one, tags) in enumerate(tagged)]

    def references(self, batch: Batch) -> list[list[str]]:
        """Each sentence's tags as files have them."""
        assert isinstance(batch, TaggingBatch)
        return [list(self.tags.decode(sentence.target.tolist())[0]) for sentence in batch.sentences]

    def metrics(self) -> TagMetrics:
        """A fresh collector."""
        return TagMetrics(spans=self.tags.scheme is not None)

    def asked(self, item: Any) -> dict[str, Any]:
        """{"text": raw line} or {"words": [...]}."""
        return {"text": item} if isinstance(item, str) else {"words": list(item)}

    def readable(self, prediction: Tagged) -> dict[str, Any]:
        """Words, tags, probabilities and, where tags write spans, the spans with their text and place.

        `start` and `end` count words; `first` and `last` characters of a raw line, the latter after the span's last.
        """
        row: dict[str, Any] = {
            "words": list(prediction.words),
            "tags": list(prediction.tags),
            "probabilities": list(prediction.probabilities),
        }
        if prediction.text is not None:
            row["offsets"] = [list(place) for place in prediction.offsets]
        if self.tags.scheme is not None:
            row["spans"] = [readable_span(span, prediction) for span in prediction.spans]
        return row

    def brief(self, prediction: Tagged) -> list[str]:
        """The tags."""
        return list(prediction.tags)

    def line(self, item: Any, row: dict[str, Any]) -> str:
        """The words with their tags (From/ADP the/DET), or with marked spans ([Ada Lovelace]PER wrote)."""
        words = row["words"]
        if "spans" not in row:
            return " ".join(f"{word}/{tag}" for word, tag in zip(words, row["tags"], strict=True))
        parts, done = [], 0
        if isinstance(item, str):
            for span in row["spans"]:
                parts += [item[done : span["first"]], f"[{span['text']}]{span['type']}"]
                done = span["last"]
            return "".join([*parts, item[done:]])
        for span in row["spans"]:
            inside = join_words(words[span["start"] : span["end"]]).strip()
            parts += [*words[done : span["start"]], f"[{inside}]{span['type']}"]
            done = span["end"]
        return join_words([*parts, *words[done:]]).strip()

    def report(self, predictions: list[Tagged], references: list[list[str]]) -> dict[str, Any]:
        """Figures by type or tag and, where tags write no spans, a confusion matrix."""
        metrics = self.metrics()
        metrics.update(predictions, references)
        tables: dict[str, Any] = {"classes": metrics.by_type()}
        if self.tags.scheme is None and len(self.tags) <= _MOST_SHOWN_TAGS:
            index = {name: number for number, name in enumerate(self.labels.names)}
            given, wanted = (
                [index[tag] for row in rows for tag in row] for rows in ([p.tags for p in predictions], references)
            )
            table = confusion_matrix(given, wanted, len(index)).tolist()
            tables["confusion"] = (list(self.labels.names), table)
        return tables

    def judge(self, split: list[TaggedExample], predictions: list[Tagged], references: list[list[str]]) -> Judged:
        """Words (or spans) right, given and wanted; the loss sums how sure the model was of each wrong tag."""
        rows = list(zip(predictions, references, strict=True))
        losses = [
            sum(sure for sure, tag, right in zip(p.probabilities, p.tags, wanted, strict=True) if tag != right)
            for p, wanted in rows
        ]
        if self.tags.scheme is None:
            right = [sum(tag == own for tag, own in zip(p.tags, wanted, strict=True)) for p, wanted in rows]
            terms = np.stack([right, [len(wanted) for _, wanted in rows]], axis=1).astype(np.float64)
            marks = [tuple(sorted(set(wanted))) for wanted in references]
        else:
            found = [(set(spans_of(p.tags)), set(spans_of(wanted))) for p, wanted in rows]
            terms = np.array([[len(own & true), len(own), len(true)] for own, true in found], dtype=np.float64)
            marks = [tuple(sorted({span.type for span in true})) or ("(no span)",) for _, true in found]
        return Judged(
            predictions=predictions,
            references=references,
            terms=terms,
            figure=mean_figure if self.tags.scheme is None else f1_figure,
            losses=np.array(losses, dtype=np.float64),
            lengths=np.array([len(example.tokens) for example in split]),
            ids=tuple(example.id for example in split),
            shown=lambda place: self._wrong(predictions[place], references[place]),
            marks={"label": marks},
        )

    def baselines(self, train: list[TaggedExample], evaluated: list[TaggedExample]) -> dict[str, dict[str, float]]:
        """Most frequent tag of all and of each word, spans looked up, and a linear classifier of words in context."""
        words, asked = ([one.encoded.words for one in part] for part in (train, evaluated))
        known = [self.tags.decode(one.target.tolist()) for one in train]
        tags = [own for own, _ in known]
        majority = self.tags.decode([int(self.tags.counts.argmax())])[0][0]
        linear = LinearTagger().fit(words, tags)
        note = "" if linear.num_sentences == len(train) else f" ({linear.num_sentences} of {len(train)} sentences)"
        found: dict[str, list[Any]] = {
            "majority": [[majority] * len(sentence) for sentence in asked],
            "most-frequent-tag": most_frequent_tags(words, tags, asked),
        }
        if (scheme := self.tags.scheme) is not None:
            spans = span_lookup(words, [own for _, own in known], asked)
            pairs = zip(spans, asked, strict=True)
            found["span-lookup"] = [tags_of([Span(*s) for s in own], len(one), scheme) for own, one in pairs]
        found[f"linear{note}"] = linear.tag(asked)
        references = [list(self.tags.decode(one.target.tolist())[0]) for one in evaluated]
        return figures_of(found, references, self.metrics)

    def sizes(self, split: list[TaggedExample]) -> str:
        """Number of sentences and words."""
        return f"{len(split):,} sentences ({sum(len(one.tokens) for one in split):,} words)"

    def _tagged(self, sentence: TaggedExample, indices: np.ndarray, chances: Chances) -> Tagged:
        tags, spans = self.tags.decode(indices.tolist())
        sure = self.tags.together(chances.marginals[: len(indices)], indices, spans)
        return Tagged(
            sentence.encoded.words,
            tags,
            tuple(sure.tolist()),
            tuple(TaggedSpan(*span, chances.of_span(span, indices)) for span in spans),
            sentence.text,
            sentence.offsets,
        )

    def _encode_item(self, item: Any, number: int) -> TaggedExample:
        text: str | None = None
        offsets: list[tuple[int, int]] = []
        if isinstance(item, str):
            text, offsets = item, cut_words(item, bool(self.columns.get("characters")))
            words = tuple(item[start:end] for start, end in offsets)
        elif isinstance(item, list | tuple) and all(isinstance(word, str) for word in item):
            words = tuple(item)
        else:
            raise DataError(f"sentence {number} is {item!r:.80}: a text, or a list of words, is wanted.")
        encoded = self.lexicon.encode(words)
        blank = np.zeros(len(words), np.int64)
        return TaggedExample(encoded.indices, blank, str(number), encoded, text, tuple(offsets))

    def _encode_sentences(self, sentences: list[Sentence], data: DataConfig, notes: list[str]) -> list[TaggedExample]:
        examples, faults = [], []
        for sentence in sentences:
            try:
                target = self.tags.encode(sentence.tags, sentence.where)
            except DataError as error:
                if not data.skip_bad_rows:
                    raise
                faults.append(str(error))
                continue
            encoded = self.lexicon.encode(sentence.words)
            examples.append(TaggedExample(encoded.indices, target, sentence.id, encoded))
        if faults:
            notes.append(f"{len(faults)} sentences were skipped; the first: {faults[0]}")
        return examples

    def _wrong(self, prediction: Tagged, reference: list[str]) -> tuple[str, str, str]:
        """A sentence, and its spans, or wrongly tagged words: those found in it, and those that should have been."""
        words = prediction.words
        asked = " ".join(words)
        if self.tags.scheme is None:
            rows = [row for row in zip(words, prediction.tags, reference, strict=True) if row[1] != row[2]]
            given, wanted = (" ".join(f"{row[0]}/{row[place]}" for row in rows) for place in (1, 2))
            return asked, given, wanted
        truth = prediction._replace(
            tags=tuple(reference), spans=tuple(TaggedSpan(*s, 1.0) for s in spans_of(reference))
        )
        return asked, self.line(None, self.readable(prediction)), self.line(None, self.readable(truth))

    def _column(self, what: str, records: Records) -> str | None:
        """The name of the column in the training file, if this file has it too."""
        name: str = self.columns[what]
        return name if name in records.columns else None
