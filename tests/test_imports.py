"""What `import recurra` and `recurra --help` load, and which names the package exports."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import recurra

EXTRAS = {
    "hypothesis",
    "jax",
    "keras",
    "matplotlib",
    "pandas",
    "polars",
    "pyarrow",
    "pytest",
    "scipy",
    "sklearn",
    "statsmodels",
    "tensorboard",
    "tensorflow",
    "tokenizers",
    "torchaudio",
    "torchvision",
    "transformers",
}

IMPORT = "import recurra"
HELP = """
import runpy
sys.argv = ["recurra", *{arguments}]
try:
    runpy.run_module("recurra", run_name="__main__")
except SystemExit as stop:
    assert not stop.code, stop.code
"""
EVERYTHING = """
import importlib, pkgutil, recurra
for module in pkgutil.walk_packages(recurra.__path__, "recurra."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""

PUBLIC_NAMES = {
    "AnomalyDetector",
    "__version__",
    "Batch",
    "Cell",
    "ElmanCell",
    "Forecaster",
    "GRUCell",
    "LSTMCell",
    "LanguageModel",
    "Recurrent",
    "RecurrentConfig",
    "RecurraError",
    "RunConfig",
    "SavedModel",
    "Sequences",
    "SeriesClassifier",
    "SeriesRegressor",
    "TextClassifier",
    "from_keras",
    "from_torch",
    "load",
    "recipe",
    "train",
}


def loaded_by(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter has loaded after `code`."""
    script = (
        f"import sys\n{code}\nimport json\nprint('\\n' + json.dumps(sorted({{m.split('.')[0] for m in sys.modules}})))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_import_loads_no_extra():
    assert not loaded_by(IMPORT) & EXTRAS


def test_all_modules_together_load_no_extra():
    assert not loaded_by(EVERYTHING) & EXTRAS


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["train", "--help"], ["finetune", "--help"]], ids=" ".join
)
def test_help_loads_no_torch_and_no_extra(arguments: list[str]):
    assert not loaded_by(HELP.format(arguments=arguments)) & {*EXTRAS, "torch", "numpy"}


def test_public_names_are_frozen():
    """A name that is added or dropped is a decision: change this list and CHANGELOG.md with it."""
    assert set(recurra.__all__) == PUBLIC_NAMES


@pytest.mark.parametrize("name", sorted(PUBLIC_NAMES))
def test_each_public_name_is_there(name: str):
    assert getattr(recurra, name) is not None
