"""Short enough to be read in one sitting: budgets of lines, and what may be imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import recurra.theory

FILES = sorted(Path(recurra.theory.__file__).parent.glob("*.py"))
ALLOWED = {"recurra.core.errors", "recurra.theory", "numpy", "matplotlib"}
STANDARD = {"abc", "codecs", "collections", "importlib", "pathlib", "re", "sys", "typing"}


def imported(tree: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "", node


def test_under_900_lines_in_all() -> None:
    assert sum(len(path.read_text(encoding="utf-8").splitlines()) for path in FILES) < 900


def test_each_function_under_30_lines() -> None:
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                length = (node.end_lineno or 0) - node.lineno + 1
                assert length < 30, f"{path.name}: {node.name} has {length} lines"


def test_numpy_alone() -> None:
    for path in FILES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        at_the_top = {id(node) for node in tree.body}
        for name, node in imported(tree):
            assert (
                name in ALLOWED
                or name.split(".")[0] in STANDARD | {"numpy"}
                or name.startswith("recurra.theory.")
                or (name == "matplotlib.figure" and id(node) not in at_the_top)
            ), f"{path.name} imports {name}"


def test_every_function_says_what_it_computes() -> None:
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("__") and node.col_offset <= 4:
                silent = node.name.startswith("_") or node.name in ("elman", "gated")
                assert silent or ast.get_docstring(node), f"{path.name}: {node.name}"
