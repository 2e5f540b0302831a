"""recurra's recurrent layers against their peers, as ratios: peer's time / ours.

    python benchmarks/kernels.py [--table shapes] [--threads 1] [--isa auto]

Tables: shapes (LSTM and GRU against every peer), elman (the same for it), options, padding, sweep, step, user-cell,
scan (the linear recurrence beside a copy of as many bytes; of --shapes it takes B, T and H), all. Peers are torch.nn
and what `pip install 'recurra[bench]'` brings; one that is missing is named and left out. Each peer has a process of
its own, in which it, torch.nn and recurra take turns. Before the clock starts, outputs and gradients on the same
weights must agree (`--rounds 0` does no more). One thread is timed by CPU time; `--threads 2` by wall time, against
torch.nn alone, and wants a quiet machine. `--isa avx2` holds recurra, oneDNN, torch and XLA to AVX2.

Whole tables are written to benchmarks/results, as Markdown and with the raw figures as JSON; a narrowed run is written
only where --out says.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from kernel_bench.cases import GATES, MODES, SHAPES, Settings
from kernel_bench.environment import ISAS
from kernel_bench.peers import PEERS
from kernel_bench.running import RESULTS, run_table, work
from kernel_bench.tables import TABLES

QUICK_SHAPES = ((7, 3, 5, 9), (4, 1, 3, 128))


def main() -> int:
    """Measure and print; 1 where a peer's numbers differ from ours or its process failed."""
    given = _parse()
    if given.worker:
        work(json.loads(given.worker))
        return 0
    good = [_run(name, given) for name in (TABLES if given.table == "all" else [given.table])]
    return 0 if all(good) else 1


def _run(name: str, given: argparse.Namespace) -> bool:
    table = TABLES[name]
    peers = [peer for peer in given.peers or table.peers if peer in table.peers]
    if given.threads > 1:
        peers = [peer for peer in peers if peer == "torch"]
    if not peers:
        sys.exit(f"Table {name} has the peers {', '.join(table.peers)}; with several threads torch alone.")
    settings = Settings(
        threads=given.threads,
        rounds=min(given.rounds, 1) if given.quick else given.rounds,
        budget_seconds=0.005 if given.quick else given.budget,
        shapes=QUICK_SHAPES if given.quick else tuple(given.shapes or SHAPES),
        cells=tuple(given.cells or table.cells),
        modes=tuple(given.modes or MODES),
        sweep_rows=3 if given.quick else given.rows,
        seed=given.seed,
    )
    narrowed = given.quick or given.peers or given.cells or given.shapes or given.modes
    return run_table(name, peers, settings, given.isa, given.out or (None if narrowed else RESULTS))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", choices=(*TABLES, "all"), default="shapes")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--isa", choices=ISAS, default="auto")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--budget", type=float, default=1.0, help="seconds of a row in a round")
    parser.add_argument("--rows", type=int, default=120, help="random shapes of the sweep, for each cell")
    parser.add_argument("--seed", type=int, default=0, help="of the sweep's shapes")
    parser.add_argument("--peers", nargs="+", choices=PEERS, help="narrows the run")
    parser.add_argument("--cells", nargs="+", choices=GATES, help="narrows the run")
    parser.add_argument("--shapes", nargs="+", type=_shape, metavar="T,B,I,H", help="narrows the run")
    parser.add_argument("--modes", nargs="+", choices=MODES, help="narrows the run")
    parser.add_argument("--quick", action="store_true", help="tiny shapes, to see that all works: no figures")
    parser.add_argument("--out", type=Path, help="folder of the results")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser.parse_args()


def _shape(text: str) -> tuple[int, ...]:
    numbers = tuple(int(part) for part in text.split(","))
    if len(numbers) != 4 or min(numbers) < 1:
        raise argparse.ArgumentTypeError(f"{text}: four whole numbers T,B,I,H are wanted")
    return numbers


if __name__ == "__main__":
    sys.exit(main())
