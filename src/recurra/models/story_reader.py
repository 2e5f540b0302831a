"""Answers questions on stories: sentences and question as vectors, several rounds over the story, logits of answers.

A round (hop) of the kind `gated` is a recurrence over the sentences: each has a gate, by what it and the question as
it stands there have in common; an open gate puts a reduced question in the place of the old one, which later rounds
ask on (query reduction: Seo et al., 2017, https://arxiv.org/abs/1606.04582, equations 1 to 6). A round of the kind
`attention` is a weighted mean of the sentences, which a recurrence has told of each other before; a GRU cell makes the
next question of it (memory networks: Sukhbaatar et al., 2015, https://arxiv.org/abs/1503.08895; Xiong et al., 2016,
https://arxiv.org/abs/1603.01417, section 3).
"""

from __future__ import annotations

from typing import ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from recurra.core.batch import ModelOutput, TaskSpec
from recurra.core.config import Config
from recurra.core.inputs import Story
from recurra.core.outputs import AttendedLogits
from recurra.core.sequences import Sequences
from recurra.core.state import State
from recurra.kernels.linear import linear_scan
from recurra.layers import (
    Attention,
    AttentionConfig,
    Pooling,
    PoolingKind,
    Recurrent,
    RecurrentConfig,
    TokenEncoder,
    TokenEncoderConfig,
)
from recurra.layers.attention import AdditiveAttentionConfig


class StoryReaderConfig(TokenEncoderConfig):
    """A reader of stories; the options of its word encoder, and those of its rounds."""

    kind: Literal["story-reader"] = "story-reader"
    pooling: PoolingKind = Field("last", description="how words become the vector of a sentence")
    hops: int = Field(3, ge=0, description="rounds over the story; 0: only a recurrence over the sentences")
    reading: Literal["gated", "attention"] = Field("gated", description="what a round is")
    attention: AttentionConfig = Field(AdditiveAttentionConfig(), description="of reading=attention")
    sentence_dropout: float = Field(0.0, ge=0, lt=1, description="dropout on the vectors of the sentences")


class StoryReader(nn.Module):
    """Scores the answers to a question on a story."""

    Config: ClassVar[type[Config]] = StoryReaderConfig

    def __init__(self, config: StoryReaderConfig, spec: TaskSpec) -> None:
        super().__init__()
        self.config = config
        self.encoder = TokenEncoder(spec.input_size, config)
        self.pooling = Pooling(config.pooling, self.encoder.output_size, bidirectional=config.bidirectional)
        size = self.pooling.output_size
        self.norm = nn.LayerNorm(size)
        self.dropout = nn.Dropout(config.sentence_dropout)
        self.reader = _reader(config, size)
        self.output = nn.Linear(size, spec.output_size)
        with torch.no_grad():
            self.output.weight.mul_(0.5)  # what was read has a variance near 1, and the first answers are to be even
            if spec.output_prior is not None:
                self.output.bias.copy_(torch.tensor(spec.output_prior).log())

    def forward(self, inputs: Story, state: State | None = None) -> ModelOutput:
        """Score the answers.

        Args:
            inputs: sentences (N, L), stories (B, M) of them, questions (B, Q).
            state: None: each story is read whole.
        Returns:
            `AttendedLogits`: logits (B, num_answers) and attention (B, hops, M); no state.
        """
        assert state is None, "a story is read whole, so there is no state to go on from"
        question = self.norm(self.pooling(self.encoder(inputs.question).outputs))
        sentences = self.dropout(self.norm(self.pooling(self.encoder(inputs.sentences).outputs)))
        story = _look_up(inputs.story, sentences)
        read, attention = self.reader(story, question)
        return ModelOutput(AttendedLogits(self.output(read), attention), None)

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Parameters from the embedding to the output, for discriminative rates and unfreezing."""
        groups = self.encoder.layer_parameters()
        seen = {id(p) for group in groups for p in group}
        return [*groups, [p for p in self.parameters() if id(p) not in seen]]


class GatedRounds(nn.Module):
    """Rounds of gates; all but the last run both ways.

    Args:
        size: features of a sentence and of the question, D.
        hops: how many rounds, at least 1.
    """

    def __init__(self, size: int, hops: int) -> None:
        super().__init__()
        self.hops = nn.ModuleList(GatedHop(size, both_ways=number + 1 < hops) for number in range(hops))

    def forward(self, story: Sequences, question: Tensor) -> tuple[Tensor, Tensor]:
        """Read.

        Args:
            story: (B, M, D).
            question: (B, D).
        Returns:
            The question after the last round (B, D); (B, hops, M), how far what each sentence gave in each round is in
            it, at most 1 over the sentences of a round.
        """
        asked = question[:, None].expand_as(story.data)
        gates: list[Tensor] = []
        for hop in self.hops:
            asked, last, gate = hop(story, asked)
            gates.append(gate)
        weights = [_share_at_end(gates[-1])]
        for gate in reversed(gates[:-1]):
            weights.append(_trace_back(weights[-1], gate, story.lengths))
        return last, torch.stack(weights[::-1], 1)


class GatedHop(nn.Module):
    """One round: h_t = z_t c_t + (1 - z_t) h_(t-1), gate z and reduced question c by sentence and question.

    Beside both, the candidate sees their product, so that it can say whether they agree (yes/no questions); questions
    are normalised before, which keeps the gates of later rounds from starting closed.

    Args:
        size: D.
        both_ways: add the same recurrence from the story's end, so that a question can wait for what comes later.
    """

    def __init__(self, size: int, both_ways: bool) -> None:
        super().__init__()
        self.both_ways = both_ways
        self.norm = nn.LayerNorm(size)
        self.gate = nn.Linear(size, 1)
        self.reduce = nn.Linear(3 * size, size)

    def forward(self, story: Sequences, asked: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Run the round.

        Args:
            story: (B, M, D).
            asked: (B, M, D), the question as it stands at each sentence.
        Returns:
            The questions after it (B, M, D), the one after the last sentence (B, D), and the gates (B, M).
        """
        asked = self.norm(asked)
        common = story.data * asked
        gate = torch.sigmoid(self.gate(common))
        reduced = torch.tanh(self.reduce(torch.cat([story.data, asked, common], -1)))
        opened = gate.expand_as(reduced)
        after, last = linear_scan(1 - opened, gate * reduced, lengths=story.lengths)
        if self.both_ways:
            before, _ = linear_scan(1 - opened, gate * reduced, lengths=story.lengths, reverse=True)
            after = after + before
        return after, last, gate[..., 0].masked_fill(~story.mask, 0.0)


