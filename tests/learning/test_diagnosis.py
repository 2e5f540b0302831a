"""The doctor finds nothing on sound runs of real and generated data: what it says of others would mean little else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recurra.diagnosis import diagnose, of_config
from recurra.recipes import recipe


def lines_of(source: Path, target: Path, number: int) -> str:
    """The first lines of a file, as a file."""
    target.write_text("".join(source.read_text(encoding="utf-8").splitlines(keepends=True)[:number]), encoding="utf-8")
    return str(target)


SMALL = {"model.hidden_size": 64, "model.embedding_dim": 32}
SOUND: dict[str, tuple[str, int, dict[str, Any]]] = {
    "char-lm": ("language_modelling/tiny_shakespeare/input.txt", 6000, SMALL),
    "text-classifier": ("text_classification/sst2/train.tsv", 2000, SMALL),
    "ner": ("sequence_labelling/wnut17_ner/wnut17train.conll", 8000, SMALL),
    "forecast": (
        "forecasting/airline_passengers/airline-passengers.csv",
        200,
        {"task.horizon": 12, "task.context_length": 24, "model.history.patch_length": 1},
    ),
    "series-classifier": ("time_series_classification/JapaneseVowels/JapaneseVowels_TRAIN.ts", 400, {}),
}


@pytest.mark.parametrize("name", SOUND)
def test_nothing_is_found_on_a_sound_run(name: str, data_folder: Path, tmp_path: Path) -> None:
    path, number, options = SOUND[name]
    train = lines_of(data_folder / path, tmp_path / Path(path).name, number)
    found = diagnose(of_config(name, recipe(name, **{"data.train": train, **options}), tmp_path / "cache"), updates=60)
    assert not found.findings, found.lines()
    assert set(found.examination.skipped) <= {"memory"}, found.examination.skipped
    assert found.examination.now.gradients and found.examination.now.dynamics and found.examination.updates


def test_nothing_is_found_on_a_problem_of_long_memory(tmp_path: Path) -> None:
    config = recipe("adding-problem", **{"task.length": 50})
    found = diagnose(of_config("adding-problem", config, tmp_path / "cache"), updates=60)
    assert not found.findings, found.lines()
