"""Runs command lines in forked children, so that torch is imported once and not for each of them.

A request is one line of JSON on stdin, the answer one line on stdout:

    {"children": [{"arguments": [...], "environment": {...}, "stop": null, "log": "path"}], "seconds": 60}
    {"codes": [0]}                              negative where a signal ended the child

`stop` = {"call": NAME, "count": N, "when": "before" | "after", "signal": NAME} sends the signal to the child itself at
its Nth call of one of `CALLS`: a moment that a test can name. This process never computes, so that forks are safe.
"""

from __future__ import annotations

import functools
import json
import os
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import torch._dynamo  # noqa: F401  every optimizer imports it, which takes a second

import recurra.cli
import recurra.cli.running
from recurra.training.step import TrainStep

CALLS: dict[str, tuple[Any, str]] = {
    "update": (TrainStep, "apply"),
    "fsync": (os, "fsync"),
    "replace": (os, "replace"),
    "rmtree": (shutil, "rmtree"),
}


def arrange_stop(call: str, count: int, when: str, signal_name: str) -> None:
    owner, name = CALLS[call]
    real: Callable[..., Any] = getattr(owner, name)
    calls = 0

    @functools.wraps(real)
    def counted(*arguments: Any, **keywords: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == count and when == "before":
            os.kill(os.getpid(), signal.Signals[signal_name])
        result = real(*arguments, **keywords)
        if calls == count and when == "after":
            os.kill(os.getpid(), signal.Signals[signal_name])
        return result

    setattr(owner, name, counted)


def run_child(child: dict[str, Any]) -> None:
    log = os.open(child["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    code = 1
    try:
        os.environ.update(child["environment"])
        if "LIMIT_FILE_BYTES" in os.environ:  # a disk that is full from then on, for any user
            resource.setrlimit(resource.RLIMIT_FSIZE, (int(os.environ["LIMIT_FILE_BYTES"]),) * 2)
        if child["stop"] is not None:
            arrange_stop(*child["stop"])
        recurra.cli.main(child["arguments"])
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def answer(request: dict[str, Any]) -> list[int | None]:
    running: dict[int, int] = {}
    for index, child in enumerate(request["children"]):
        pid = os.fork()
        if pid == 0:
            run_child(child)
        running[pid] = index
    codes: list[int | None] = [None] * len(running)
    end = time.monotonic() + request["seconds"]
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid:
            codes[running.pop(pid)] = os.waitstatus_to_exitcode(status)
        elif time.monotonic() > end:
            for pid in running:
                os.kill(pid, signal.SIGKILL)
            end = float("inf")
        else:
            time.sleep(0.01)
    return codes


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps({"codes": answer(json.loads(line))}), flush=True)