class AttentionRounds(nn.Module):
    """A recurrence over the sentences, then rounds of attention; with none, its last states meet the question.

    Args:
        size: D.
        config: of the model.
    """

    def __init__(self, size: int, config: StoryReaderConfig) -> None:
        super().__init__()
        directions = 2 if config.bidirectional else 1
        own = RecurrentConfig(cell=config.cell, hidden_size=config.hidden_size, bidirectional=config.bidirectional)
        self.sentences = Recurrent(size, own)
        self.last = Pooling("last", self.sentences.output_size, bidirectional=config.bidirectional)
        self.own = nn.Linear(size, directions * config.hidden_size, bias=False)
        self.attentions = nn.ModuleList(
            config.attention.build(size, self.sentences.output_size) for _ in range(config.hops)
        )
        self.update = nn.GRUCell(self.sentences.output_size, size)

    def forward(self, story: Sequences, question: Tensor) -> tuple[Tensor, Tensor]:
        """As `GatedRounds`; gates are the weights of the attention."""
        told = self.sentences(story).outputs
        told = told.with_data(told.data + self.own(story.data))
        if not len(self.attentions):
            read: Tensor = self.update(self.last(told), question)
            return read, question.new_zeros(story.batch_size, 0, story.num_steps)
        weights = []
        for attention in cast("list[Attention]", list(self.attentions)):
            found = attention(question, attention.prepare(told.data, story.mask))
            question = self.update(found.context, question)
            weights.append(found.weights)
        return question, torch.stack(weights, 1)


def _reader(config: StoryReaderConfig, size: int) -> nn.Module:
    if config.reading == "gated" and config.hops:
        return GatedRounds(size, config.hops)
    return AttentionRounds(size, config)


def _share_at_end(gate: Tensor) -> Tensor:
    """Gates (B, M) of a recurrence -> what each sentence's candidate weighs in its last state."""
    kept = torch.cat([(1 - gate)[:, 1:], torch.ones_like(gate[:, :1])], 1)
    return gate * kept.flip(1).cumprod(1).flip(1)


def _trace_back(weights: Tensor, gate: Tensor, lengths: Tensor | None) -> Tensor:
    """From what each sentence weighs in a round to what each weighs in the questions that were asked there.

    The question at sentence t is the sum of two recurrences of the round before, from the story's start to t and from
    its end to t; where both found something, they share.

    Args:
        weights: (B, M) of the later round.
        gate: (B, M) of the round before, 0 on padding.
        lengths: (B,), of the stories.
    """
    closed = 1 - gate
    before, after = 1 - closed.cumprod(1), 1 - closed.flip(1).cumprod(1).flip(1)
    share = (weights / (before + after).clamp(min=1))[..., None]
    edge = torch.zeros_like(closed[:, :1])
    later, _ = linear_scan(torch.cat([closed[:, 1:], edge], 1)[..., None], share, lengths=lengths, reverse=True)
    earlier, _ = linear_scan(torch.cat([edge, closed[:, :-1]], 1)[..., None], share, lengths=lengths)
    return gate * (later + earlier)[..., 0]


def _look_up(story: Sequences, vectors: Tensor) -> Sequences:
    """Rows (B, M) of `vectors` (N, D) -> (B, M, D), zero on padding, which may hold anything."""
    table = torch.cat([vectors.new_zeros(1, vectors.shape[1]), vectors])
    rows = torch.where(story.mask, story.data + 1, 0)
    return story.with_data(table.index_select(0, rows.reshape(-1)).view(*rows.shape, vectors.shape[1]))
