"""One update: forward and backward over its batches, normalise, penalise, clip, move the weights."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from recurra.core import state as states
from recurra.core.batch import Acting, Batch, LossSum, ModelOutput, Task
from recurra.core.seeding import load_rng_state, rng_state
from recurra.core.state import State
from recurra.training.distributed import World, bare, full
from recurra.training.optimizer import BaseOptimizerConfig, clip, penalise, set_rates

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True, slots=True)
class StepResult:
    """What one update gave: mean loss, gradient norm before clipping, number of loss terms."""

    loss: float
    gradient_norm: float
    count: float


class Cost(NamedTuple):
    """What a batch costs, the state to carry on, and a scalar that is added to the mean loss, or None."""

    loss: LossSum
    state: State | None
    penalty: Tensor | None


class Objective(Protocol):
    """What a model is trained for, where that is more than the task's loss."""

    def __call__(
        self, forward: Callable[[Batch, State | None], ModelOutput], batch: Batch, state: State | None
    ) -> Cost:
        """The cost of one batch.

        Args:
            forward: asks the model in training.
            batch: to learn from.
            state: what this gave for the batch before, or None.
        """


class TaskLoss:
    """The objective that a task has by itself."""

    def __init__(self, task: Task) -> None:
        self.task = task

    def __call__(
        self, forward: Callable[[Batch, State | None], ModelOutput], batch: Batch, state: State | None
    ) -> Cost:
        """The task's loss of the model's prediction."""
        output = forward(batch, state)
        return Cost(self.task.loss(output.prediction, batch), output.state, output.penalty)


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
        *,
        carries_state: bool,
        objective: Objective | None = None,
    ) -> None:
        """Put the parts together.

        Args:
            model: on the world's device, shared out.
            task: gives the loss.
            optimizer: over the model's parameters.
            config: what happens to a gradient before it.
            world: the processes.
            precision: of the forward pass.
            carries_state: whether a batch goes on where the one before it ended.
            objective: what a batch costs; None: the task's loss.
        """
        self.model, self.task, self.optimizer, self.config, self.world = model, task, optimizer, config, world
        self.carries_state = carries_state
        self.objective = objective or TaskLoss(task)
        self.use_precision(precision)

    def use_precision(self, precision: str) -> None:
        """Run forward passes in `precision` from now on."""
        self.precision = precision
        self._dtype = DTYPES.get(precision)
        self.scaler = torch.amp.GradScaler(self.world.device.type, enabled=precision == "float16")

    def __call__(self, batches: Sequence[Batch], state: State | None, factor: float) -> tuple[StepResult, State | None]:
        """Run one update over `batches`.

        Args:
            batches: at least one; their losses make one mean.
            state: carried from the update before, or None.
            factor: of the learning rate.
        Returns:
            What it gave, and the detached state to carry on; None where none is carried.
        """
        set_rates(self.optimizer, factor)
        simple = len(batches) == 1 and self.world.size == 1
        total = count = None
        for position, batch in enumerate(batches):
            with self._unsynchronised(position + 1 < len(batches)):
                batch = self._act(batch)
                loss, after, penalty = self.objective(self._forward, batch, state)
                if batch.blank:
                    loss = LossSum(loss.total * 0, loss.count * 0)
                objective = loss.mean() if simple else loss.total
                if penalty is not None:
                    objective = objective + penalty * (1 if simple else loss.count)
                self.scaler.scale(objective).backward()
            state = states.detach(after) if self.carries_state and after is not None else None
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

    def probe(self, batch: Batch) -> str | None:
        """Try the asked precision on one batch without moving anything; fall back to float32 where it can't run.

        Returns:
            A sentence if it fell back, else None.
        """
        if self._dtype is None:
            return None
        kept, asked = rng_state(), self.precision
        try:
            self.objective(self._forward, batch, None).loss.mean().backward()
            return None
        except (RuntimeError, NotImplementedError) as error:
            self.use_precision("float32")
            reason = str(error).strip().splitlines()[0][:160]
            return f"precision {asked} can't run here ({reason}); training in float32."
        finally:
            self.optimizer.zero_grad(set_to_none=True)
            load_rng_state(kept)

    def _act(self, batch: Batch) -> Batch:
        """What there is to learn from: the batch itself, or what the task makes of it with the model's own words."""
        if not isinstance(self.task, Acting):
            return batch
        with torch.no_grad():
            acted = self.task.act(bare(self.model), batch)
        # What the model said by itself was said without dropout, and it is that distribution whose gradient is wanted:
        # with dropout, weights that are mostly negative would drive the two apart.
        self.model.train(acted.weights is None)
        return acted

    def _forward(self, batch: Batch, state: State | None) -> ModelOutput:
        with torch.autocast(self.world.device.type, dtype=self._dtype, enabled=self._dtype is not None):
            output: ModelOutput = self.model(batch.inputs, state)
        return output

    def _unsynchronised(self, more_follow: bool) -> contextlib.AbstractContextManager[None]:
        if more_follow and isinstance(self.model, nn.parallel.DistributedDataParallel):
            return self.model.no_sync()
        return contextlib.nullcontext()

    def _divide_gradients(self, by: float) -> None:
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        torch._foreach_div_(gradients, max(by, 1e-12))

    def _finish(self) -> float:
        self.scaler.unscale_(self.optimizer)
        penalise(self.optimizer, self.config)
        norm: Tensor = clip(self.model.parameters(), self.config)
        return float(full(norm))
