"""The curves of a diagnosis as TensorBoard shows them."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

from recurra.diagnosis.examination import Examination
from recurra.training.logs import open_tensorboard


def write_events(folder: Path, found: Examination) -> None:
    """Write event files whose steps are steps in time, in place of older ones; none without TensorBoard."""
    shutil.rmtree(folder, ignore_errors=True)
    log = open_tensorboard("auto", folder, None)
    if log is None:
        return
    for layer, curve in found.now.gradients.items():
        for back, size in enumerate(curve):
            log.scalars("gradient_through_time", {layer: size}, back)
    for layer, measured in found.now.dynamics.items():
        for steps, left in enumerate(measured.gain):
            log.scalars("state_change_left", {layer: left}, steps)
        for number, exponent in enumerate(measured.exponents):
            log.scalars("lyapunov_exponent", {layer: exponent}, number)
    for distance, size in found.memory.items():
        log.scalars("memory", {"answer_changes": size}, distance)
    for distance, told in enumerate(found.needs.information if found.needs else (), start=1):
        log.scalars("memory", {"inputs_tell": told}, distance)
    for name, trial in found.trials.items():
        for row in trial.rows:
            if row["loss"] is not None and math.isfinite(row["loss"]):
                log.scalars("short_training", {name.replace(" / ", "_over_"): row["loss"]}, row["update"])
    log.close()
