from __future__ import annotations

import pytest
import torch

from recurra.core.config import parse
from recurra.core.errors import ConfigError
from recurra.core.sequences import Sequences
from recurra.core.state import leaves
from recurra.layers.encoder import TokenEncoder, TokenEncoderConfig

VALUES = {"cell": "gru", "embedding_dim": 6, "hidden_size": 8, "num_layers": 2}


def make(**options: object) -> TokenEncoder:
    return parse(TokenEncoderConfig, VALUES | options).build_encoder(20)


def tokens() -> Sequences:
    data = torch.randint(0, 20, (3, 7))
    data[1, 4:] = -1
    return Sequences(data, torch.tensor([7, 4, 6]))


def test_options_are_flat() -> None:
    config = parse(TokenEncoderConfig, VALUES | {"dropout": {"embedding": 0.1}, "bidirectional": True})
    assert config.embedding_dim == 6
    assert config.dropout.embedding == 0.1
    assert config.cell.kind == "gru"
    with pytest.raises(ConfigError, match=r"no option `embeding_dim`. Did you mean `embedding_dim`"):
        parse(TokenEncoderConfig, {"embeding_dim": 3})


def test_weights_have_stable_names() -> None:
    names = list(make().state_dict())
    assert names[0] == "embedding.weight"
    assert names[1:] == [
        f"recurrent.cells.{layer}.{name}"
        for layer in range(2)
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    ]
    both = make(bidirectional=True, dropout={"embedding": 0.1, "input": 0.1, "weight": 0.2, "output": 0.3})
    assert {name.rsplit(".", 1)[0] for name in both.state_dict()} == {
        "embedding",
        *(f"recurrent.cells.{number}" for number in range(4)),
    }


@pytest.mark.parametrize("bidirectional", [False, True])
def test_output_state_and_parameter_groups(bidirectional: bool) -> None:
    encoder = make(bidirectional=bidirectional)
    inputs = tokens()
    output = encoder(inputs, return_all=True)
    assert output.outputs.data.shape == (3, 7, encoder.output_size)
    assert encoder.output_size == (16 if bidirectional else 8)
    assert output.outputs.lengths is inputs.lengths
    assert not output.outputs.data[~inputs.mask].any()
    assert len(output.all) == 2
    assert len(encoder.last_path) == (4 if bidirectional else 2)
    groups = encoder.layer_parameters()
    assert [len(group) for group in groups] == [1, 8, 8] if bidirectional else [1, 4, 4]
    assert sum(len(group) for group in groups) == len(list(encoder.parameters()))


def test_streaming_equals_the_whole() -> None:
    encoder = make().eval()
    data = torch.randint(0, 20, (3, 7))
    whole = encoder(Sequences(data))
    first = encoder(Sequences(data[:, :4]))
    second = encoder(Sequences(data[:, 4:]), first.state)
    joined = torch.cat([first.outputs.data, second.outputs.data], 1)
    torch.testing.assert_close(joined, whole.outputs.data)
    for ours, expected in zip(leaves(second.state), leaves(whole.state), strict=True):
        torch.testing.assert_close(ours, expected)
    start = encoder(Sequences(data), encoder.initial_state(3))
    torch.testing.assert_close(start.outputs.data, whole.outputs.data)


def test_embedding_dropout_reaches_the_embedding() -> None:
    encoder = make(dropout={"embedding": 1.0})
    silent = encoder(tokens()).outputs.data
    assert torch.equal(silent, encoder(Sequences(torch.zeros(3, 7).long(), torch.tensor([7, 4, 6]))).outputs.data)


def test_another_model_takes_the_weights_by_name() -> None:
    encoder = make()
    other = make(dropout={"hidden": 0.5})
    other.load_state_dict(encoder.state_dict())
    inputs = tokens()
    assert torch.equal(other.eval()(inputs).outputs.data, encoder.eval()(inputs).outputs.data)
