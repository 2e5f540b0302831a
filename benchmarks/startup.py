"""Wall time of `recurra --help`, median of several, beside that of `python -c pass`.

python benchmarks/startup.py [--rounds 15]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time


def seconds(command: list[str], rounds: int) -> float:
    """Median wall time of a command."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def main() -> None:
    """Print both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    print(f"python -c pass:  {seconds([sys.executable, '-c', 'pass'], rounds):.3f} s")
    print(f"recurra --help:  {seconds([sys.executable, '-m', 'recurra', '--help'], rounds):.3f} s")


if __name__ == "__main__":
    main()
