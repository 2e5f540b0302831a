"""Floor 9: parse, call, print. Nothing heavy is imported before a command runs."""

from __future__ import annotations

import os
import sys
from typing import Any


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; a user's mistake ends with one message on stderr and exit code 2."""
    from recurra.cli.app import app
    from recurra.core.errors import RecurraError

    try:
        app(dotted_as_overrides(sys.argv[1:] if arguments is None else arguments))
    except RecurraError as error:
        _fail(str(error), 2)
    except KeyboardInterrupt as error:
        _fail(f"{error}" if str(error) else "interrupted", 130)
    except BrokenPipeError:
        # The reader of our output went away, as `head` does; there is nobody left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        _fail(f"{error.filename or 'a file'}: {error.strerror or error}.", 2)


def dotted_as_overrides(arguments: list[str]) -> list[str]:
    """Write `--model.hidden_size 512` and `--model.hidden_size=512` as the override `model.hidden_size=512`.

    `--data.train`, `--data.valid` and `--data.test` stay: they are flags of their own.
    """
    result: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        key, equals, value = argument.removeprefix("--").partition("=")
        flag = argument.startswith("--") and "." in key and key not in ("data.train", "data.valid", "data.test")
        if not flag:
            result.append(argument)
        else:
            result.append(f"{key}={value if equals else next(rest, '')}")
    return result


def _fail(message: str, code: int) -> Any:
    print(f"recurra: {message}", file=sys.stderr)
    sys.exit(code)


__all__ = ["main"]
