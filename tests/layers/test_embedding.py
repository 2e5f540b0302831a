from __future__ import annotations

import pytest
import torch

from recurra.core.errors import ConfigError, ShapeError
from recurra.core.sequences import Sequences
from recurra.layers.embedding import TokenEmbedding


def batch() -> Sequences:
    tokens = torch.tensor([[1, 2, 3, 1], [2, 2, -100, 999]])
    return Sequences(tokens, torch.tensor([4, 2]), torch.zeros(2, 4, dtype=torch.bool))


def test_looks_up_rows_and_leaves_padding_zero() -> None:
    embedding = TokenEmbedding(5, 3)
    inputs = batch()
    outputs = embedding(inputs)
    assert outputs.lengths is inputs.lengths
    assert outputs.reset is inputs.reset
    assert torch.equal(outputs.data[0], embedding.weight[[1, 2, 3, 1]])
    assert torch.equal(outputs.data[1, :2], embedding.weight[[2, 2]])
    assert not outputs.data[1, 2:].any()


def test_padding_gives_no_gradient() -> None:
    embedding = TokenEmbedding(5, 3)
    (grad,) = torch.autograd.grad(embedding(batch()).data.sum(), embedding.weight)
    assert grad[:, 0].tolist() == [0, 2, 3, 1, 0]


def test_dropout_takes_whole_words_everywhere() -> None:
    embedding = TokenEmbedding(50, 4, dropout=0.4)
    tokens = torch.randint(0, 50, (40, 30))
    factors = embedding(Sequences(tokens)).data / embedding.weight[tokens]
    assert torch.isclose(factors, torch.zeros(())).logical_or(torch.isclose(factors, torch.tensor(1 / 0.6))).all()
    by_word = torch.stack([factors[tokens == word].mean() for word in range(50)])
    assert set(by_word.mul(6).round().tolist()) == {0, 10}
    assert torch.equal(embedding.eval()(Sequences(tokens)).data, embedding.weight[tokens])
    assert not TokenEmbedding(50, 4, dropout=1.0)(Sequences(tokens)).data.any()


def test_rows_have_length_about_one() -> None:
    weight = TokenEmbedding(2000, 64).weight
    assert weight.norm(dim=1).mean().item() == pytest.approx(1, rel=0.02)


def test_empty_batches() -> None:
    embedding = TokenEmbedding(5, 3)
    for shape in ((0, 4), (2, 0)):
        assert embedding(Sequences(torch.zeros(shape, dtype=torch.int64))).data.shape == (*shape, 3)


def test_errors() -> None:
    embedding = TokenEmbedding(5, 3)
    with pytest.raises(ShapeError, match=r"got the token 5, its vocabulary has 0\.\.4"):
        embedding(Sequences(torch.tensor([[0, 5]])))
    with pytest.raises(ShapeError, match="got the token -1"):
        embedding(Sequences(torch.tensor([[0, -1]])))
    with pytest.raises(ShapeError, match="int64 or int32"):
        embedding(Sequences(torch.zeros(2, 3)))
    with pytest.raises(ConfigError, match="probability"):
        TokenEmbedding(5, 3, dropout=1.5)
    with pytest.raises(ConfigError, match="at least 1"):
        TokenEmbedding(0, 3)
