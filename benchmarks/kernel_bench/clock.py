"""Alternating timing: A B A B in one process, so that what disturbs one contestant disturbs the others as well."""

from __future__ import annotations

import gc
import math
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

Clock = Callable[[], float]
# CPU time of the thread is blind to other processes; of the whole process, where a peer computes in threads of its own.
CLOCKS: dict[str, Clock] = {"thread": time.thread_time, "process": time.process_time, "wall": time.perf_counter}
_MIN_SAMPLE_SECONDS = 2e-4
_MIN_REPEATS, _MAX_REPEATS, _MAX_LOOPS = 3, 2000, 5000


@dataclass(frozen=True)
class Call:
    """What is timed.

    Attributes:
        run: the work.
        before: done before each `run`, outside the clock; None is nothing.
    """

    run: Callable[[], Any]
    before: Callable[[], None] | None = None

    def seconds(self, clock: Clock, loops: int) -> float:
        """Mean of `loops` runs."""
        if self.before is None:
            began = clock()
            for _ in range(loops):
                self.run()
            return (clock() - began) / loops
        total = 0.0
        for _ in range(loops):
            self.before()
            began = clock()
            self.run()
            total += clock() - began
        return total / loops


@dataclass(frozen=True)
class Sample:
    """Seconds of one call, over the repeats of a round."""

    median: float
    minimum: float
    repeats: int

    def to_dict(self) -> dict:
        """For JSON."""
        return asdict(self)


def alternate(calls: Sequence[Call], clock: Clock, budget_seconds: float) -> list[Sample]:
    """Time the calls in turn, each turn in another order, until the budget is spent.

    In one fixed order the same call would always find what the same other one left in the caches and on the heap.
    """
    loops = []
    for call in calls:
        call.seconds(clock, 1)
        once = max(call.seconds(clock, 1), 1e-7)
        loops.append(min(_MAX_LOOPS, math.ceil(_MIN_SAMPLE_SECONDS / once)))
    times: list[list[float]] = [[] for _ in calls]
    order = random.Random(0)
    gc.collect()
    gc.disable()
    began = time.perf_counter()
    try:
        for repeat in range(_MAX_REPEATS):
            if repeat >= _MIN_REPEATS and time.perf_counter() - began > budget_seconds:
                break
            for index in order.sample(range(len(calls)), len(calls)):
                times[index].append(calls[index].seconds(clock, loops[index]))
    finally:
        gc.enable()
    return [Sample(statistics.median(own), min(own), len(own)) for own in times]


def geometric_mean(values: Sequence[float]) -> float:
    """Of ratios."""
    return math.exp(statistics.fmean(map(math.log, values)))


def background_share() -> float:
    """CPU time that the process burns while it sleeps, as a share of one core: threads that spin spoil process time."""
    began = time.process_time()
    time.sleep(0.2)
    return (time.process_time() - began) / 0.2


def say(text: str) -> None:
    """Progress, apart from the tables on stdout."""
    print(text, file=sys.stderr, flush=True)
