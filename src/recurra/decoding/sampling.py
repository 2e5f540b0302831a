"""Sampling, token by token: temperature, top-k, nucleus (top-p), repetition penalty; greedy at temperature 0."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from pydantic import Field
from torch import Tensor

from recurra.core.config import Config
from recurra.core.errors import ConfigError
from recurra.decoding.stepper import Feed


class SamplingConfig(Config):
    """How the next token is drawn."""

    max_length: int = Field(200, ge=1, description="most tokens to generate")
    temperature: float = Field(1.0, ge=0, description="logits are divided by this; 0 takes the likeliest token")
    top_k: int = Field(0, ge=0, description="draw from the k likeliest tokens only; 0 is off")
    top_p: float = Field(1.0, gt=0, le=1, description="draw from the fewest tokens that hold this probability")
    repetition_penalty: float = Field(1.0, ge=1, description="divide the odds of tokens already seen (Keskar 2019)")
    seed: int | None = Field(None, ge=0, lt=2**63, description="same seed, same text; None draws a new one")


def adjust_logits(logits: Tensor, seen: Tensor, config: SamplingConfig) -> Tensor:
    """Apply repetition penalty, temperature, top-k and top-p, in this order.

    Args:
        logits: (B, V); not altered.
        seen: (B, V) bool, True for tokens that the penalty falls on.
        config: a temperature above 0.
    Returns:
        (B, V), -inf where a token may not be drawn; at least one token a row stays.
    Reference: Keskar et al. (2019), section 4.1; Holtzman et al. (2020), equations 2 and 3.
    """
    if config.repetition_penalty > 1:
        log_probs = logits.log_softmax(-1)
        # On log-probabilities, which are never positive, the penalty is one multiplication.
        logits = torch.where(seen, log_probs * config.repetition_penalty, log_probs)
    logits = logits / config.temperature if config.temperature > 0 else logits
    if config.top_k:
        lowest = logits.topk(min(config.top_k, logits.shape[-1]), dim=-1).values[:, -1:]
        logits = logits.masked_fill(logits < lowest, -torch.inf)
    if config.top_p < 1:
        ordered, order = logits.sort(dim=-1, descending=True)
        probs = ordered.softmax(-1)
        # A token goes when those before it already hold top_p; the first always stays.
        cut = probs.cumsum(-1) - probs >= config.top_p
        logits = logits.masked_fill(torch.zeros_like(cut).scatter(-1, order, cut), -torch.inf)
    return logits


@torch.no_grad()
def sample(
    feed: Feed,
    prompt: Sequence[int],
    config: SamplingConfig,
    *,
    stop: int | None = None,
    never: Sequence[int] = (),
    device: torch.device | str = "cpu",
) -> Iterator[int]:
    """Yield one new token after another for one prompt.

    Args:
        feed: the model in evaluation mode; goes on from where it stands.
        prompt: at least one token; fed first, not yielded.
        config: how to draw.
        stop: a token that ends the text (not yielded).
        never: tokens that are never drawn, such as the unknown word.
        device: where the model is.
    Raises:
        ConfigError: an empty prompt.
    """
    if not prompt:
        raise ConfigError("sampling needs at least one token to start from.")
    draw = torch.Generator(device="cpu")
    draw.manual_seed(config.seed) if config.seed is not None else draw.seed()
    seen: Tensor | None = None
    logits = torch.empty(0)
    for token in prompt:
        logits = feed(torch.tensor([token], device=device))
        seen = torch.zeros_like(logits, dtype=torch.bool) if seen is None else seen
        seen[0, token] = True
    assert seen is not None, "the prompt is not empty"
    for _ in range(config.max_length):
        scores = logits.float().clone()
        scores[:, list(never)] = -torch.inf
        scores = adjust_logits(scores, seen, config)
        if config.temperature == 0:
            token = int(scores.argmax(-1))
        else:
            token = int(torch.multinomial(scores.softmax(-1).cpu(), 1, generator=draw))
        if token == stop:
            return
        yield token
        seen[0, token] = True
        logits = feed(torch.tensor([token], device=device))
