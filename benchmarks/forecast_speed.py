"""Forecasting: milliseconds of one prediction and seconds of training, recurra against Darts and NeuralForecast.

    python -m venv peers
    peers/bin/pip install torch==2.13.0 . "u8darts[torch]==0.36.0" neuralforecast==3.3.0
    RECURRA_DATA=... OMP_NUM_THREADS=1 peers/bin/python benchmarks/forecast_speed.py [--rounds 3] [--budget 20]

Everybody sees the oil temperature of ETTh1: a week of hours (168) in, a day (24) out, one layer of 64 units, float32,
one thread; in one process and in turns, by CPU time. Predictions are asked for as a user of the library does, from the
whole series of 2,000 hours: as an object of the library, as a frame, or as the library keeps it from the training; what
Lightning and the libraries would print is switched off. A turn is 20 predictions in a row, or one alone, which finds
the caches full of what the others left. Trainings are of three epochs over the same windows, without validation: Darts'
`BlockRNNModel.fit`, and recurra's `Loop` as `recurra train` runs it. Before the clock starts, recurra's network gets
the weights of Darts' BlockRNNModel, and forecasts and gradients must agree.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from forecast_peers import (
    FRAME,
    KEPT,
    SERIES,
    Peer,
    Sizes,
    block_rnn,
    darts_peers,
    neural_forecast_peers,
    silence,
    time_series,
)
from kernel_bench.clock import background_share, say
from kernel_bench.markdown import table
from peer_report import Race, data, head, run_race, write
from torch import nn

from recurra.core.config import parse
from recurra.core.inputs import Window
from recurra.core.sequences import Sequences
from recurra.data import series_from_frame
from recurra.estimators import Forecaster
from recurra.models import MODELS
from recurra.runs import RunConfig
from recurra.tasks import Forecasting, Preparation
from recurra.tasks.base import Prepared, StreamOptions
from recurra.training import Job, Loop, start_world

STEPS, CONTEXT, HORIZON, HIDDEN = 2000, 168, 24, 64
EPOCHS, RATE = 3, 1e-3
CALLS = 20  # predictions in a row
BATCHES = (32, 128)
TOLERANCE = 1e-4


class Problem:
    """The series, and recurra's side of it.

    Attributes:
        values: (STEPS,) of the series.
        stamps: (STEPS,) hours.
    """

    def __init__(self, folder: Path) -> None:
        rows = np.loadtxt(
            data("forecasting", "etth1", "ETTh1.csv.gz"), delimiter=",", skiprows=1, usecols=(0, 7), dtype=str
        )[:STEPS]
        self.values, self.stamps = rows[:, 1].astype(np.float32), rows[:, 0].astype("datetime64[ns]")
        self._file = folder / "series.csv"
        lines = [f"{stamp},{value}" for stamp, value in zip(*rows.T, strict=True)]
        self._file.write_text("\n".join(["date,OT", *lines]) + "\n", encoding="utf-8")

    def config(self, sizes: Sizes, normalisation: str = "last", carry: bool = False) -> RunConfig:
        """Of a run that does what BlockRNNModel does: points, no calendar, no clipping."""
        return parse(
            RunConfig,
            {
                "task": {
                    "kind": "forecasting",
                    "horizon": sizes.horizon,
                    "context_length": sizes.context_length,
                    "likelihood": {"kind": "mse"},
                    "calendar": {"features": []},
                },
                "model": {
                    "kind": "forecaster",
                    "cell": {"kind": sizes.cell},
                    "hidden_size": sizes.hidden_size,
                    "history": {"normalisation": normalisation, "carry": carry, "patch_length": 1},
                    "head": {"kind": "direct"},
                },
                "optimizer": {"kind": "adam", "learning_rate": sizes.rate, "clip_norm": 0},
                "training": {"epochs": EPOCHS, "batch_size": sizes.batch_size, "device": "cpu", "tensorboard": "never"},
                "data": {"train": str(self._file), "valid_fraction": 0, "test_fraction": 0},
            },
        )

    def prepare(self, config: RunConfig) -> Prepared:
        """The task fitted on the series, and its windows."""
        given = Preparation(data=config.data, seed=0, cache=Path("unused"))
        return Forecasting.prepare(config.task, given)

    def fitted(self, sizes: Sizes, carry: bool = False) -> tuple[Forecaster, pd.DataFrame]:
        """An estimator after one epoch, and the frame that it was given."""
        frame = pd.DataFrame({"ds": self.stamps, "y": self.values})
        config = self.config(sizes, "none" if carry else "last", carry)
        settings = flat(config.model_dump(mode="json", exclude_unset=True))
        given = {name: value for name, value in settings.items() if name not in ("data.train", "data.valid_fraction")}
        return Forecaster(sizes.horizon, epochs=1, options=given).fit(frame), frame


def flat(settings: Any, name: str = "") -> dict[str, Any]:
    """Nested settings by dotted names."""
    if not isinstance(settings, dict):
        return {name: settings}
    return {key: value for part in settings for key, value in flat(settings[part], f"{name}.{part}".strip(".")).items()}


def copy_weights(ours: nn.Module, theirs: nn.Module) -> None:
    """recurra's forecaster becomes Darts' BlockRNNModel."""
    (cell,), head_layer = ours.encoder.recurrent.cells, ours.head.steps
    with torch.no_grad():
        for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            getattr(cell, part).copy_(getattr(theirs.rnn, f"{part}_l0"))
        for part in ("weight", "bias"):
            getattr(head_layer, part).copy_(getattr(theirs.fc[0], part))


def difference(problem: Problem, sizes: Sizes) -> float:
    """The largest norm-relative difference of forecasts, loss and gradients on the same weights."""
    config = problem.config(sizes, "none")
    ours = MODELS["forecaster"](config.model, problem.prepare(config).task.spec)
    darts = block_rnn(sizes, 1)
    darts.fit(time_series(problem.values, problem.stamps), verbose=False)
    theirs = darts.model.train()
    theirs.zero_grad()
    copy_weights(ours, theirs)
    windows = torch.randn(sizes.batch_size, sizes.context_length + sizes.horizon, 1)
    history, targets = windows.split([sizes.context_length, sizes.horizon], 1)
    own = ours(Window(past=Sequences(history))).prediction.parameters[..., 0]
    other = theirs((history, None, None)).reshape(own.shape)
    pairs = [(own, other)]
    for found in (own, other):
        nn.functional.mse_loss(found, targets).backward()
    cell = ours.encoder.recurrent.cells[0]
    pairs += [(getattr(cell, part).grad, getattr(theirs.rnn, f"{part}_l0").grad) for part in ("weight_ih", "weight_hh")]
    pairs += [(getattr(ours.head.steps, part).grad, getattr(theirs.fc[0], part).grad) for part in ("weight", "bias")]
    return max(float((a - b).norm() / b.norm()) for a, b in pairs)


def our_rows(problem: Problem, sizes: Sizes) -> list[Peer]:
    """recurra's ways to a forecast, and its network alone."""
    forecaster, frame = problem.fitted(sizes)
    saved = forecaster.model_
    items = list(saved.task.reader.channels(series_from_frame(frame)))
    window = Window(past=Sequences(torch.from_numpy(problem.values[None, -sizes.context_length :, None])))
    live = problem.fitted(sizes, carry=True)[0].stream()

    @torch.inference_mode()
    def alone() -> object:
        return saved.model(window)

    def streaming() -> object:
        live.update(problem.values[-1])
        return live.forecast()

    return [
        Peer("recurra", SERIES, saved.model, lambda: saved.predict(items)),
        Peer("recurra", FRAME, saved.model, lambda: forecaster.predict(frame)),
        Peer("recurra", KEPT, saved.model, forecaster.predict),
        Peer("recurra, state carried", "one more value", saved.model, streaming),
        Peer("recurra's network alone", "a tensor", saved.model, alone),
    ]


