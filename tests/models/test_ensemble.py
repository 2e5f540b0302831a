"""An ensemble does what its members do: step, stream, decode, observe."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError

from recurra.core import state as states
from recurra.core.batch import InputKind, Resolution, TaskSpec
from recurra.core.inputs import Pair
from recurra.core.sequences import Sequences, pad
from recurra.models import MODELS, Ensemble, EnsembleConfig, LanguageModelConfig, mix

V = 11
LANGUAGE = TaskSpec(InputKind.TOKENS, V, V, Resolution.STEP)
SIZES = {"embedding_dim": 6, "hidden_size": 7}


def ensemble(kind: str, spec: TaskSpec, *options: dict[str, Any], shares: tuple[float, ...] = ()) -> Ensemble:
    torch.manual_seed(0)
    members = [{"kind": kind, **SIZES, **one} for one in options]
    return Ensemble(EnsembleConfig.model_validate({"members": members, "shares": shares}), spec).eval()


def language() -> Ensemble:
    return ensemble("language-model", LANGUAGE, {}, {"cell": "gru", "num_layers": 2}, shares=(0.25, 0.75))


def test_it_goes_on_where_it_stopped_and_streams_the_same() -> None:
    model, tokens = language(), torch.randint(0, V, (3, 9), generator=torch.Generator().manual_seed(1))
    whole = model(Sequences(tokens)).prediction
    first, state, _ = model(Sequences(tokens[:, :4]))
    rest, state, _ = model(Sequences(tokens[:, 4:8]), state)
    last, after = model.step(tokens[:, 8], state)
    torch.testing.assert_close(torch.cat([first, rest, last[:, None]], 1), whole, rtol=1e-5, atol=1e-6)
    feed = model.stream(3)
    streamed = torch.stack([feed(step) for step in tokens.unbind(1)], 1)
    torch.testing.assert_close(streamed, whole, rtol=1e-5, atol=1e-6)
    one = states.select(after, torch.tensor([1]))
    alone, _ = model.step(tokens[1:2, 0], one)
    together, _ = model.step(tokens[:, 0], after)
    torch.testing.assert_close(alone[0], together[1], rtol=1e-5, atol=1e-6)


def test_it_says_what_the_pool_of_its_members_says() -> None:
    model, tokens = language(), Sequences(torch.tensor([[1, 2, 3]]))
    parts = [member(tokens).prediction for member in model.parts()]
    wanted = sum(share * part.softmax(-1) for share, part in zip((0.25, 0.75), parts, strict=True))
    torch.testing.assert_close(model(tokens).prediction.exp(), wanted)


def test_members_stay_in_evaluation_mode() -> None:
    model = ensemble("language-model", LANGUAGE, {"dropout": {"output": 0.9}}, {}).train()
    tokens = Sequences(torch.tensor([[1, 2, 3]]))
    assert torch.equal(model(tokens).prediction, model(tokens).prediction)
    assert not any(module.training for module in model.modules())


def test_a_translation_is_decoded_by_all_of_them() -> None:
    spec = TaskSpec(InputKind.TOKENS, V, V, Resolution.TARGET, eos_index=1)
    model = ensemble("encoder-decoder", spec, {}, {"decoder": {"attention": "general"}})
    sources = pad([torch.tensor([2, 3, 4]), torch.tensor([5, 6])])
    targets = pad([torch.tensor([1, 7, 8]), torch.tensor([1, 9])])
    inputs = Pair(sources, targets)
    whole = model(inputs).prediction
    stepper, state = model.decoder(inputs)
    for place in range(2):
        scores, state = stepper.step(targets.data[:, place], state)
        torch.testing.assert_close(scores, whole[:, place], rtol=1e-5, atol=1e-6)
    assert stepper.attention(state).sum(-1).tolist() == pytest.approx([1.0, 1.0])
    rows = torch.tensor([1])
    one, _ = stepper.select(rows).step(torch.tensor([3]), states.select(state, rows))
    both, _ = stepper.step(torch.tensor([3, 3]), state)
    torch.testing.assert_close(one[0], both[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("shares", "fault"), [((0.5,), "2 members and 1 shares"), ((0.9, 0.3), "sum to 1")])
def test_shares_must_fit(shares: tuple[float, ...], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        EnsembleConfig(members=(LanguageModelConfig(), LanguageModelConfig()), shares=shares)


def test_every_model_but_the_ensemble_may_be_a_member() -> None:
    for kind in MODELS:
        if kind != "ensemble":
            assert EnsembleConfig.model_validate({"members": [{"kind": kind}, {"kind": kind}]}).members[0].kind == kind
    with pytest.raises(ValidationError, match="ensemble"):
        EnsembleConfig.model_validate({"members": [{"kind": "ensemble"}]})


def test_one_member_alone_changes_nothing() -> None:
    logits = torch.randn(4, V)
    torch.testing.assert_close(mix([logits], torch.ones(1), LANGUAGE), logits.log_softmax(-1))
