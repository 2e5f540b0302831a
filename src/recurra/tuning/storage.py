"""Where a study is kept: a journal file, SQLite, PostgreSQL or another database that SQLAlchemy knows."""

from __future__ import annotations

import importlib.util
import os
import re
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recurra.core.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

_TRIES = 3
"""Two processes that make the tables of a new database at once are in each other's way; the second try finds them."""
_CONNECT_SECONDS = 10
_BUSY_SECONDS = 60


def require_optuna() -> None:
    """Check that Optuna is there, and let it speak of nothing but faults.

    Raises:
        MissingExtraError: it is not.
    """
    if importlib.util.find_spec("optuna") is None:
        raise MissingExtraError("optuna", "tune", "recurra tune")
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)


def open_storage(url: str) -> BaseStorage:
    """The storage at a URL; a file or the tables of a database are made where there are none.

    Args:
        url: journal:PATH, sqlite:///PATH, postgresql://USER:PASSWORD@HOST:PORT/DATABASE, or another of SQLAlchemy's.
    Raises:
        ConfigError: it can't be reached, or is no storage.
    """
    kind, colon, rest = url.partition(":")
    if not colon or not rest:
        raise ConfigError(
            f"--storage {url}: no URL. Write journal:PATH, sqlite:///PATH, or postgresql://USER:PASSWORD@HOST/DATABASE."
        )
    return _journal(Path(rest)) if kind == "journal" else _database(url)


def public(url: str) -> str:
    """The URL without its password."""
    return re.sub(r"(://[^:/@]*:).*@", r"\1***@", url)


def _journal(path: Path) -> BaseStorage:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        storage = JournalStorage(JournalFileBackend(str(path)))
        _drop_half_line(path)
        return storage
    except OSError as error:
        raise ConfigError(f"--storage journal:{path}: can't be opened ({error.strerror or error}).") from error
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ConfigError(
            f"--storage journal:{path}: no journal of studies, or a damaged one ({error}). Name another file."
        ) from error


def _drop_half_line(path: Path) -> None:
    """Cut off what a process that was killed left of its last line: Optuna would write on behind it, and lose both."""
    from optuna.storages.journal import JournalFileSymlinkLock

    if _whole(path) == path.stat().st_size:
        return
    lock = JournalFileSymlinkLock(str(path))
    lock.acquire()
    try:
        os.truncate(path, _whole(path))
    finally:
        lock.release()


def _whole(path: Path) -> int:
    """The size of a file up to its last line's end."""
    return path.read_bytes().rfind(b"\n") + 1


def _database(url: str) -> BaseStorage:
    from optuna.exceptions import StorageInternalError
    from optuna.storages import RDBStorage
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError
    from sqlalchemy.pool import NullPool

    reason: Exception | None = None
    for attempt in range(_TRIES):
        time.sleep(0.3 * attempt)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of SQLAlchemy and Alembic, about each other
                # no pool: a connection that nobody needs is closed, and a server that was away is found again
                return RDBStorage(
                    _with_driver(url), engine_kwargs={"connect_args": _connection(url), "poolclass": NullPool}
                )
        except ImportError as error:
            raise ConfigError(
                f"--storage {public(url)}: the driver of this database is not installed (PostgreSQL's comes with "
                "pip install 'recurra[tune]')."
            ) from error
        except ArgumentError as error:
            raise ConfigError(f"--storage {public(url)}: no URL of a database ({error}).") from error
        except (SQLAlchemyError, StorageInternalError, RuntimeError, OSError) as error:
            reason = error
    mend = (
        "the path."
        if url.startswith("sqlite")
        else "the address, the user, and that the database is there and running."
    )
    raise ConfigError(f"--storage {public(url)}: can't be reached ({_told(reason)}). Check {mend}") from reason


def _with_driver(url: str) -> str:
    """PostgreSQL's URLs with the driver that the extra `tune` brings."""
    return re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", url)


def _connection(url: str) -> dict[str, Any]:
    if url.startswith("sqlite"):
        return {"timeout": _BUSY_SECONDS}
    return {"connect_timeout": _CONNECT_SECONDS} if url.startswith("postgres") else {}


def _told(reason: Exception | None) -> str:
    """The first line of what the driver said, not of what wraps it."""
    while reason is not None and reason.__cause__ is not None:
        reason = reason.__cause__ if isinstance(reason.__cause__, Exception) else None
    lines = str(reason).strip().splitlines()
    return lines[0].rstrip(".") if lines else "no reason given"
