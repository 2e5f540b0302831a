"""Language modelling: predict each token from those before it.

Worked example, characters: the document "ab" becomes the tokens a b <eos>; the inputs are <eos> a b (with a reset at
the first), the targets a b <eos>. The loss is the mean of -log p(target), in nats a token.

Source: Mikolov et al. (2010), https://doi.org/10.21437/Interspeech.2010-343.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field
from torch import Tensor

from recurra.baselines import strongest_ngram
from recurra.core.batch import Batch, InputKind, LossSum, Resolution, TaskSpec
from recurra.core.config import Config
from recurra.core.errors import ConfigError, DataError
from recurra.core.sequences import Sequences
from recurra.data import (
    DataConfig,
    PieceSource,
    Splits,
    TokenCorpus,
    TokenStream,
    Vocabulary,
    VocabularyConfig,
    encode_tokens,
    fit_vocabulary,
    mirror_tokens,
    read_pieces,
    split_pieces,
    vocabulary_from_json,
    write_tokens,
)
from recurra.losses import cross_entropy
from recurra.metrics import LanguageMetrics, perplexity
from recurra.tasks.base import Preparation, Prepared, StreamOptions, TextItems, extend, require_texts
from recurra.tasks.judging import Judged, mean_figure, pieces

_LONGEST_PIECE = 200
"""Tokens; longer documents are judged piece by piece."""
_BASELINE_TOKENS = 3_000_000
"""n-gram tables beyond this would take longer than is cheap."""


class LanguageModellingConfig(Config):
    """Options of language modelling."""

    kind: Literal["language-modelling"] = "language-modelling"
    vocabulary: VocabularyConfig = VocabularyConfig(kind="char")
    direction: Literal["forward", "backward"] = Field(
        "forward", description="backward: each token from those after it, for features of taggers and classifiers"
    )
    length_jitter: int = Field(0, ge=0, description="window lengths vary by so many steps around tbptt_length")


class _CountingCharacters(LanguageMetrics):
    """Language metrics that learn the text's length from the tokens themselves."""

    def __init__(self, characters: np.ndarray) -> None:
        """`characters`: (V,) how many characters each token stands for."""
        super().__init__()
        self._characters = characters

    def update(self, predictions: list[Any], references: list[Any]) -> None:
        """Add one batch."""
        super().update(predictions, references)
        self._num_characters += sum(int(self._characters[np.asarray(tokens)].sum()) for tokens in references)


