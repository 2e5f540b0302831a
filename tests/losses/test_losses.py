"""Losses against torch's own, with masks, and with NaN on the padding."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from recurra.core.batch import LossSum
from recurra.core.errors import ShapeError
from recurra.losses import LOSSES, cross_entropy, huber, mae, mse

B, T, V = 4, 6, 5


def inputs(name: str, shape: tuple[int, ...] = (B, T, V), dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Raw output that wants a gradient, and fitting targets."""
    made = torch.Generator().manual_seed(0)
    prediction = torch.randn(shape, generator=made, dtype=dtype).requires_grad_()
    if name == "cross-entropy":
        return prediction, torch.randint(0, shape[-1], shape[:-1], generator=made)
    if name == "binary-cross-entropy":
        return prediction, torch.rand(shape, generator=made, dtype=dtype).round()
    return prediction, torch.randn(shape, generator=made, dtype=dtype)


def reference(name: str, prediction: Tensor, targets: Tensor) -> Tensor:
    """torch's own, mean over everything."""
    if name == "cross-entropy":
        return F.cross_entropy(prediction.reshape(-1, prediction.shape[-1]), targets.reshape(-1))
    if name == "binary-cross-entropy":
        return F.binary_cross_entropy_with_logits(prediction, targets)
    return {"mse": F.mse_loss, "mae": F.l1_loss, "huber": F.huber_loss}[name](prediction, targets)


every_loss = pytest.mark.parametrize(("name", "loss"), LOSSES.items(), ids=LOSSES)
MASK = torch.arange(T)[None, :] < torch.tensor([6, 0, 3, 1])[:, None]


@every_loss
@pytest.mark.parametrize("shape", [(B, T, V), (B, V)])
def test_mean_is_torchs(name: str, loss: Callable[..., LossSum], shape: tuple[int, ...]) -> None:
    prediction, targets = inputs(name, shape)
    found = loss(prediction, targets)
    torch.testing.assert_close(found.mean(), reference(name, prediction, targets))
    assert found.total.dim() == found.count.dim() == 0
    (gradient,) = torch.autograd.grad(found.mean(), prediction)
    (expected,) = torch.autograd.grad(reference(name, prediction, targets), prediction)
    torch.testing.assert_close(gradient, expected)


@every_loss
def test_mask_takes_real_positions_only(name: str, loss: Callable[..., LossSum]) -> None:
    prediction, targets = inputs(name)
    found = loss(prediction, targets, MASK)
    torch.testing.assert_close(found.mean(), reference(name, prediction[MASK], targets[MASK]))
    assert int(found.count) == targets[MASK].numel()
    everything = loss(prediction, targets, torch.ones(B, T, dtype=torch.bool))
    torch.testing.assert_close(everything.total, loss(prediction, targets).total)


@every_loss
def test_nan_on_padding_reaches_nothing(name: str, loss: Callable[..., LossSum]) -> None:
    prediction, targets = inputs(name)
    clean = loss(prediction, targets, MASK)
    (expected,) = torch.autograd.grad(clean.total, prediction)
    spoilt = prediction.detach().masked_fill(~MASK[..., None], float("nan")).requires_grad_()
    if targets.is_floating_point():
        targets = targets.masked_fill(~MASK[..., None], float("nan"))
    found = loss(spoilt, targets, MASK)
    (gradient,) = torch.autograd.grad(found.total, spoilt)
    assert torch.equal(found.total, clean.total)
    assert torch.equal(gradient, expected)
    assert not gradient[~MASK].any()


@every_loss
def test_parts_add_up(name: str, loss: Callable[..., LossSum]) -> None:
    prediction, targets = inputs(name)
    parts = loss(prediction[:1], targets[:1], MASK[:1]) + loss(prediction[1:], targets[1:], MASK[1:])
    torch.testing.assert_close(parts.mean(), loss(prediction, targets, MASK).mean())


@every_loss
def test_nothing_real(name: str, loss: Callable[..., LossSum]) -> None:
    prediction, targets = inputs(name)
    found = loss(prediction, targets, torch.zeros(B, T, dtype=torch.bool))
    assert (found.total.item(), found.count.item(), found.mean().item()) == (0, 0, 0)
    (gradient,) = torch.autograd.grad(found.mean(), prediction)
    assert not gradient.any()
    empty = loss(prediction[:0], targets[:0])
    assert (empty.total.item(), empty.mean().item()) == (0, 0)


@every_loss
def test_shapes_that_do_not_fit(name: str, loss: Callable[..., LossSum]) -> None:
    prediction, targets = inputs(name)
    with pytest.raises(ShapeError, match="got"):
        loss(prediction, targets[:, :-1])
    with pytest.raises(ShapeError, match="mask of shape"):
        loss(prediction, targets, MASK[:, :-1])


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("mask", [None, MASK], ids=["all", "masked"])
def test_label_smoothing(smoothing: float, mask: Tensor | None) -> None:
    logits, targets = inputs("cross-entropy")
    chosen = slice(None) if mask is None else mask
    log_probs = logits[chosen].reshape(-1, V).log_softmax(-1)
    wanted = F.one_hot(targets[chosen].reshape(-1), V) * (1 - smoothing) + smoothing / V
    torch.testing.assert_close(cross_entropy(logits, targets, mask, smoothing).total, -(wanted * log_probs).sum())


def test_an_object_that_knows_its_own_cross_entropy() -> None:
    class Sampled:
        def cross_entropy(self, targets: Tensor, mask: Tensor | None, label_smoothing: float) -> LossSum:
            assert mask is MASK and label_smoothing == 0.2
            return LossSum(torch.tensor(3.0), torch.tensor(targets.numel()))

    assert cross_entropy(Sampled(), torch.zeros(B, T), MASK, 0.2).count == B * T


@every_loss
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_summed_in_float32(name: str, loss: Callable[..., LossSum], dtype: torch.dtype) -> None:
    prediction, targets = inputs(name, dtype=dtype)
    found = loss(prediction, targets)
    assert found.total.dtype == torch.float32
    wide = targets.float() if targets.is_floating_point() else targets
    torch.testing.assert_close(found.total, loss(prediction.float(), wide).total)


def test_huber_delta() -> None:
    prediction, targets = torch.tensor([0.0, 3.0]), torch.zeros(2)
    assert huber(prediction, targets, delta=2.0).total.item() == pytest.approx(4.0)
    assert huber(torch.tensor([1.0]), torch.zeros(1)).total.item() == pytest.approx(0.5)
    assert mae(prediction, targets).mean().item() == 1.5
    assert mse(prediction, targets).mean().item() == 4.5