def prediction_rows(problem: Problem, cell: str, given: argparse.Namespace) -> list[list[str]]:
    """Everybody's; ratios to recurra's row of the same input."""
    sizes = Sizes(cell, HIDDEN, CONTEXT, HORIZON, BATCHES[0], RATE)
    peers = our_rows(problem, sizes)
    ours = {peer.takes: place for place, peer in reversed(list(enumerate(peers)))}
    peers += darts_peers(sizes, problem.values, problem.stamps)
    peers += neural_forecast_peers(sizes, problem.values, problem.stamps)
    silence()
    alone = run_race(f"predict, {cell}", [peer.predict for peer in peers], given.rounds, given.budget)
    rows = run_race(f"predict in a row, {cell}", [in_a_row(peer) for peer in peers], given.rounds, given.budget)
    found = []
    for place, peer in enumerate(peers):
        rival = ours[peer.takes]
        ratios = ["" if peer.name.startswith("recurra") else race.ratio(place, rival) for race in (rows, alone)]
        weights = sum(p.numel() for p in peer.network.parameters())
        times = [f"{rows.seconds(place) * 1e3 / CALLS:.2f}", f"{alone.seconds(place) * 1e3:.2f}"]
        found.append([cell.upper(), peer.name, peer.takes, f"{weights:,}", times[0], ratios[0], times[1], ratios[1]])
    return found


