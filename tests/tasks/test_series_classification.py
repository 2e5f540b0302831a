"""Classification of whole series: its worked example, losses with weights and mixed classes, batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from recurra.core.batch import Batch
from recurra.core.errors import ConfigError, DataError
from recurra.core.sequences import Sequences
from recurra.data import DataConfig
from recurra.tasks import Preparation, Prepared, SeriesClassification, SeriesClassificationConfig, StreamOptions

ROWS = "1,3,?:.5,.5,.7:wave\n" + "2,2:.5,.6:still\n1,2:.4,.4:wave\n3,2:.5,.5:wave\n" * 2
TRAINING = StreamOptions(batch_size=4, length=1, seed=0, shuffle=True)


def prepared(folder: Path, rows: str = ROWS, **options: Any) -> Prepared:
    path = folder / "a.ts"
    path.write_text(f"@classLabel true wave still\n@data\n{rows}")
    given = Preparation(data=DataConfig(train=str(path), valid_fraction=0), seed=0, cache=folder)
    return SeriesClassification.prepare(SeriesClassificationConfig(**options), given)


def test_a_row_becomes_an_example(tmp_path: Path) -> None:
    found = prepared(tmp_path)
    task, first = found.task, found.splits.train[0]
    assert isinstance(task, SeriesClassification)
    known = np.array([1, 3, *[2, 2, 1, 2, 3, 2] * 2])
    np.testing.assert_allclose(first.steps[:, 0], (np.array([1, 3, 3]) - known.mean()) / known.std(), rtol=1e-5)
    assert first.steps.shape == (3, 2) and first.target == 1 and first.id == "3"
    assert task.labels.names == ("still", "wave") and task.spec.output_prior == pytest.approx((2.5 / 8, 5.5 / 8))
    assert any("2 to 3 steps of 2 features" in note for note in found.notes)
    batch = Batch(Sequences(torch.zeros(1, 1, 2)), torch.tensor([1]))
    (said,) = task.predict(torch.tensor([[0.0, np.log(3.0)]]), batch)
    assert said.label == "wave" and list(said.probs) == pytest.approx([0.25, 0.75])
    assert (
        task.line(next(iter(task.items(str(tmp_path / "a.ts"), DataConfig()))), task.readable(said))
        == "wave\t0.7500\t3"
    )


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weights", ["none", "balanced"])
def test_losses(tmp_path: Path, weights: str, smoothing: float) -> None:
    task: Any = prepared(tmp_path, class_weights=weights, label_smoothing=smoothing).task
    logits, targets = torch.randn(5, 2), torch.tensor([0, 1, 1, 0, 1])
    share = torch.tensor([2.5 / 8, 5.5 / 8])
    weight = 1 / (2 * share) if weights == "balanced" else None
    hard = task.loss(logits, Batch(None, targets))
    wanted = F.cross_entropy(logits, targets, weight, label_smoothing=smoothing)
    torch.testing.assert_close(hard.mean(), wanted)
    soft = task.loss(logits, Batch(None, F.one_hot(targets, 2).float()))
    torch.testing.assert_close(soft.mean(), wanted)
    mixed = torch.rand(5, 1) * torch.tensor([1.0, -1.0]) + torch.tensor([0.0, 1.0])
    found = task.loss(logits, Batch(None, mixed))
    smooth = mixed * (1 - smoothing) + smoothing / 2
    rows = -(smooth * logits.log_softmax(-1) * (1 if weight is None else weight)).sum(-1)
    torch.testing.assert_close(found.total, rows.sum())
    torch.testing.assert_close(found.count.float(), torch.tensor(5.0) if weight is None else (mixed @ weight).sum())


def test_members_of_an_ensemble_learn_each_by_itself_and_answer_together(tmp_path: Path) -> None:
    task: Any = prepared(tmp_path).task
    logits, targets = torch.randn(3, 2, 2), torch.tensor([0, 1, 1])
    each = [task.loss(logits[:, member], Batch(None, targets)).mean() for member in range(2)]
    torch.testing.assert_close(task.loss(logits, Batch(None, targets)).mean(), (each[0] + each[1]) / 2)
    mixed = F.one_hot(targets, 2).float()
    torch.testing.assert_close(task.loss(logits, Batch(None, mixed)).mean(), (each[0] + each[1]) / 2)
    said = task.predict(logits, Batch(None, targets))
    wanted = logits.softmax(-1).mean(1)
    np.testing.assert_allclose([row.probs for row in said], wanted, rtol=1e-5)


def test_training_alone_is_augmented_and_mixed(tmp_path: Path) -> None:
    found = prepared(tmp_path, augmentation={"jitter": 0.5, "mixing": 0.5})
    train = found.task.stream(found.splits.train, TRAINING).next_batch()
    assert train is not None and train.targets.shape == (4, 2)
    rest = StreamOptions(batch_size=7, length=1, seed=0, shuffle=False)
    plain = found.task.stream(found.splits.train, rest).next_batch()
    assert plain is not None and plain.targets.shape == (7,)
    by_id = {example.id: example for example in found.splits.train}
    for name, row in zip(plain.ids, plain.inputs.unpad(), strict=True):
        np.testing.assert_array_equal(row.numpy(), by_id[name].steps)


def test_series_of_very_different_lengths_are_batched_by_length(tmp_path: Path) -> None:
    long = ",".join("1234567890" * 10)
    rows = "1,2:wave\n2,1:still\n" * 6 + f"{long}:wave\n{long}:still\n"
    found = prepared(tmp_path, rows)
    stream = found.task.stream(found.splits.train, StreamOptions(batch_size=2, length=1, seed=0, shuffle=True))
    spreads = []
    while (batch := stream.next_batch()) is not None:
        spreads.append(batch.inputs.lengths)
    assert all(lengths is None for lengths in spreads)


def test_faults(tmp_path: Path) -> None:
    given = Preparation(data=DataConfig(), seed=0, cache=tmp_path)
    with pytest.raises(ConfigError, match="no training data"):
        SeriesClassification.prepare(SeriesClassificationConfig(), given)
    task = prepared(tmp_path).task
    with pytest.raises(DataError, match=r"series 1: shape \(3, 2\): \(2, T\) is wanted. Transpose it"):
        task.encode([np.zeros((2, 5)) + np.arange(5), np.zeros((3, 2))])
    with pytest.raises(DataError, match="line: value 2: 'x' is no number"):
        task.item("1 x")
    with pytest.raises(DataError, match="2 series and 1 targets"):
        task.encode_labelled([[[1, 2], [3, 4]]] * 2, ["wave"])
