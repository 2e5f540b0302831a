"""Against forgetting: a pull back to the pretrained weights, and the source's own batches once more.

Sources: L2-SP: Li, Grandvalet and Davoine (2018), equation 2, https://arxiv.org/abs/1802.01483; replay: Robins (1995),
Catastrophic forgetting, rehearsal and pseudorehearsal.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recurra.core.batch import BatchStream, ModelOutput, Task


class Pull(nn.Module):
    """strength / 2 times the squared distance of weights from where they started.

    Args:
        model: with the weights to start from.
        names: of the weights that are pulled.
        strength: of the pull.
    """

    def __init__(self, model: nn.Module, names: Collection[str], strength: float) -> None:
        super().__init__()
        self.strength = strength
        self._places = []
        for number, name in enumerate(names):
            path, _, own = name.rpartition(".")
            self._places.append((model.get_submodule(path), own))
            # in no checkpoint: they are those of the model from which the run starts
            self.register_buffer(f"start_{number}", model.get_parameter(name).detach().clone(), persistent=False)

    def forward(self) -> Tensor:
        """The penalty of the weights of now."""
        distances = [
            F.mse_loss(cast(Tensor, module._parameters[own]), start, reduction="sum")
            for (module, own), start in zip(self._places, self.buffers(), strict=True)
        ]
        return self.strength / 2 * torch.stack(distances).sum()


class Replay(nn.Module):
    """The source's loss, on a batch of the source now and then.

    Args:
        model: has the tuned weights in it; what it has beside them stands still.
        task: the source's.
        stream: the source's batches, from the start.
        share: of the calls on which there is one.
    Attributes:
        calls: how many there were; a resumed run goes on from there.
    """

    calls: Tensor

    def __init__(self, model: nn.Module, task: Task, stream: BatchStream, share: float) -> None:
        super().__init__()
        self.model, self.share = model, share
        self._task, self._stream, self._drawn = task, stream, 0
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self) -> Tensor | None:
        """The mean loss of the next batch, or None where it is not yet time for one."""
        if not self.due():
            return None
        wanted, batch = self._wanted(int(self.calls)), None
        while self._drawn < wanted or batch is None:  # several after a resumption
            batch = self._stream.next_batch()
            self._drawn += batch is not None
        batch = batch.to(self.calls.device)
        output: ModelOutput = self.model(batch.inputs)
        return self._task.loss(output.prediction, batch).mean()

    def due(self) -> bool:
        """Count a call; whether it is time for a batch."""
        self.calls += 1
        return self._wanted(int(self.calls)) > self._wanted(int(self.calls) - 1)

    def _wanted(self, calls: int) -> int:
        """How many batches so many calls take; the tiny sum makes up for what a share loses as a binary number."""
        return math.floor(calls * self.share + 1e-9)
