"""Floor 10: parse, call, print. Nothing heavy is imported before a command runs."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

_FLAGS = ("data.train", "data.valid", "data.test")


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; a user's mistake ends with one message on stderr and exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal that can't show a character gets its code, not a crash
            stream.reconfigure(errors="backslashreplace")
    try:
        _run(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt as error:
        _fail(f"{error}" if str(error) else "interrupted", 130)
    except BrokenPipeError:
        # The reader of our output went away, as `head` does; there is nobody left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        _fail(f"{error.filename or 'a file'}: {error.strerror or error}.", 2)
    except (MemoryError, RuntimeError, OverflowError, TypeError) as error:
        from recurra.core.memory import is_too_large

        if not is_too_large(error):
            raise
        reason = (str(error).strip() or "no reason given").splitlines()[0]
        mend = "Lower training.batch_size, training.tbptt_length or model.hidden_size."
        _fail(f"not enough memory ({reason}). {mend}", 2)


def _run(arguments: list[str]) -> None:
    from cyclopts import CycloptsError
    from cyclopts.exceptions import UnknownOptionError

    from recurra.cli.commands import app
    from recurra.core.errors import RecurraError

    try:
        words = dotted_as_overrides(arguments)
        app(words, exit_on_error=False, print_error=False, verbose=False, result_action="return_value")
        sys.stdout.flush()
    except RecurraError as error:
        _fail(str(error), 2)
    except CycloptsError as error:
        mend = "See `recurra --help`."
        if isinstance(error, UnknownOptionError):
            mend = "Options of the run are written name=value, as model.hidden_size=512; see `recurra list options`."
        _fail(f"{str(error).strip()} {mend}", 2)


def dotted_as_overrides(arguments: list[str]) -> list[str]:
    """Write `--model.hidden_size 512` and `--model.hidden_size=512` as the override `model.hidden_size=512`.

    Without a value, `--model.tied` is `model.tied=true`. `--data.train`, `--data.valid` and `--data.test` stay: they
    are flags of their own.
    """
    result: list[str] = []
    rest = list(reversed(arguments))
    while rest:
        argument = rest.pop()
        key, equals, value = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or "." not in key or key in _FLAGS:
            result.append(argument)
            continue
        if not equals:
            value = rest.pop() if rest and not rest[-1].startswith("--") else "true"
        result.append(f"{key}={value}")
    return result


def _fail(message: str, code: int) -> NoReturn:
    rank = os.environ.get("RANK", "0")
    print(f"recurra{'' if rank == '0' else f' (process {rank})'}: {message}", file=sys.stderr)
    sys.exit(code)


__all__ = ["main"]