def in_a_row(peer: Peer) -> Callable[[], None]:
    """CALLS predictions."""

    def run() -> None:
        for _ in range(CALLS):
            peer.predict()

    return run


def make_training(problem: Problem, sizes: Sizes, folder: Path) -> tuple[Callable[[], None], int]:
    """One training from new weights by recurra's loop, and how many windows it sees."""
    config = problem.config(sizes)
    prepared = problem.prepare(config)
    task, split = prepared.task, prepared.splits.train

    def run() -> None:
        torch.manual_seed(0)
        model = MODELS["forecaster"](config.model, task.spec)
        options = StreamOptions(batch_size=sizes.batch_size, length=1, seed=0, shuffle=True)
        with tempfile.TemporaryDirectory(dir=folder) as own:
            job = Job(
                model=model,
                layer_groups=model.layer_groups,
                task=task,
                train=task.stream(split, options),
                valid=None,
                optimizer=config.optimizer,
                schedule=config.schedule,
                training=config.training,
                world=start_world("cpu"),
                folder=Path(own),
                quiet=True,
                say=lambda _: None,
            )
            Loop(job).run()

    return run, len(split)


def training_rows(problem: Problem, cell: str, given: argparse.Namespace, folder: Path) -> list[list[str]]:
    """A row for each batch size."""
    series = time_series(problem.values, problem.stamps)
    found = []
    for batch_size in BATCHES:
        sizes = Sizes(cell, HIDDEN, CONTEXT, HORIZON, batch_size, RATE)
        differ = difference(problem, sizes)
        silence()
        ours, windows = make_training(problem, sizes, folder)

        def theirs(sizes: Sizes = sizes) -> None:
            block_rnn(sizes, EPOCHS).fit(series, verbose=False)

        race: Race = run_race(f"train, {cell}, {batch_size}", [ours, theirs], given.rounds, given.budget)
        times = [f"{race.seconds(place):.2f}" for place in range(2)]
        found.append([cell.upper(), str(batch_size), f"{windows:,}", f"{differ:.0e}", *times, race.ratio(1)])
    return found


def main() -> int:
    """Measure, print and write; 1 where the networks differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--budget", type=float, default=20.0, help="seconds of a race in a round")
    parser.add_argument("--cells", nargs="+", default=["lstm", "gru"])
    parser.add_argument("--parts", nargs="+", default=["predict", "train"])
    given = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    silence()
    notes = [
        f"1 thread, CPU time of the process, in turns; medians, geometric mean over {given.rounds} rounds (and between "
        "which ratios they lie); above 1 recurra is faster",
        f"oil temperature of ETTh1, {STEPS:,} hours; {CONTEXT} in, {HORIZON} out; one layer of {HIDDEN} units, float32",
        f"predictions go on from the end of the whole series; in a row: {CALLS} of one library before the next one's "
        "turn; ratios to recurra's row of the same input; recurra's come with intervals, where they are asked for",
        f"trainings: {EPOCHS} epochs, Adam, squared error, no validation",
        "differ by: largest norm-relative difference of forecasts and gradients, same weights",
    ]
    title, packages = "Forecasting speed: recurra, Darts, NeuralForecast", ("u8darts", "neuralforecast", "pandas")
    texts = [head(title, packages, notes)]
    good = True
    with tempfile.TemporaryDirectory() as name:
        problem = Problem(Path(name))
        if "predict" in given.parts:
            rows = [row for cell in given.cells for row in prediction_rows(problem, cell, given)]
            columns = ["cell", "who", "from", "weights", "ms in a row", "ratio", "ms alone", "ratio"]
            texts += ["One prediction", "", table(columns, rows), ""]
        if "train" in given.parts:
            rows = [row for cell in given.cells for row in training_rows(problem, cell, given, Path(name))]
            good = all(float(row[3]) < TOLERANCE for row in rows)
            columns = ["cell", "batch", "windows", "differ by", "recurra, s", "Darts BlockRNNModel, s", "ratio"]
            texts += ["Training", "", table(columns, rows), ""]
    say(f"CPU time that the process burns while it sleeps: {background_share():.1%} of a core")
    text = "\n".join(texts)
    print(text)
    if len(given.cells) == 2 and len(given.parts) == 2:
        write("forecast_speed.md", text)
    if not good:
        say("the networks differ")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
