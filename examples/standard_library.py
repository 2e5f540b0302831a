"""English text of the running Python's standard library: docstrings labelled by area, and text to pretrain on.

Everything is read from source files with `ast` and `tokenize`; nothing is imported or executed.
The areas are packages and groups of modules that serve one purpose and are large enough to be measured.
"""

import ast
import hashlib
import re
import sysconfig
import tokenize
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

AREAS: dict[str, str] = {
    "asynchronous input/output": "asyncio",
    "threads and processes": "multiprocessing concurrent subprocess threading",
    "email": "email mailbox smtplib imaplib poplib",
    "web": "http urllib wsgiref xmlrpc socketserver ftplib",
    "markup": "xml html",
    "graphical interface": "tkinter turtle turtledemo",
    "editor": "idlelib",
    "testing": "unittest doctest",
    "imports": "importlib zipimport pkgutil modulefinder runpy",
    "configuration and logging": "json logging configparser argparse",
}
SHARES = {"train": 0.65, "valid": 0.12, "test": 0.23}
MIN_LETTERS = 20
SKIPPED_FOLDERS = {"test", "tests", "idle_test", "site-packages", "__pycache__", "pydoc_data"}


class Docstring(NamedTuple):
    """One labelled example; `module` is the dotted name of the module it stands in."""

    text: str
    area: str
    module: str
    split: str


def _sources(root: Path) -> Iterator[tuple[str, Path]]:
    """The library's own source files, tests left out, as (dotted module, path), in a fixed order."""
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        if not SKIPPED_FOLDERS.intersection(parts):
            yield ".".join(parts), path


def _docstrings(tree: ast.Module) -> Iterator[str]:
    """Docstrings of a module, its classes and functions, in source order, indentation removed."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for node in ast.walk(tree) if isinstance(node, kinds)]
    for node in sorted(nodes, key=lambda node: getattr(node, "lineno", 0)):
        text = ast.get_docstring(node)
        if text and sum(map(str.isalpha, text)) >= MIN_LETTERS:
            yield text


def _comments(path: Path) -> Iterator[str]:
    """Comments that have a line to themselves; lines that follow each other make one paragraph."""
    block: list[str] = []
    last_line = -1
    with tokenize.open(path) as file:
        for token in tokenize.generate_tokens(file.readline):
            if token.type != tokenize.COMMENT or token.line[: token.start[1]].strip():
                continue
            if token.start[0] != last_line + 1 and block:
                yield "\n".join(block)
                block = []
            last_line = token.start[0]
            block.append(token.string.lstrip("#").strip())
    if block:
        yield "\n".join(block)


def _key(text: str) -> str:
    """What two docstrings share when they say the same: letters only, lower case."""
    return re.sub(r"[^a-z]+", " ", text.lower()).strip()


def _read(root: Path) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Docstrings and comments of every module, each text once."""
    docstrings: dict[str, list[str]] = {}
    comments: dict[str, list[str]] = {}
    seen: set[str] = set()
    for module, path in _sources(root):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(path.read_bytes())
        for kind, texts in ((docstrings, _docstrings(tree)), (comments, _comments(path))):
            for text in texts:
                if _key(text) and _key(text) not in seen:
                    seen.add(_key(text))
                    kind.setdefault(module, []).append(text)
    return docstrings, comments


def assign_splits(sizes: dict[str, int]) -> dict[str, str]:
    """Deal the modules of one area out, largest first, each to the split with most room; train takes the misfits."""
    total = sum(sizes.values())
    missing = {split: share * total for split, share in SHARES.items()}
    splits = {}
    for module in sorted(sizes, key=lambda name: (-sizes[name], _digest(name))):
        split = max(missing, key=lambda name: missing[name])
        if missing[split] < sizes[module]:
            split = "train"
        missing[split] -= sizes[module]
        splits[module] = split
    return splits


def _digest(text: str) -> bytes:
    """A key that mixes texts up in the same way everywhere."""
    return hashlib.sha256(text.encode()).digest()


def read_library(root: Path | None = None) -> tuple[list[Docstring], list[str]]:
    """Labelled docstrings and the texts to pretrain on.

    The pretraining texts are docstrings, comments and the bundled documentation topics of the whole library, without
    anything from the test modules, in an order that mixes them.
    """
    root = root or Path(sysconfig.get_path("stdlib"))
    docstrings, comments = _read(root)
    rows: list[Docstring] = []
    splits: dict[str, str] = {}
    for area, packages in AREAS.items():
        kept = {name: texts for name, texts in docstrings.items() if name.split(".")[0] in packages.split()}
        splits |= assign_splits({name: len(texts) for name, texts in kept.items()})
        rows += [Docstring(text, area, name, splits[name]) for name, texts in kept.items() for text in texts]
    corpus = [
        text
        for module in sorted({*docstrings, *comments})
        if splits.get(module) != "test"
        for text in docstrings.get(module, []) + comments.get(module, [])
    ]
    return rows, sorted(corpus + _topics(root), key=_digest)


def _topics(root: Path) -> list[str]:
    """The language reference's topics that `help()` shows; the file holds one dictionary literal."""
    path = root / "pydoc_data" / "topics.py"
    if not path.exists():
        return []
    tree = ast.parse(path.read_bytes())
    literals = (node.value for node in tree.body if isinstance(node, ast.Assign))
    return [text for literal in literals for text in ast.literal_eval(literal).values()]


def counts(rows: Iterable[Docstring]) -> Counter[tuple[str, str]]:
    """Number of docstrings by (area, split)."""
    return Counter((row.area, row.split) for row in rows)