class LanguageModelling(TextItems):
    """The task over a fitted vocabulary."""

    Config: ClassVar[type[Config]] = LanguageModellingConfig
    usage = 'print(model.generate("Once", max_length=200, temperature=0.8))'
    monitor: ClassVar[tuple[str, Literal["min", "max"]]] = ("nats", "min")

    def __init__(self, config: LanguageModellingConfig, vocabulary: Vocabulary) -> None:
        self.config = config
        self.vocabulary = vocabulary
        counts = vocabulary.counts.astype(np.float64) + 0.5
        self.spec = TaskSpec(
            input_kind=InputKind.TOKENS,
            input_size=vocabulary.size,
            output_size=vocabulary.size,
            resolution=Resolution.STEP,
            output_prior=tuple((counts / counts.sum()).tolist()),
        )

    @classmethod
    def prepare(cls, config: LanguageModellingConfig, given: Preparation) -> Prepared:
        """Read the corpus, hold parts out, fit the vocabulary on the training part, encode."""
        data = given.data
        sources, notes = _split_sources(data)
        if given.fitted is None:
            vocabulary = fit_vocabulary(config.vocabulary, lambda: (piece.text for piece in sources.train()))
        else:
            texts = (piece.text for piece in sources.train())
            vocabulary, added = extend(given.fitted.vocabulary, texts, given.new_words)
            notes = (*notes, *added)
        task = cls(config, vocabulary)
        parts = [
            None if source is None else write_tokens(given.cache / f"{name}.tokens", source(), vocabulary)
            for name, source in zip(("train", "valid", "test"), sources, strict=True)
        ]
        parts = [None if part is None else task.directed(part) for part in parts]
        splits = Splits(*parts)
        measured = splits.valid or splits.train
        assert measured is not None, "there is always a training part"
        unknown = "" if vocabulary.unk_index is None else f", {task.unknown_share(measured):.2%} unknown"
        held = ", ".join(f"{name} {task.sizes(part)}" for name, part in zip(Splits._fields, parts, strict=True) if part)
        notes = (*notes, f"{vocabulary.kind} vocabulary of {vocabulary.size}{unknown}; {held}")
        return Prepared(task=task, splits=splits, notes=notes)

    @classmethod
    def from_files(cls, config: LanguageModellingConfig, files: Mapping[str, Any]) -> LanguageModelling:
        """The task of a saved model."""
        return cls(config, vocabulary_from_json(files["vocabulary.json"]))

    def files(self) -> dict[str, Any]:
        """The vocabulary."""
        return {"vocabulary.json": self.vocabulary.to_json()}

    def stream(self, split: TokenCorpus, options: StreamOptions) -> TokenStream:
        """Contiguous rows whose state carries on."""
        jitter = self.config.length_jitter if options.shuffle else 0
        if jitter >= options.length:
            raise ConfigError(f"`task.length_jitter` is {jitter}: training.tbptt_length={options.length} must be more.")
        rows = min(options.batch_size, len(split.tokens)) if not options.shuffle else options.batch_size
        return TokenStream(split, rows, options.length, seed=options.seed, jitter=jitter, shard=options.shard)

    def read(self, paths: str | list[str], data: DataConfig) -> TokenCorpus:
        """Encode files."""
        return self.directed(encode_tokens(read_pieces(paths, data, data.text_column), self.vocabulary))

    def encode(self, texts: list[str]) -> TokenCorpus:
        """Each text is a document; an empty one too.

        Raises:
            DataError: no texts, or something else than texts.
        """
        require_texts(texts)
        if not texts:
            raise DataError("no texts are given: at least one is wanted.")
        rows = [self.vocabulary.encode_array(text) for text in texts]
        return self.directed(documents(rows, self.vocabulary.eos_index))

    def directed(self, corpus: TokenCorpus) -> TokenCorpus:
        """The corpus in the order in which this task reads."""
        return mirror_tokens(corpus) if self.config.direction == "backward" else corpus

    def encode_labelled(self, texts: list[str], targets: list[Any]) -> TokenCorpus:
        """Each text is a document; its own tokens are its targets.

        Raises:
            DataError: targets are given.
        """
        if targets:
            raise DataError("a language model needs no labels: its targets are the texts' own tokens.")
        return self.encode(texts)

    def encode_prompt(self, prompt: str) -> list[int]:
        """The tokens that generation starts from: a document start, then the prompt.

        Raises:
            ConfigError: the model reads backward.
        """
        if self.config.direction == "backward":
            raise ConfigError("this model reads backward, and can't continue a text: use one that reads forward.")
        return [self.vocabulary.eos_index, *self.vocabulary.encode(prompt)]

    def loss(self, prediction: Any, batch: Batch) -> LossSum:
        """Cross-entropy of the next tokens."""
        return cross_entropy(prediction, batch.targets, None if batch.inputs.lengths is None else batch.inputs.mask)

    def predict(self, prediction: Tensor, batch: Batch) -> list[Tensor]:
        """A row's log-probabilities of its true tokens, (T_i,) each."""
        chosen = prediction.gather(-1, batch.targets[..., None]).squeeze(-1)
        return _real_rows(chosen.float() - prediction.float().logsumexp(-1), batch)

    def references(self, batch: Batch) -> list[Tensor]:
        """A row's true tokens."""
        return _real_rows(batch.targets, batch)

    def metrics(self) -> LanguageMetrics:
        """A fresh collector; characters are counted where each token is one."""
        if self.vocabulary.kind != "char":
            return LanguageMetrics()
        characters = np.ones(self.vocabulary.size, dtype=np.int64)
        characters[self.vocabulary.eos_index] = 0
        return _CountingCharacters(characters)

    def readable(self, prediction: Tensor) -> dict[str, Any]:
        """How likely a text is."""
        nats = -float(prediction.mean())
        return {"nats": nats, "perplexity": perplexity(nats, 1), "tokens": prediction.numel()}

    def brief(self, prediction: Tensor) -> dict[str, Any]:
        """The same."""
        return self.readable(prediction)

    def report(self, predictions: list[Any], references: list[Any]) -> dict[str, Any]:
        """No tables beyond the metrics."""
        return {}

    def judge(self, split: TokenCorpus, predictions: list[Tensor], references: list[Tensor]) -> Judged:
        """Documents, and pieces of long ones, by the nats of a token."""
        nats, tokens = (np.concatenate([np.asarray(row) for row in rows]) for rows in (predictions, references))
        cut = pieces(len(tokens), split.starts.tolist(), _LONGEST_PIECE)
        rows = [(nats[start:end], tokens[start:end]) for start, end in cut]
        sums = np.array([[-row.sum(dtype=np.float64), len(row)] for row, _ in rows])

        def shown(place: int) -> tuple[str, str, str]:
            own = rows[place][1].tolist()
            text = self.vocabulary.decode(own[::-1] if self.config.direction == "backward" else own)
            return text, f"perplexity {perplexity(float(sums[place, 0]), len(own)):.4g}", ""

        return Judged(
            predictions=[row for row, _ in rows],
            references=[row for _, row in rows],
            terms=sums,
            figure=mean_figure,
            losses=sums[:, 0] / sums[:, 1],
            lengths=sums[:, 1].astype(np.int64),
            ids=tuple(f"tokens {start}-{end - 1}" for start, end in cut),
            shown=shown,
        )

    def baselines(self, train: TokenCorpus, evaluated: TokenCorpus) -> dict[str, dict[str, float]]:
        """Unigram and the best n-gram model of the training tokens."""
        level: Literal["character", "word"] = "character" if self.vocabulary.kind in ("char", "byte") else "word"
        tokens = np.asarray(train.tokens[:_BASELINE_TOKENS])
        found = strongest_ngram(tokens, np.asarray(evaluated.tokens), self.vocabulary.size, level)
        return {name: {"nats": nats, "perplexity": perplexity(nats, 1)} for name, nats in found.items()}

    def sizes(self, split: TokenCorpus) -> str:
        """Tokens and documents."""
        documents = len(split.starts)
        return f"{len(split.tokens):,} tokens" + (f" in {documents:,} documents" if documents > 1 else "")

    def unknown_share(self, split: TokenCorpus) -> float:
        """The part of a split's tokens that the vocabulary does not know."""
        return float(np.mean(np.asarray(split.tokens) == self.vocabulary.unk_index))


