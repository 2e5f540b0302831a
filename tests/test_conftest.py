"""The guards of conftest.py really guard."""

from __future__ import annotations

import socket
import warnings

import pytest
import torch


def test_unwritten_memory_is_nan():
    assert torch.empty(3).isnan().all()
    assert torch.zeros(2).new_empty(4).isnan().all()
    assert torch.empty_like(torch.zeros(2, 2)).isnan().all()


def test_one_thread():
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize("_run", range(2))
def test_each_test_starts_from_the_same_seed(_run: int):
    assert torch.rand(()).item() == torch.rand((), generator=torch.Generator().manual_seed(0)).item()


def test_other_machines_are_out_of_reach():
    with pytest.raises(RuntimeError, match="no network"):
        socket.create_connection(("example.org", 80), timeout=1)
    with socket.socket() as sock, pytest.raises(RuntimeError, match="no network"):
        sock.connect(("192.0.2.1", 80))


def test_this_machine_is_in_reach():
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), timeout=5).close()


def test_warnings_are_errors():
    with pytest.raises(UserWarning):
        warnings.warn("seen", stacklevel=1)
