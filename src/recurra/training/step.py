"""One update: forward and backward over its batches, normalise, penalise, clip, move the weights."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from recurra.core import state as states
from recurra.core.batch import Batch, ModelOutput, Task
from recurra.core.seeding import load_rng_state, rng_state
from recurra.core.state import State
from recurra.training.averaging import WeightAverage
from recurra.training.distributed import World, full, unwrap
from recurra.training.optimizer import BaseOptimizerConfig, clip, penalise, set_rates

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True, slots=True)
class StepResult:
    """What one update gave: mean loss, gradient norm before clipping, number of loss terms."""

    loss: float
    gradient_norm: float
    count: float


class TrainStep:
    """Owns the order of things in an update; the loop owns when.

    The loss is a sum and a count. With one batch and one process it is divided before the backward pass; with more,
    gradients of the sums are added up and divided once by the global count, which gives the same numbers.
    """

    def __init__(
        self,
        model: nn.Module,
        task: Task,
        optimizer: torch.optim.Optimizer,
        config: BaseOptimizerConfig,
        world: World,
        precision: str,
    ) -> None:
        self.model, self.task, self.optimizer, self.config, self.world = model, task, optimizer, config, world
        self.average = WeightAverage(unwrap(model))
        self.dtype = DTYPES.get(precision)
        needs_scale = self.dtype is torch.float16
        self.scaler = torch.amp.GradScaler(world.device.type, enabled=needs_scale)

    def __call__(self, batches: Sequence[Batch], state: State | None, factor: float) -> tuple[StepResult, State | None]:
        """Run one update over `batches`; returns what it gave, and the detached state after the last batch."""
        set_rates(self.optimizer, factor)
        simple = len(batches) == 1 and self.world.size == 1
        total = count = None
        for position, batch in enumerate(batches):
            with self._unsynchronised(position + 1 < len(batches)):
                output = self._forward(batch, state)
                loss = self.task.loss(output.prediction, batch)
                objective = loss.mean() if simple else loss.total
                if output.penalty is not None:
                    objective = objective + output.penalty * (1 if simple else loss.count)
                self.scaler.scale(objective).backward()
            state = None if output.state is None else states.detach(output.state)
            total = loss.total.detach() if total is None else total + loss.total.detach()
            count = loss.count if count is None else count + loss.count
        assert total is not None and count is not None, "an update needs at least one batch"
        if not simple:
            total, count = self.world.sum(total.double()), self.world.sum(count.double())
            self._divide_gradients(float(count) / self.world.size)
        norm = self._finish()
        return StepResult(float(total) / max(1.0, float(count)), norm, float(count)), state

    def apply(self) -> None:
        """Move the weights and clear the gradients; apart from the call, so that a NaN is seen before."""
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.average.update()

    def probe(self, batch: Batch) -> str | None:
        """Try the asked precision on one batch without moving anything; fall back to float32 where it can't run.

        Returns:
            A sentence if it fell back, else None.
        """
        if self.dtype is None:
            return None
        kept, name = rng_state(), str(self.dtype).removeprefix("torch.")
        try:
            output = self._forward(batch, None)
            self.task.loss(output.prediction, batch).mean().backward()
            return None
        except (RuntimeError, NotImplementedError) as error:
            self.dtype = None
            self.scaler = torch.amp.GradScaler(self.world.device.type, enabled=False)
            reason = str(error).strip().splitlines()[0][:160]
            return f"precision {name} can't run here ({reason}); training in float32."
        finally:
            self.optimizer.zero_grad(set_to_none=True)
            load_rng_state(kept)

    def _forward(self, batch: Batch, state: State | None) -> ModelOutput:
        if self.dtype is None:
            output: ModelOutput = self.model(batch.inputs, state)
            return output
        with torch.autocast(self.world.device.type, dtype=self.dtype):
            output = self.model(batch.inputs, state)
        return output

    def _unsynchronised(self, more_follow: bool) -> contextlib.AbstractContextManager[None]:
        if more_follow and isinstance(self.model, nn.parallel.DistributedDataParallel):
            return self.model.no_sync()
        return contextlib.nullcontext()

    def _divide_gradients(self, by: float) -> None:
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        torch._foreach_div_(gradients, max(by, 1e-12))

    def _finish(self) -> float:
        self.scaler.unscale_(self.optimizer) if self.scaler.is_enabled() else None
        penalise(self.optimizer, self.config)
        norm: Tensor = clip(self.model.parameters(), self.config)
        return float(full(norm))
