"""An LSTM written as `step` in Python, compiled by `Cell.compile_step`, beside the loop and the built-in layers.

    python benchmarks/compiled_step.py [--threads 1] [--rounds 3] [--budget 1.0]

All have the same weights and take turns in one process; before the clock starts, outputs and gradients must agree. One
thread is timed by CPU time, more by wall time.
"""

from __future__ import annotations

import argparse
import sys
import time

import torch
from kernel_bench.cases import MODES, Case, Problem, Settings
from kernel_bench.contest import Contestant, Race, milliseconds, ratio, run_races
from kernel_bench.markdown import number, table
from kernel_bench.peers import torch_layers
from kernel_bench.tables.user_cell import OwnLSTM

SHAPES = ((100, 32, 64, 128), (100, 1, 64, 128), (100, 32, 16, 50), (50, 64, 128, 256), (500, 8, 32, 64))
HEAD = ["(T,B,I,H)", "mode", "compiled, ms", "loop / compiled", "compiled / built-in", "compiled / torch", "path", ""]


def contestants(shape: tuple[int, int, int, int]) -> list[Contestant]:
    """The compiled step first."""
    problem = Problem(Case("lstm", *shape))
    return [
        torch_layers.layer_contestant("compiled", OwnLSTM(problem).compile_step(), problem),
        torch_layers.layer_contestant("loop", OwnLSTM(problem), problem),
        torch_layers.build_ours(problem),
        torch_layers.build(problem, Settings()),
    ]


def main() -> int:
    """Measure and print; 1 where numbers differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--budget", type=float, default=1.0, help="seconds for a row in a round")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    settings = Settings(threads=given.threads, rounds=given.rounds, budget_seconds=given.budget)
    lines, good = [], True
    for shape in SHAPES:
        rivals = contestants(shape)
        began = time.perf_counter()
        for mode in MODES:
            rivals[0].calls[mode].run()
        print(f"{shape}: compiled in {time.perf_counter() - began:.0f} s", file=sys.stderr)
        races = [Race(Case("lstm", *shape).labels, mode, rivals) for mode in MODES]
        for row in run_races(races, settings, "thread" if given.threads == 1 else "wall"):
            good = good and not row["complaint"] and row["paths"]["compiled"] == "compiled"
            lines.append(
                [
                    row["labels"]["shape"],
                    row["mode"],
                    number(milliseconds(row, "compiled"), 2),
                    number(ratio(row, "loop", "compiled"), 2),
                    number(_over(row, "recurra"), 2),
                    number(_over(row, "torch"), 2),
                    row["paths"]["compiled"],
                    row["complaint"],
                ]
            )
    print(table(HEAD, lines))
    return 0 if good else 1


def _over(row: dict, peer: str) -> float | None:
    return ratio(row, "compiled", peer)


if __name__ == "__main__":
    sys.exit(main())
