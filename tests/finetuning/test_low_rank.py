"""Changes of low rank against their formulas, and what in a model they are for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from recurra.core.batch import InputKind, Resolution, TaskSpec
from recurra.core.errors import ConfigError, ModelFileError
from recurra.finetuning import Tuned, attach, own_tensors, tune
from recurra.finetuning.low_rank import LowRank
from recurra.finetuning.methods import AdaptersConfig, DoRAConfig, FrozenConfig, FullConfig, LoRAConfig
from recurra.finetuning.remembering import Pull, Replay
from recurra.finetuning.tuned import matrices
from recurra.layers import GeneralAttentionConfig, RecurrentConfig
from recurra.models import EncoderDecoder, EncoderDecoderConfig, LanguageModel, LanguageModelConfig

STEPS = TaskSpec(InputKind.TOKENS, 7, 7, Resolution.STEP)


def drawn(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64)


def changed(config: LoRAConfig, gates: int = 1) -> LowRank:
    found = LowRank(drawn(12, 5), config, gates)
    with torch.no_grad():
        for parameter in found.parameters():
            parameter.add_(drawn(*parameter.shape))
    return found


@pytest.mark.parametrize("gates", [1, 4])
def test_lora_adds_a_scaled_product_of_low_rank(gates: int) -> None:
    change = changed(LoRAConfig(rank=2, alpha=6.0), gates)
    start, up, down = (tensor.detach().numpy() for tensor in (change.start, change.up, change.down))
    wanted = start + np.concatenate([3.0 * up[gate] @ down[gate] for gate in range(gates)])
    np.testing.assert_allclose(change().detach().numpy(), wanted, rtol=1e-12)
    assert np.linalg.matrix_rank(change().detach().numpy() - start) == min(2 * gates, 5)
    fresh = LowRank(drawn(12, 5), LoRAConfig(rank=2), gates)
    assert torch.equal(fresh(), fresh.start)


def test_dora_gives_each_row_the_length_that_it_learns() -> None:
    change = changed(DoRAConfig(rank=2))
    weight, plain = change(), change.start + change.scale * (change.up @ change.down)[0]
    assert change.magnitude is not None
    torch.testing.assert_close(weight.norm(dim=1), change.magnitude.abs())
    torch.testing.assert_close(weight, change.magnitude[:, None] * plain / plain.norm(dim=1, keepdim=True))
    # the norm counts as a constant: the gradient of the direction is m / ||W|| times that of the product
    upstream = drawn(12, 5)
    (weight * upstream).sum().backward()
    scaled = upstream * (change.magnitude / plain.norm(dim=1))[:, None]
    torch.testing.assert_close(change.up.grad, change.scale * (scaled @ change.down[0].T)[None])
    torch.testing.assert_close(change.magnitude.grad, (upstream * plain).sum(1) / plain.norm(dim=1))


def test_a_row_of_zeros_stays_finite() -> None:
    change = LowRank(torch.zeros(3, 4), DoRAConfig(rank=2))
    change().sum().backward()
    assert all(torch.isfinite(weight.grad).all() for weight in change.parameters() if weight.grad is not None)
    assert torch.equal(change(), torch.zeros(3, 4))


def test_dropout_strikes_columns_of_the_change_in_training_only() -> None:
    change = changed(LoRAConfig(rank=2, dropout=0.5))
    moved = (change() - change.start).abs().sum(0) > 0
    assert 0 < moved.sum() < 5
    whole = change.eval()() - change.start
    assert (whole.abs().sum(0) > 0).all()
    draws = torch.stack([(change.train()() - change.start).detach() for _ in range(3000)])
    torch.testing.assert_close(draws.mean(0), whole.detach(), rtol=0.15, atol=0.15)


def test_a_change_is_no_larger_than_its_matrix() -> None:
    change = LowRank(drawn(12, 1), LoRAConfig(rank=8))
    assert change.down.shape == (1, 1, 1) and change.up.shape == (1, 12, 1)


def test_convolutions_are_matrices_of_what_follows_the_first_axis() -> None:
    change = LowRank(drawn(6, 4, 3), LoRAConfig(rank=2))
    assert change.down.shape == (1, 2, 12) and change().shape == (6, 4, 3)


def test_what_matrices_are_for() -> None:
    spec = TaskSpec(InputKind.TOKENS, 9, 9, Resolution.TARGET, eos_index=1)
    config = EncoderDecoderConfig.model_validate(
        {
            "embedding_dim": 4,
            "hidden_size": 4,
            "cell": "gru",
            "decoder": {"attention": {"kind": "general"}},
            "tied": "all",
        }
    )
    assert isinstance(config.decoder.attention, GeneralAttentionConfig) and isinstance(config, RecurrentConfig)
    found = matrices(EncoderDecoder(config, spec))
    assert found["encoder.embedding.weight"] == ("embedding", 1) and "head.weight" not in found
    assert found["encoder.recurrent.cells.0.weight_ih"] == ("input", 3)
    assert found["target_decoder.recurrent.cells.0.weight_hh"] == ("recurrent", 3)
    assert any(target == "output" for target, _ in found.values())


def model(**options: object) -> LanguageModel:
    return LanguageModel(LanguageModelConfig.model_validate({"embedding_dim": 4, "hidden_size": 5} | options), STEPS)


def test_targets_choose_the_matrices() -> None:
    tuned = tune(model(), LoRAConfig(targets=("recurrent", "output")), ())
    assert isinstance(tuned, Tuned)
    assert set(tuned.weights()) == {"encoder.recurrent.cells.0.weight_hh", "head.weight"}


def test_frozen_without_anything_new_trains_the_top() -> None:
    tuned = tune(model(), FrozenConfig(), ())
    assert isinstance(tuned, Tuned) and tuned.trained == {"head.weight", "head.bias"}
    assert len(tuned.layer_groups()) == 1


def test_full_is_the_model_itself() -> None:
    plain = model()
    assert tune(plain, FullConfig(), ()) is plain
    pulled = tune(plain, FullConfig(), (), pull=0.5)
    assert isinstance(pulled, Tuned) and pulled.count() == sum(weight.numel() for weight in plain.parameters())


def test_adapters_need_room() -> None:
    with pytest.raises(ConfigError, match="finds nothing to train"):
        tune(model(), AdaptersConfig(), ())
    tuned = tune(model(adapter_size=2), AdaptersConfig(), ())
    assert isinstance(tuned, Tuned) and all(".adapters.0." in name for name in tuned.trained)


def test_the_pull_is_half_the_squared_distance() -> None:
    plain = model()
    name = "encoder.recurrent.cells.0.weight_hh"
    pull = Pull(plain, [name], 3.0)
    assert pull() == 0
    with torch.no_grad():
        plain.get_parameter(name).add_(0.5)
    assert pull().item() == pytest.approx(1.5 * 0.25 * 20 * 5)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0])
def test_replay_takes_its_share_and_goes_on_where_it_was(share: float) -> None:
    def asked(replay: Replay, times: int) -> list[bool]:
        return [replay.due() for _ in range(times)]

    replay = Replay(model(), None, None, share)  # type: ignore[arg-type]
    found = asked(replay, 100)
    assert sum(found) == round(100 * share)
    again = Replay(model(), None, None, share)  # type: ignore[arg-type]
    again.calls.fill_(40)
    assert asked(again, 60) == found[40:]


def test_tensors_of_another_model_are_refused() -> None:
    own = own_tensors(model())
    with pytest.raises(ModelFileError, match="another model"):
        attach(model(), own, {"tensor/nowhere": torch.zeros(1)}, LoRAConfig())
    with pytest.raises(ModelFileError, match="shape"):
        attach(model(), own, {"tensor/head.bias": torch.zeros(3)}, LoRAConfig())
    with pytest.raises(ModelFileError, match="low rank"):
        attach(model(), own, {"change/head.weight/up": torch.zeros(3)}, FrozenConfig())