def _real_rows(values: Tensor, batch: Batch) -> list[Tensor]:
    """(B, T) -> each row without its padding, on the CPU, where metrics count."""
    return Sequences(values.cpu(), batch.inputs.lengths).unpad()


def documents(rows: Sequence[np.ndarray], eos_index: int) -> TokenCorpus:
    """Token rows as documents of a corpus, each ended by eos.

    Args:
        rows: at least one; (T,) vocabulary indices each, T may be 0.
        eos_index: the vocabulary's.
    """
    eos = np.array([eos_index], dtype=np.int32)
    ends = np.cumsum([len(row) + 1 for row in rows])
    tokens = np.concatenate([part.astype(np.int32) for row in rows for part in (row, eos)])
    return TokenCorpus(tokens, np.concatenate([[0], ends[:-1]]), eos_index)


def _split_sources(data: DataConfig) -> tuple[Splits[Any], tuple[str, ...]]:
    """The pieces of each split, from files of its own or from the end of the training files."""
    if data.train is None:
        raise ConfigError("no training text: give --data.train FILE (or a folder).")
    train = _source(data.train, data)
    held = split_pieces(
        train,
        0.0 if data.valid is not None else data.valid_fraction,
        0.0 if data.test is not None else data.test_fraction,
    )
    valid = held.valid if data.valid is None else _source(data.valid, data)
    test = held.test if data.test is None else _source(data.test, data)
    notes: tuple[str, ...] = ()
    if data.valid is None and data.valid_fraction > 0:
        notes = (f"the last {data.valid_fraction:.0%} of the text is held out for validation",)
    return Splits(held.train, valid, test), notes


def _source(paths: str | list[str], data: DataConfig) -> PieceSource:
    return lambda: read_pieces(paths, data, data.text_column)
