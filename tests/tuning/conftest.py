"""A small run that trains in a moment, and a PostgreSQL that lives for the tests."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recurra.recipes import recipe
from recurra.runs import RunConfig

PLACES = ("/usr/lib/postgresql/15/bin", "/usr/lib/postgresql/16/bin", "/usr/lib/postgresql/17/bin")


@pytest.fixture(scope="session")
def texts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Files of letters that a small model can learn something from."""
    folder = tmp_path_factory.mktemp("texts")
    for name, count in (("train", 40), ("valid", 10)):
        (folder / f"{name}.txt").write_text("a rose is a rose is a rose\n" * count, encoding="utf-8")
    return {f"data.{name}": str(folder / f"{name}.txt") for name in ("train", "valid")}


SMALL = {
    "model.hidden_size": 8,
    "model.embedding_dim": 8,
    "model.dropout.output": 0.0,
    "schedule.warmup_updates": 0,
    "training.epochs": 2,
    "training.batch_size": 4,
    "training.tbptt_length": 16,
    "training.tensorboard": "never",
}


@pytest.fixture
def run(texts: dict[str, str]) -> RunConfig:
    """A character model of eight units."""
    options: dict[str, Any] = {**SMALL, **texts}
    return recipe("char-lm", **options)


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a database in a cluster of its own."""
    found = [shutil.which(f"{place}/initdb") or "" for place in PLACES] + [shutil.which("initdb") or ""]
    binaries = next((Path(path).parent for path in found if path), None)
    if binaries is None:
        pytest.skip("PostgreSQL is not installed")
    pytest.importorskip("psycopg")
    folder = Path(tempfile.mkdtemp(prefix="recurra-postgres-"))
    user: list[str] = []
    if os.getuid() == 0:  # PostgreSQL refuses to run as root
        try:
            owner = pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
        os.chown(folder, owner.pw_uid, owner.pw_gid)
        user = ["runuser", "-u", "postgres", "--"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def call(*words: str) -> None:
        subprocess.run([*user, *words], check=True, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    call(f"{binaries}/initdb", "-D", f"{folder}/data", "-A", "trust", "-U", "tester", "--no-sync")
    options = f"-F -p {port} -k {folder} -c listen_addresses=127.0.0.1 -c shared_buffers=16MB"
    control = (f"{binaries}/pg_ctl", "-D", f"{folder}/data", "-w")
    call(*control, "-l", f"{folder}/log", "-o", options, "start")
    try:
        yield f"postgresql://tester:none@127.0.0.1:{port}/postgres"
    finally:
        call(*control, "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)
