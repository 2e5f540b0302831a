"""Regression of whole series: targets go into standard deviations and come back in their own units."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recurra.core.batch import Batch
from recurra.core.errors import DataError
from recurra.data import DataConfig
from recurra.tasks import Preparation, Prepared, SeriesRegression, SeriesRegressionConfig, StreamOptions

TABLE = "age,weight,v0,v1,v2\n65,1,1,2,3\n75,1,4,5,6\n65,1,7,8,10\n75,1,3,1,2\n"


def prepared(folder: Path, text: str = TABLE, label: str = "age", **options: Any) -> Prepared:
    path = folder / "a.csv"
    path.write_text(text)
    data = DataConfig(train=str(path), valid_fraction=0, label_column=label)
    given = Preparation(data=data, seed=0, cache=folder)
    return SeriesRegression.prepare(SeriesRegressionConfig(**options), given)


def test_one_number(tmp_path: Path) -> None:
    found = prepared(tmp_path, TABLE.replace(",weight", "").replace(",1,", ",", 4))
    task: Any = found.task
    assert task.targets.names == ("age",) and (task.targets.mean, task.targets.scale) == ([70.0], [5.0])
    assert task.target("72.5", "here").tolist() == [0.5]
    batch = Batch(None, torch.tensor([[0.5]]))
    estimate = torch.tensor([[0.3]])
    members = torch.tensor([[[0.1], [0.5]]])
    assert task.loss(members, batch).mean().item() == pytest.approx(0.08)
    assert task.predict(members, batch)[0] == pytest.approx([71.5])
    assert task.loss(estimate, batch).mean().item() == pytest.approx(0.04)
    assert task.brief(task.predict(estimate, batch)[0]) == pytest.approx(71.5)
    assert task.references(batch)[0].tolist() == pytest.approx([72.5])
    assert task.readable(task.predict(estimate, batch)[0]) == {"age": pytest.approx(71.5)}
    assert any("targets: age 70 ± 5" in note for note in found.notes)
    stream = task.stream(found.splits.train, StreamOptions(batch_size=4, length=1, seed=0, shuffle=False))
    assert stream.next_batch().targets.dtype == torch.float32


def test_several_numbers(tmp_path: Path) -> None:
    found = prepared(tmp_path, label="age+weight")
    task: Any = found.task
    assert task.targets.names == ("age", "weight") and task.targets.scale.tolist() == [5, 1]
    assert task.spec.output_size == 2 and found.splits.train[1].target.tolist() == [1, 0]
    figures = task.baselines(found.splits.train, found.splits.train)
    assert figures["1-nn-euclidean"]["rmse"] == 0 and figures["mean"]["mae/age"] == 5
    again = SeriesRegression.from_files(SeriesRegressionConfig(), task.files())
    assert again.targets.names == task.targets.names and again.spec == task.spec
    np.testing.assert_array_equal(again.encode([[1, 2, 3]])[0].steps, task.encode([[1, 2, 3]])[0].steps)


@pytest.mark.parametrize("loss", ["mse", "mae", "huber"])
def test_losses(tmp_path: Path, loss: str) -> None:
    task: Any = prepared(tmp_path, loss=loss).task
    found = task.loss(torch.tensor([[2.0]]), Batch(None, torch.tensor([[0.0]]))).mean().item()
    assert found == {"mse": 4.0, "mae": 2.0, "huber": 1.5}[loss]


def test_faults(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.csv:3: the target is 'old': a finite number is wanted"):
        prepared(tmp_path, TABLE.replace("75", "old", 1))
    task = prepared(tmp_path).task
    with pytest.raises(DataError, match="series 0: 2 targets where 1 are wanted"):
        task.encode_labelled([[1, 2]], [[1.0, 2.0]])
