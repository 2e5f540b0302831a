"""The documentation site builds in both languages, and no link in it leads nowhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytest.importorskip("mkdocs", reason="needs the extra docs")


def test_site_builds_strictly_in_both_languages(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    env = os.environ | {"RECURRA_LESSONS": "off"}  # tests/lessons run them
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    for page in ("index.html", "zh/index.html", "reference/cells.html"):
        assert "recurra" in (tmp_path / page).read_text(encoding="utf-8")
    assert "Run the cell over whole sequences" in (tmp_path / "reference" / "cells.html").read_text(encoding="utf-8")
