"""One thread, fixed seeds, no network, unwritten memory full of NaN; warnings are errors (pyproject.toml)."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest
import torch

from recurra.cli import main
from recurra.core.seeding import seed_everything

LOCAL_HOSTS = ("127.0.0.1", "::1", "localhost", "0.0.0.0", "")


class Result(NamedTuple):
    """What a call of the command line gave."""

    code: int
    out: str
    err: str


Call = Callable[..., Result]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Calls the command line in this process."""

    def run(*arguments: str | Path) -> Result:
        capsys.readouterr()
        code = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as stop:
            code = int(stop.code or 0)
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return run


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run the tests marked slow")


def pytest_configure(config: pytest.Config) -> None:
    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    # A shell starts what runs in the background deaf to interrupts; the tests and their children send some.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if "gpu" in item.keywords and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="no CUDA device"))
        if "slow" in item.keywords and not config.getoption("--slow"):
            item.add_marker(pytest.mark.skip(reason="slow: pass --slow"))


@pytest.fixture(autouse=True)
def _same_start() -> None:
    seed_everything(0)
    # in this mode torch fills what torch.empty gives with NaN (integers with their largest value), so that a read of
    # unwritten memory shows; warn_only leaves operations without a deterministic version usable
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = True


@pytest.fixture(autouse=True, scope="session")
def _no_network() -> Iterator[None]:
    """Connections to other machines fail; this machine's own (gloo, servers under test) work."""
    real_connect, real_connect_ex, real_lookup = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def require_local(host: Any) -> None:
        if host is not None and host not in (*LOCAL_HOSTS, socket.gethostname()):
            raise RuntimeError(f"a test tried to reach {host!r}: tests use no network")

    def connect(self: socket.socket, address: Any) -> None:
        require_local(address[0] if isinstance(address, tuple) else None)
        real_connect(self, address)

    def connect_ex(self: socket.socket, address: Any) -> int:
        require_local(address[0] if isinstance(address, tuple) else None)
        return real_connect_ex(self, address)

    def lookup(host: Any, *args: Any, **kwargs: Any) -> Any:
        require_local(host.decode() if isinstance(host, bytes) else host)
        return real_lookup(host, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", connect)
        patch.setattr(socket.socket, "connect_ex", connect_ex)
        patch.setattr(socket, "getaddrinfo", lookup)
        yield


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of the shared data sets; tests that need it are skipped where it is not known."""
    name = os.environ.get("RECURRA_DATA", "")
    if not name:
        pytest.skip("RECURRA_DATA is not set")
    folder = Path(name)
    if not folder.is_dir():
        pytest.skip(f"RECURRA_DATA={name} is not a folder")
    return folder
