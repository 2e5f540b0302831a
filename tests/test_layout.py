"""Rules about files that no linter knows."""

from __future__ import annotations

import tomllib
from pathlib import Path

import recurra

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "recurra"
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "misc"}


def test_no_module_of_odds_and_ends():
    found = [path for path in SOURCE.rglob("*") if path.stem in FORBIDDEN_NAMES]
    assert not found


def test_every_package_and_module_says_what_it_is():
    silent = [path for path in SOURCE.rglob("*.py") if not path.read_text(encoding="utf-8").lstrip().startswith('"""')]
    assert not silent


def test_every_page_stands_in_english_and_chinese():
    """The reference aside: it is made of docstrings, which are in English."""
    pages = {
        language: {path.relative_to(ROOT / "docs" / language) for path in (ROOT / "docs" / language).rglob("*.md")}
        for language in ("en", "zh")
    }
    assert {page for page in pages["en"] if page.parts[0] != "reference"} == pages["zh"]


def test_one_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == recurra.__version__


def test_constraints_pin_all_but_torch():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert all(pin.count("==") == 1 and "@" not in pin for pin in pins)
    assert not any(pin.startswith("torch==") for pin in pins)
