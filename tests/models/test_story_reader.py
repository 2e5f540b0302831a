"""The story reader beside its formulas step by step, and what its attention tells."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from recurra.core.batch import InputKind, Resolution, TaskSpec
from recurra.core.inputs import Story
from recurra.core.sequences import Sequences, pad
from recurra.models import StoryReader, StoryReaderConfig
from recurra.models.story_reader import GatedHop, GatedRounds

V, ANSWERS = 12, 4


def make(**options: Any) -> StoryReader:
    spec = TaskSpec(InputKind.TOKENS, V, ANSWERS, Resolution.SEQUENCE)
    return StoryReader(StoryReaderConfig(embedding_dim=6, hidden_size=5, **options), spec).eval()


def story_of(rows: list[list[int]], sentences: list[list[int]]) -> Story:
    return Story(
        pad([torch.tensor([7, 8, 9])] * len(rows)),
        pad([torch.tensor(row) for row in rows]),
        pad([torch.tensor(sentence) for sentence in sentences]),
    )


def one_way(hop: GatedHop, story: Tensor, asked: Tensor, order: range) -> dict[int, Tensor]:
    """The recurrence of one row (M, D) in plain steps: h after each sentence."""
    h, found = torch.zeros(story.shape[1]), {}
    for t in order:
        question = hop.norm(asked[t])
        gate = torch.sigmoid(hop.gate(story[t] * question))
        reduced = torch.tanh(hop.reduce(torch.cat([story[t], question, story[t] * question])))
        h = gate * reduced + (1 - gate) * h
        found[t] = h
    return found


def test_rounds_equal_plain_steps() -> None:
    rounds = GatedRounds(6, 3)
    rows = [torch.randn(4, 6), torch.randn(2, 6), torch.randn(0, 6)]
    question = torch.randn(3, 6)
    last, _ = rounds(pad(rows), question)
    for number, story in enumerate(rows):
        asked = question[number].expand_as(story)
        for place, hop in enumerate(rounds.hops):
            after = one_way(hop, story, asked, range(len(story)))  # type: ignore[arg-type]
            before = one_way(hop, story, asked, range(len(story) - 1, -1, -1))  # type: ignore[arg-type]
            both = place < 2
            asked = torch.stack([after[t] + (before[t] if both else 0) for t in after]) if after else story
        wanted = after[len(story) - 1] if after else torch.zeros(6)
        torch.testing.assert_close(last[number], wanted)


def test_weights_are_the_shares_of_the_candidates() -> None:
    """Of a sum over all paths that a candidate may have taken into the next round's questions."""
    rounds, rows = GatedRounds(6, 3), [torch.randn(5, 6), torch.randn(2, 6), torch.randn(0, 6)]
    story, question = pad(rows), torch.randn(3, 6)
    gates, asked = [], question[:, None].expand_as(story.data)
    for hop in rounds.hops:
        asked, _, gate = hop(story, asked)
        gates.append(gate)
    _, weights = rounds(story, question)
    for number, row in enumerate(rows):
        length = len(row)
        z = [gate[number].tolist() for gate in gates]
        after = [math.prod(1 - z[2][r] for r in range(s + 1, length)) for s in range(length)]
        wanted = [[z[2][s] * after[s] for s in range(length)]]
        for gate in (z[1], z[0]):
            forward = [
                [gate[s] * math.prod(1 - gate[r] for r in range(s + 1, t + 1)) for s in range(t + 1)]
                for t in range(length)
            ]
            backward = [
                [gate[s] * math.prod(1 - gate[r] for r in range(t, s)) for s in range(t, length)] for t in range(length)
            ]
            found = [0.0] * length
            for t in range(length):
                share = wanted[0][t] / max(1.0, sum(forward[t]) + sum(backward[t]))
                for s in range(length):
                    found[s] += share * ((forward[t][s] if s <= t else 0) + (backward[t][s - t] if s >= t else 0))
            wanted.insert(0, found)
        torch.testing.assert_close(weights[number, :, :length], torch.tensor(wanted).reshape(3, length))
        assert (weights[number, :, length:] == 0).all()
    assert (weights.sum(-1) <= 1 + 1e-6).all()


@pytest.mark.parametrize("options", [{}, {"reading": "attention"}, {"reading": "attention", "bidirectional": True}])
def test_attention_of_each_round(options: dict[str, Any]) -> None:
    model = make(hops=2, **options)
    output = model(story_of([[0, 1, 2], [2]], [[2, 3], [4], [5, 6, 7]]))
    attention = output.prediction.attention
    assert output.state is None
    assert attention.shape == (2, 2, 3)
    assert (attention[1, :, 1:] == 0).all()
    if options:
        torch.testing.assert_close(attention.sum(-1), torch.ones(2, 2))
    assert ((attention >= 0) & (attention <= 1)).all()


def test_without_rounds_there_is_no_attention() -> None:
    prediction = make(hops=0)(story_of([[0, 1]], [[2], [3]])).prediction
    assert prediction.attention.shape == (1, 0, 2)
    assert prediction.logits.shape == (1, ANSWERS)


@pytest.mark.parametrize("options", [{}, {"reading": "attention"}, {"hops": 0}])
def test_the_order_of_telling_counts(options: dict[str, Any]) -> None:
    model = make(**options)
    logits = [model(story_of([order], [[2, 3], [4]])).prediction.logits for order in ([0, 1], [1, 0], [0, 0])]
    assert not torch.allclose(logits[0], logits[1], atol=1e-5)
    assert not torch.allclose(logits[0], logits[2], atol=1e-5)


def test_a_sentence_told_twice_is_encoded_once_and_gets_both_gradients() -> None:
    model = make(hops=1, cell="gru")
    once = model(story_of([[0, 1, 0]], [[2, 3], [4]])).prediction.logits
    apart = model(story_of([[0, 1, 2]], [[2, 3], [4], [2, 3]])).prediction.logits
    torch.testing.assert_close(once, apart)
    gradients = [
        torch.autograd.grad(logits.square().sum(), model.encoder.embedding.weight)[0] for logits in (once, apart)
    ]
    torch.testing.assert_close(*gradients)


def test_a_story_is_read_whole() -> None:
    with pytest.raises(AssertionError, match="read whole"):
        make()(story_of([[0]], [[2]]), state=(torch.zeros(1, 5),))


def test_sentence_dropout_acts_in_training_only() -> None:
    model, inputs = make(sentence_dropout=0.5), story_of([[0, 1]], [[2], [3]])
    assert torch.equal(model(inputs).prediction.logits, model(inputs).prediction.logits)
    model.train()
    assert not torch.equal(model(inputs).prediction.logits, model(inputs).prediction.logits)


def test_padding_of_the_story_may_point_anywhere() -> None:
    model, inputs = make(), story_of([[0, 1, 1], [1]], [[2], [3]])
    told = inputs.story.data.masked_fill(~inputs.story.mask, -5)
    spoilt = Story(inputs.question, Sequences(told, inputs.story.lengths), inputs.sentences)
    assert torch.equal(model(spoilt).prediction.logits, model(inputs).prediction.logits)
