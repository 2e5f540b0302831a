"""From sources to texts: the search over a model, and what a person reads of what it found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from recurra.core.batch import Batch
from recurra.core.errors import ConfigError
from recurra.decoding import Hypothesis, SamplingConfig, SearchConfig, beam_search, greedy_search, sample_batch
from recurra.metrics import Generated
from recurra.tasks.pair_coding import PairBatch, PairCoder, PairExample


class Found(NamedTuple):
    """What a search gives.

    Attributes:
        hypotheses: of each row, best first.
        nats: negative log-likelihood of each row's reference, or None where there are no references.
    """

    hypotheses: list[list[Hypothesis]]
    nats: list[float] | None


class PairSearch:
    """Searches and draws with any model that has `decoder(pair, copies)`.

    Args:
        coder: of the task.
        config: how to search.
        replace_unknown: whether the unknown word may be said, to become the source word most attended to.
    """

    def __init__(self, coder: PairCoder, config: SearchConfig, *, replace_unknown: bool) -> None:
        self.coder, self.config, self._replace = coder, config, replace_unknown
        unk = coder.target.unk_index
        self._never = [] if unk is None or replace_unknown else [unk]
        self._quick = SearchConfig(
            max_length=config.max_length, max_ratio=config.max_ratio, min_length=config.min_length
        )

    def search(self, model: Any, batch: PairBatch, *, quick: bool = False) -> list[list[Hypothesis]]:
        """The best hypotheses of each row; `quick` takes the likeliest token, whatever the config says of beams."""
        config = self._quick if quick else self.config
        stepper, state = model.decoder(batch.inputs, config.beam_size)
        eos = self.coder.target.eos_index
        options: dict[str, Any] = {
            "start": eos,
            "eos": eos,
            "limits": self._limits(batch),
            "never": self._never,
            "source_mask": batch.inputs.source.mask,
        }
        if config.beam_size == 1:
            return [[found] for found in greedy_search(stepper, state, config, **options)]
        return beam_search(stepper, state, config, **options)

    def draw(
        self, model: Any, batch: PairBatch, copies: int, temperature: float
    ) -> tuple[list[PairExample], list[float]]:
        """`copies` drawn targets for each row, one after another, and the log-probability of each.

        No token is forbidden: were it not the model that is drawn from, the gradient would not be that of the reward.
        """
        stepper, state = model.decoder(batch.inputs, copies)
        eos = self.coder.target.eos_index
        drawn = sample_batch(
            stepper,
            state,
            SamplingConfig(temperature=temperature),
            start=eos,
            eos=eos,
            limits=self._limits(batch).repeat_interleave(copies),
        )
        rows = []
        for number, (tokens, length) in enumerate(zip(drawn.tokens.tolist(), drawn.lengths.tolist(), strict=True)):
            ended = tokens[length - 1] == eos
            target = np.array(tokens[: length - 1 if ended else length], dtype=np.int32)
            rows.append(batch.rows[number // copies]._replace(target=target, ended=ended))
        return rows, drawn.log_probs.sum(1).tolist()

    def _limits(self, batch: PairBatch) -> Tensor:
        lengths = [len(row.tokens) for row in batch.rows]
        return self.config.limits(torch.tensor(lengths, device=batch.targets.device))

    def generated(self, found: Sequence[Hypothesis], nats: float | None, row: PairExample) -> Generated:
        """A row's texts and attention."""
        if len(row.tokens) == 1 or not found:
            return Generated("", row.source, reference_nats=nats, reference_tokens=len(row.target) + row.ended)
        seen = self.coder.source_words(row)
        written = [self._written(one, row, seen) for one in found]
        texts = [self.coder.text(one.tokens, words) for one, words in zip(found, written, strict=True)]
        weights = found[0].attention
        return Generated(
            text=texts[0],
            source=row.source,
            score=found[0].score,
            alternatives=tuple(zip(texts[1:], (one.score for one in found[1:]), strict=True)),
            source_tokens=seen,
            target_tokens=tuple(written[0]),
            attention=None if weights is None or not weights.any() else weights[:, : len(seen)].float().cpu().numpy(),
            reference_nats=nats,
            reference_tokens=len(row.target) + row.ended,
            cut=row.cut,
        )

    def _written(self, found: Hypothesis, row: PairExample, seen: Sequence[str]) -> list[str]:
        """The tokens as words; an unknown one becomes the source word most attended to, where that is asked for.

        Reference: Luong et al. (2015), "Addressing the rare word problem", https://arxiv.org/abs/1410.8206.
        """
        words = self.coder.words(found.tokens, row)
        if self._replace and found.attention is not None and len(seen) > 1:
            weights = found.attention[:, : len(seen) - 1]
            for place, token in enumerate(found.tokens):
                if token == self.coder.target.unk_index and bool(weights[place].any()):
                    words[place] = seen[int(weights[place].argmax())]
        return words


def row_nats(prediction: Any, batch: Batch) -> Tensor:
    """(B,) -log p of each row's targets.

    Args:
        prediction: logits or log-probabilities (B, T, V), or what the softmax returns in training instead.
        batch: inputs with a `target`, and the targets.
    Raises:
        ConfigError: the model's softmax does not score all words in training.
    """
    if not isinstance(prediction, Tensor):
        if not hasattr(prediction, "log_probs"):
            raise ConfigError("objectives of rewards need scores of all words; set model.softmax=full.")
        prediction = prediction.log_probs()
    mask = batch.inputs.target.mask
    targets = batch.targets.masked_fill(~mask, 0)
    nats = -prediction.float().log_softmax(-1).gather(-1, targets[..., None])[..., 0]
    return nats.masked_fill(~mask, 0.0).sum(1)
