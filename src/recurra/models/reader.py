"""A reader: finds where in a passage the answer to a question starts and ends.

    question -> vectors -> recurrence -> one vector, by a learned weighting of its words
    passage  -> vectors, the question's words aligned to each, features -> recurrence -> (attention flow -> recurrence)
    start, end: a bilinear score of each word of the passage with the question; "no answer" has a score of its own

Sources: Chen et al. (2017), section 3.2, https://arxiv.org/abs/1704.00051 (aligned question, features, self-attentive
question, bilinear scores); Seo et al. (2017), https://arxiv.org/abs/1611.01603 (attention flow); Clark and Gardner
(2018), section 5, https://arxiv.org/abs/1710.10723 (score of no answer beside those of the words).
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from recurra.core.batch import ModelOutput, TaskSpec
from recurra.core.config import Config
from recurra.core.inputs import Reading
from recurra.core.sequences import Sequences
from recurra.core.state import State
from recurra.kernels.rows import clear_padding
from recurra.layers import Pooling, Recurrent, RecurrentConfig
from recurra.layers.words import WordEmbedding, WordEncoderConfig


class ReaderConfig(WordEncoderConfig):
    """A reader; the recurrent options are those of the passage's stack."""

    kind: Literal["reader"] = "reader"
    hidden_size: int = Field(default=96, ge=1, description="of every layer, and of each direction")
    bidirectional: bool = Field(default=True, description="read both ways")
    question_layers: int = Field(1, ge=1, description="layers of the question's stack")
    aligned: bool = Field(True, description="give each word of the passage the question's words that are like it")
    flow: bool = Field(False, description="attention flow between passage and question, and one more layer after it")


class Reader(nn.Module):
    """Scores each word of a passage as the first and as the last of the answer."""

    Config: ClassVar[type[Config]] = ReaderConfig

    def __init__(self, config: ReaderConfig, spec: TaskSpec) -> None:
        super().__init__()
        self.config = config
        self.vectors = WordEmbedding(config, spec)
        size = self.vectors.output_size
        self.question = Recurrent(size, _layers(config, config.question_layers))
        self.pooling = Pooling("attention", self.question.output_size)
        self.align = nn.Linear(size, size) if config.aligned else None
        self.passage = Recurrent(size * (2 if config.aligned else 1) + spec.feature_size, config)
        read = self.passage.output_size
        self.flow: AttentionFlow | None = None
        if config.flow:
            self.flow = AttentionFlow(read, self.question.output_size)
            self.modelling = Recurrent(self.flow.output_size, _layers(config, 1))
            read += self.modelling.output_size
        self.start = nn.Linear(self.question.output_size, read)
        self.end = nn.Linear(self.question.output_size, read)
        self.bias = nn.Linear(read, 2, bias=False)
        self.highest = Pooling("max", read)
        self.none = nn.Linear(self.question.output_size + read, 2) if spec.output_size > 2 else None

    def forward(self, inputs: Reading, state: State | None = None) -> ModelOutput:
        """Score the words.

        Args:
            inputs: questions (B, Q), passages (B, T), features (B, T, spec.feature_size).
            state: None: passage and question are read whole.
        Returns:
            Logits (B, 2, 1 + T) of the start and of the end: column 0 for "no answer" (-inf unless spec.output_size is
            3), then one a word, -inf on padding; no state.
        """
        assert state is None, "a passage is read whole, so there is no state to go on from"
        asked = self.vectors(inputs.question)
        told = self.vectors(inputs.passage)
        question = self.question(asked).outputs
        asked_for = self.pooling(question)
        words = self._read(told, asked, inputs.features)
        if self.flow is not None:
            modelled = self.modelling(self.flow(words, question)).outputs
            words = words.with_data(torch.cat([words.data, modelled.data], -1))
        return ModelOutput(self._score(words, asked_for), None)

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Parameters from the word vectors to the scores, for discriminative rates and unfreezing."""
        groups = [*self.vectors.layer_parameters(), *self.passage.layer_parameters()]
        seen = {id(weight) for group in groups for weight in group}
        return [*groups, [weight for weight in self.parameters() if id(weight) not in seen]]

    def _read(self, told: Sequences, asked: Sequences, features: Tensor) -> Sequences:
        """The passage's words (B, T, H), each knowing those around it and the question's words like it."""
        parts = [told.data, clear_padding(features.to(told.data.dtype), told.lengths)]
        if self.align is not None:
            keys, queries = (F.relu(self.align(part.data)) for part in (asked, told))
            weights = _weights(queries @ keys.transpose(1, 2), asked.mask[:, None])
            parts.append(weights @ asked.data)
        outputs: Sequences = self.passage(told.with_data(torch.cat(parts, -1))).outputs
        return outputs

    def _score(self, words: Sequences, asked_for: Tensor) -> Tensor:
        queries = torch.stack([self.start(asked_for), self.end(asked_for)], 1)
        scores = queries @ words.data.transpose(1, 2) + self.bias(words.data).transpose(1, 2)
        scores = scores.masked_fill(~words.mask[:, None], -torch.inf)
        if self.none is None:
            nothing = scores.new_full((scores.shape[0], 2, 1), -torch.inf)
        else:
            nothing = self.none(torch.cat([asked_for, self.highest(words)], -1))[..., None]
        return torch.cat([nothing, scores], -1)


class AttentionFlow(nn.Module):
    """Each word of the passage beside what it looks at in the question, and what the question looks at in the passage.

    Both are brought to the question's size first, as the similarity is trilinear.

    Attributes:
        output_size: four times that.

    Reference: Seo et al. (2017), equations 1 to 4.
    """

    def __init__(self, passage_size: int, question_size: int) -> None:
        super().__init__()
        self.project = nn.Linear(passage_size, question_size)
        self.own = nn.Linear(question_size, 1, bias=False)
        self.other = nn.Linear(question_size, 1, bias=False)
        self.both = nn.Parameter(torch.full((question_size,), question_size**-0.5))
        self.output_size = 4 * question_size

    def forward(self, passage: Sequences, question: Sequences) -> Sequences:
        """Passage (B, T, P) and question (B, Q, H) -> (B, T, 4 H), zero on padding."""
        words = self.project(passage.data)
        scores = (words * self.both) @ question.data.transpose(1, 2)
        scores = scores + self.own(words) + self.other(question.data).transpose(1, 2)
        mask = question.mask[:, None]
        towards = _weights(scores, mask) @ question.data
        best = scores.new_zeros(scores.shape[:2])
        if question.num_steps:
            best = scores.masked_fill(~mask, torch.finfo(scores.dtype).min).amax(-1)
        back = _weights(best[:, None], passage.mask[:, None]) @ words
        joined = torch.cat([words, towards, words * towards, words * back], -1)
        return passage.with_data(clear_padding(joined, passage.lengths))


def _weights(scores: Tensor, mask: Tensor) -> Tensor:
    """Softmax over the real places; all zero where there are none."""
    filled = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    return filled.softmax(-1) * mask


def _layers(config: RecurrentConfig, number: int) -> RecurrentConfig:
    """The same stack with another number of layers."""
    names = RecurrentConfig.model_fields
    options = {name: getattr(config, name) for name in names} | {"num_layers": number, "last_size": None}
    return RecurrentConfig(**options)
