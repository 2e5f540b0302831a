"""What is special to the reader; its laws are in the contract."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from recurra.core.batch import InputKind, Resolution, TaskSpec
from recurra.core.inputs import Reading, Words
from recurra.core.sequences import Sequences, pad
from recurra.models.reader import AttentionFlow, Reader, ReaderConfig

V = 12


def build(outputs: int = 2, **options: Any) -> Reader:
    torch.manual_seed(0)
    spec = TaskSpec(InputKind.TOKENS, V, outputs, Resolution.SPAN, feature_size=2)
    return Reader(ReaderConfig(embedding_dim=6, hidden_size=5, character_dim=0, **options), spec).eval()


def reading(question: list[list[int]], passage: list[list[int]]) -> Reading:
    asked, told = (pad([torch.tensor(row) for row in rows]) for rows in (question, passage))
    generator = torch.Generator().manual_seed(1)
    return Reading(Words(asked), Words(told), torch.rand(*told.data.shape, 2, generator=generator))


INPUTS = reading([[1, 2, 3], [4, 5, 6]], [[5, 6, 7, 8, 2], [1, 2, 9, 9, 9]])


@pytest.mark.parametrize("flow", [False, True])
@pytest.mark.parametrize("outputs", [2, 3])
def test_column_0_is_for_no_answer(outputs: int, flow: bool) -> None:
    scores = build(outputs, flow=flow)(INPUTS).prediction
    assert scores.shape == (2, 2, 6)
    assert torch.isfinite(scores[..., 1:]).all()
    assert torch.isfinite(scores[..., 0]).all() if outputs == 3 else (scores[..., 0] == -torch.inf).all()


def test_padding_gets_no_probability() -> None:
    inputs = reading([[1, 2]] * 2, [[5, 6, 7, 8], [1, 2]])
    scores = build()(inputs).prediction
    assert (scores[1, :, 3:] == -torch.inf).all() and torch.isfinite(scores[0, :, 1:]).all()


def test_features_on_padding_are_never_read() -> None:
    inputs = reading([[1, 2]] * 2, [[5, 6, 7, 8], [1, 2]])
    inputs.features[1, 2:] = torch.nan
    model = build(flow=True).train()
    scores: Tensor = model(inputs).prediction
    scores[torch.isfinite(scores)].sum().backward()  # type: ignore[no-untyped-call]
    assert not scores.isnan().any()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())


@pytest.mark.parametrize("part", ["question", "features"])
def test_everything_that_is_given_is_read(part: str) -> None:
    model = build(aligned=False)
    changed = {"question": Words(INPUTS.question.words.with_data(INPUTS.question.words.data.flip(1)))}
    changes: dict[str, Any] = {"features": 1 - INPUTS.features} | changed
    assert not torch.allclose(model(INPUTS).prediction, model(replace(INPUTS, **{part: changes[part]})).prediction)


def test_aligned_question_tells_words_apart_that_the_passage_alone_does_not() -> None:
    """Without the recurrence's help: a one-way reader's first step sees the question only by alignment."""
    model = build(bidirectional=False)
    other = replace(INPUTS, question=Words(Sequences(torch.tensor([[1, 2, 7], [4, 5, 7]]))))
    read = [model._read(model.vectors(x.passage), model.vectors(x.question), x.features).data for x in (INPUTS, other)]
    assert not torch.allclose(read[0][:, 0], read[1][:, 0])
    bare = build(bidirectional=False, aligned=False)
    read = [bare._read(bare.vectors(x.passage), bare.vectors(x.question), x.features).data for x in (INPUTS, other)]
    assert torch.equal(read[0], read[1])


def test_attention_flow_by_hand() -> None:
    """Equations 1 to 4 of Seo et al. (2017), one pair of words after another."""
    torch.manual_seed(0)
    flow = AttentionFlow(3, 4).double()
    torch.nn.init.normal_(flow.both)
    passage, question = torch.randn(1, 5, 3).double(), torch.randn(1, 2, 4).double()
    words = flow.project(passage)[0]
    weight = torch.cat([flow.own.weight[0], flow.other.weight[0], flow.both])
    scores = torch.stack([torch.stack([weight @ torch.cat([w, q, w * q]) for q in question[0]]) for w in words])
    towards = scores.softmax(1) @ question[0]
    back = scores.amax(1).softmax(0) @ words
    wanted = torch.cat([words, towards, words * towards, words * back], 1)
    torch.testing.assert_close(flow(Sequences(passage), Sequences(question)).data[0], wanted)


def test_layers_of_the_question() -> None:
    model = build(num_layers=2, question_layers=3)
    assert (len(model.passage.cells), len(model.question.cells)) == (4, 6)
    grouped = [id(weight) for group in model.layer_groups() for weight in group]
    assert sorted(grouped) == sorted(map(id, model.parameters()))
