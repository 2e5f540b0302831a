"""What is written."""

from __future__ import annotations

import json
import math
from collections import namedtuple
from dataclasses import dataclass
from pathlib import Path

import pytest

from recurra.core.errors import OutputError
from recurra.core.files import json_values, require_new, write_json

Span = namedtuple("Span", "low high")


@dataclass(frozen=True, slots=True)
class Found:
    spans: tuple[Span, ...]
    by_step: dict[int, float]


def test_values_become_those_that_json_holds(tmp_path: Path) -> None:
    found = Found((Span(0.5, math.inf),), {1: math.nan, 2: 3.0})
    write_json(tmp_path / "found.json", json_values(found))
    told = json.loads((tmp_path / "found.json").read_text())
    assert told == {"spans": [{"low": 0.5, "high": None}], "by_step": {"1": None, "2": 3.0}}


def test_results_take_no_others_place(tmp_path: Path) -> None:
    require_new(tmp_path / "sub" / "page.html", "--out")
    (tmp_path / "page.html").write_text("mine")
    with pytest.raises(OutputError, match=r"page\.html is there already.*Choose another --out"):
        require_new(tmp_path / "page.html", "--out")
