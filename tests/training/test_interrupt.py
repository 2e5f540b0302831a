"""The first signal is noted, the second one acts at once, and the handlers of before come back."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from recurra.training.interrupt import Interrupt


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_noted(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    interrupt = Interrupt()
    with interrupt.listening():
        assert not interrupt.requested
        os.kill(os.getpid(), number)
        assert interrupt.requested
    assert signal.getsignal(number) is before


def test_the_second_one_acts_at_once() -> None:
    interrupt = Interrupt()
    with pytest.raises(KeyboardInterrupt), interrupt.listening():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_outside_the_main_thread_nothing_changes() -> None:
    before = signal.getsignal(signal.SIGINT)
    during: list[object] = []

    def listen() -> None:
        with Interrupt().listening():
            during.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert during == [before]
