"""What the races against other libraries share: their rounds, and the head of a results file."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from kernel_bench import environment
from kernel_bench.clock import CLOCKS, Call, Sample, alternate, geometric_mean, say

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Race:
    """Seconds of contestants that took turns, the first of them ours.

    Attributes:
        rounds: for each round a sample for each contestant.
    """

    rounds: list[list[Sample]]

    def seconds(self, contestant: int) -> float:
        """The geometric mean of the rounds' medians."""
        return geometric_mean([samples[contestant].median for samples in self.rounds])

    def ratios(self, contestant: int, ours: int = 0) -> list[float]:
        """The contestant's median / ours, for each round."""
        return [samples[contestant].median / samples[ours].median for samples in self.rounds]

    def ratio(self, contestant: int, ours: int = 0) -> str:
        """The geometric mean of `ratios`, and between which they lie."""
        found = self.ratios(contestant, ours)
        return f"{geometric_mean(found):.2f} ({min(found):.2f}-{max(found):.2f})"


def run_race(
    title: str, runs: Sequence[Callable[[], object]], rounds: int, budget_seconds: float, clock: str = "process"
) -> Race:
    """Let all take turns; by the process's CPU time unless another clock of `kernel_bench` is named."""
    found = []
    for number in range(rounds):
        samples = alternate([Call(run) for run in runs], CLOCKS[clock], budget_seconds)
        say(f"  {title}, round {number + 1}/{rounds}: {'  '.join(f'{s.median * 1e3:.0f} ms' for s in samples)}")
        found.append(samples)
    return Race(found)


def head(title: str, packages: Sequence[str], notes: Sequence[str]) -> str:
    """What a figure needs beside it: the command, machine, versions, commit and date."""
    machine = environment.describe("auto")
    others = {name: metadata.version(name) for name in packages}
    versions = ", ".join(f"{name} {version}" for name, version in {**machine["versions"], **others}.items())
    lines = [
        f"# {title}",
        "",
        f"- `{' '.join(['python', 'benchmarks/' + Path(sys.argv[0]).name, *sys.argv[1:]])}`",
        f"- {machine['date']}, commit {machine['commit']}",
        f"- {machine['cpu']} (family/model {machine['family_and_model']}), {machine['cores']} cores: "
        f"{' '.join(machine['flags'])}",
        f"- recurra's instruction set: {machine['isa']}; torch's loops: {machine['torch_isa']}",
        f"- Python {machine['python']}, {versions}; {machine['system']}",
        f"- load average at the start {machine['load']}",
        *(f"- {note}" for note in notes),
        "",
    ]
    return "\n".join(lines)


def data(*parts: str) -> str:
    """A file under RECURRA_DATA."""
    if "RECURRA_DATA" not in os.environ:
        sys.exit("RECURRA_DATA is not set: it names the folder of the data sets.")
    return str(Path(os.environ["RECURRA_DATA"], *parts))


def write(name: str, text: str) -> None:
    """Put a results file where the others lie."""
    (RESULTS / name).write_text(text, encoding="utf-8")
    say(f"written: {RESULTS / name}")
