"""Planted faults are named rightly, each as the first finding, from the options and files that a user would have."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from recurra.core.batch import ModelOutput
from recurra.core.sequences import Sequences
from recurra.diagnosis import Diagnosis, diagnose, of_config
from recurra.recipes import recipe

from .planted import echo, prose, reviews, sales, waves

SMALL = {"model.hidden_size": 32, "model.embedding_dim": 16, "training.batch_size": 16}
RELU = {"model.cell.kind": "elman", "model.cell.activation": "relu"}


def diagnosed(folder: Path, name: str, train: str, updates: int = 40, **options: Any) -> Diagnosis:
    config = recipe(name, **{"data.train": train, **options})
    return diagnose(of_config(name, config, folder / "cache"), updates=updates)


def first(found: Diagnosis) -> str:
    assert found.findings, found.lines()
    for finding in found.findings:
        for lang in ("en", "zh"):
            assert "{" not in finding.sentence(lang) + finding.mend(lang)
    return found.findings[0].name


def test_a_saturating_sigmoid_network(tmp_path: Path) -> None:
    options = {**SMALL, "model.cell.kind": "elman", "model.cell.activation": "sigmoid"}
    found = diagnosed(tmp_path, "char-lm", prose(tmp_path / "a.txt"), **options)
    assert first(found) == "vanishing"
    config, changed = found.mended()
    assert changed["model.cell.kind"] == "lstm" and config.model.cell.kind == "lstm"
    sentence = found.findings[0].sentence()
    assert "elman, sigmoid" in sentence and "spectral radius 1.00" in sentence and "window has 64 steps" in sentence


def test_a_relu_network_of_radius_one_and_a_half(tmp_path: Path) -> None:
    options = {**SMALL, **RELU, "model.cell.radius": 1.5}
    found = diagnosed(tmp_path, "char-lm", prose(tmp_path / "a.txt"), **options)
    assert first(found) == "exploding"
    assert found.findings[0].figures["exponent"] == pytest.approx(0.405, abs=0.02)  # log 1.5
    assert "radius 1.50" in found.findings[0].sentence()


def test_a_learning_rate_a_hundred_times_too_high(tmp_path: Path) -> None:
    usual = recipe("char-lm").optimizer.learning_rate
    options = {**SMALL, "optimizer.learning_rate": 100 * usual}
    found = diagnosed(tmp_path, "char-lm", prose(tmp_path / "a.txt"), 100, **options)
    assert first(found) == "learning-rate"
    assert found.mended()[0].optimizer.learning_rate <= 10 * usual


def test_a_bound_on_gradients_far_too_low(tmp_path: Path) -> None:
    options = {**SMALL, "optimizer.kind": "sgd", "optimizer.learning_rate": 2.0, "optimizer.clip_norm": 1e-3}
    found = diagnosed(tmp_path, "char-lm", prose(tmp_path / "a.txt"), 100, **options)
    assert first(found) == "clipping"
    assert found.findings[0].figures["clipped"] > 0.95
    assert found.mended()[0].optimizer.clip_norm >= 1


def test_dead_relu_units(tmp_path: Path) -> None:
    options = {**RELU, "task.normalisation": "none"}
    found = diagnosed(tmp_path, "series-classifier", waves(tmp_path / "a.jsonl", raw=True), **options)
    assert first(found) == "dead-units"
    assert found.mended()[1]["task.normalisation"] == "training"


def test_shuffled_labels(tmp_path: Path) -> None:
    found = diagnosed(tmp_path, "text-classifier-small", reviews(tmp_path / "a.csv", shuffled=True))
    assert first(found) == "labels-unrelated"


@pytest.mark.parametrize("kind", ["text", "series", "covariate"])
def test_targets_that_leaked_into_the_inputs(kind: str, tmp_path: Path) -> None:
    if kind == "text":
        found = diagnosed(tmp_path, "text-classifier-small", reviews(tmp_path / "a.csv", leaking=True))
        assert "'omega'" in found.findings[0].sentence()
    elif kind == "series":
        found = diagnosed(tmp_path, "series-classifier", waves(tmp_path / "a.jsonl", leaking=True), 20)
        assert "the first value of 2" in found.findings[0].sentence()
    else:
        options = {"data.series.targets": ["sales"], "data.series.past": ["beside"], **WEEKLY}
        found = diagnosed(tmp_path, "forecast", sales(tmp_path / "a.csv", leaking=True), 20, **options)
        assert "the covariate beside, 1 steps before" in found.findings[0].sentence()
    assert first(found) == "leak"


WEEKLY = {"task.horizon": 7, "task.context_length": 28, "model.history.patch_length": 7}


class LastStep(nn.Module):
    """A classifier that knows no lengths: it reads outputs[:, -1], padding and all."""

    def __init__(self, vocab_size: int, num_labels: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, 16)
        self.recurrent = nn.LSTM(16, 16, batch_first=True)
        self.output = nn.Linear(16, num_labels)

    def forward(self, inputs: Sequences, state: Any = None) -> ModelOutput:
        outputs: Tensor = self.recurrent(self.embedding(inputs.data))[0]
        return ModelOutput(self.output(outputs[:, -1]), None)

    def layer_groups(self) -> list[list[nn.Parameter]]:
        return [list(self.parameters())]


def test_a_model_that_reads_padding(tmp_path: Path) -> None:
    config = recipe("text-classifier-small", **{"data.train": reviews(tmp_path / "a.csv")})
    patient = of_config("mine", config, tmp_path / "cache")
    spec = patient.prepared.task.spec

    def fresh() -> LastStep:
        torch.manual_seed(0)
        return LastStep(spec.input_size, spec.output_size)

    found = diagnose(replace(patient, model=fresh(), fresh=fresh), updates=60)
    assert first(found) == "padding-read"
    assert "gradients" in found.examination.skipped  # there is no recurrent stack of recurra's to look into


def test_batches_that_are_mostly_padding(tmp_path: Path) -> None:
    train = reviews(tmp_path / "a.csv", long_every=200)
    options = {"training.batch_size": 600, "model.hidden_size": 8, "model.embedding_dim": 8}
    found = diagnosed(tmp_path, "text-classifier-small", train, 6, **options)
    assert first(found) == "padding-dominates"
    assert found.mended()[0].task.max_length < 40


def test_files_that_were_padded_before(tmp_path: Path) -> None:
    found = diagnosed(tmp_path, "text-classifier-small", reviews(tmp_path / "a.csv", tail=" pad" * 8))
    assert first(found) == "padded-file"


def test_windows_too_short_for_the_task(tmp_path: Path) -> None:
    options = {**SMALL, "training.tbptt_length": 8}
    found = diagnosed(tmp_path, "char-lm", echo(tmp_path / "a.txt", 24), **options)
    assert first(found) == "window-too-short"
    assert found.findings[0].figures["distance"] == 24
    assert found.mended()[0].training.tbptt_length == 64


def test_the_mends_mend(tmp_path: Path) -> None:
    """With the options that the doctor gives, it finds nothing."""
    train = prose(tmp_path / "a.txt")
    options = {**SMALL, **RELU, "model.cell.radius": 1.5}
    sick = diagnosed(tmp_path, "char-lm", train, 40, **options)
    config, _ = sick.mended()
    well = diagnose(of_config("mended", config, tmp_path / "well"), updates=60)
    assert first(sick) == "exploding" and not well.findings, well.lines()
