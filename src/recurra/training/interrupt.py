"""Ctrl-C and SIGTERM: the first lets the update end, so that the run can be saved; a second one acts at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class InterruptedRun(KeyboardInterrupt):
    """Ctrl-C or SIGTERM: the run was saved and can go on."""


class Interrupt:
    """Whether the run was asked to stop."""

    def __init__(self) -> None:
        self.requested = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take note of signals; outside the main thread, where Python gives none, this does nothing."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def note(number: int, _: object) -> None:
            self.requested = True
            signal.signal(number, previous[signal.Signals(number)])

        previous = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
