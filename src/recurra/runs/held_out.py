"""What a finished run was measured on, read again."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recurra.core.errors import DataError
from recurra.runs.saved import SavedModel
from recurra.tasks import TASKS, Preparation


@contextmanager
def measured_again(saved: SavedModel) -> Iterator[tuple[str, Any]]:
    """The run's own test data, or where it has none its validation data: name and encoded split.

    Inside the context alone, as what does not fit into memory lies in a temporary folder.

    Raises:
        DataError: the files can't be read, or the run held nothing out.
    """
    data = saved.config.data
    in_time = saved.task.spec.window is not None  # what is held out depends on where the training part ends
    if data.test is not None and not in_time:
        yield "test", saved.task.read(data.test, data)
        return
    with tempfile.TemporaryDirectory() as cache:
        given = Preparation(data=data, seed=saved.config.split_seed, cache=Path(cache), fitted=saved.task)
        splits = TASKS[saved.config.task.kind].prepare(saved.config.task, given).splits
        for name in ("test", "valid"):
            if (split := getattr(splits, name)) is not None:
                yield name, split
                return
    raise DataError("it has neither test nor validation data.")
