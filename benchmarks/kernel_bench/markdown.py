"""Markdown tables, and the head of a results file."""

from __future__ import annotations

from collections.abc import Sequence


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose columns line up in plain text too."""
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    rule = ["-" * width for width in widths]
    padded = [[text.ljust(width) for text, width in zip(line, widths, strict=True)] for line in lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in [padded[0], rule, *padded[1:]])


def number(value: float | None, digits: int) -> str:
    """A figure, or nothing where it was not measured."""
    return "" if value is None else f"{value:.{digits}f}"


def head(title: str, environment: dict, settings: dict, notes: Sequence[str]) -> str:
    """What a figure needs beside it: machine, versions, commit, date and how it was measured."""
    peaks = ", ".join(f"{name} {value} GF/s" for name, value in environment["peaks_gflops"].items())
    variables = "".join(f", {n}={v}" for n, v in environment["variables"].items() if n != "XLA_FLAGS")
    versions = ", ".join(f"{name} {version}" for name, version in environment["versions"].items())
    timed = "CPU time" if settings["threads"] == 1 else "wall time"
    lines = [
        f"# Kernels: {title}",
        "",
        f"- `{environment['command']}`",
        f"- {environment['date']}, commit {environment['commit']}",
        f"- {environment['cpu']} (family/model {environment['family_and_model']}), {environment['cores']} cores: "
        f"{' '.join(environment['flags'])}",
        f"- recurra's instruction set: {environment['isa']}; torch's loops: {environment['torch_isa']}{variables}",
        f"- Python {environment['python']}, {versions}; {environment['system']}",
        f"- {settings['threads']} thread{'s' if settings['threads'] > 1 else ''}, {timed}, alternating in one process; "
        f"medians, the ratio's geometric mean over {settings['rounds']} round(s); above 1 recurra is faster unless a "
        "heading says otherwise",
        f"- product of two 1024 x 1024 matrices: {peaks}; load average at the start {environment['load']}",
        *(f"- {note}" for note in notes),
        "",
    ]
    return "\n".join(lines)
