"""What `compare` does, and `evaluate` on the parts of its data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from recurra.cli.running import paths_of, speaker
from recurra.cli.using import data_config, print_metrics
from recurra.comparison import compare, comparison_lines, comparison_page, slice_by, slicing_lines
from recurra.comparison.entrants import measured_split
from recurra.comparison.table import comparison_json, slicing_json
from recurra.core.config import parse
from recurra.core.errors import ConfigError, DataError
from recurra.core.files import require_new, write_text
from recurra.data import DataConfig, read_records
from recurra.runs import load
from recurra.tasks.judging import Judged
from recurra.training.evaluation import defined


def run_compare(
    words: Sequence[str],
    against: str | None,
    data: str | None,
    out: str | None,
    lang: Literal["en", "zh"],
    as_json: bool,
) -> None:
    """Print a comparison; write it as a page where `out` is given."""
    overrides = [word for word in words if "=" in word and not Path(word).exists()]
    if overrides and data is None:
        raise ConfigError(f"{', '.join(overrides)}: options say how a file is read; name it with --data.test FILE.")
    if out is not None:
        if not out.endswith((".html", ".htm")):
            raise ConfigError(f"--out {out}: a name that ends in .html is wanted.")
        require_new(Path(out), "--out")
    found = compare(
        [word for word in words if word not in overrides],
        against=against,
        data=None if data is None else paths_of(data),
        options=data_config(overrides).model_dump(exclude_unset=True),
        say=speaker(quiet=False),
    )
    if out is not None:
        write_text(Path(out), comparison_page(found, lang))
    print(json.dumps(comparison_json(found), ensure_ascii=False) if as_json else "\n".join(comparison_lines(found)))


def run_slices(model: str, paths: Any, options: dict[str, Any], slices: str, as_json: bool) -> None:
    """Print the figures of all items, then those of their parts; of no file, of the run's own test data."""
    names = [name.strip() for name in slices.split(",") if name.strip()]
    if not names:
        raise ConfigError(f"--slices {slices}: names with commas between are wanted, such as length,label.")
    saved = load(model)
    with measured_split(saved, model, paths, options) as (_, split):
        found = saved.evaluate_split(split)
        judged = saved.task.judge(split, found.predictions, found.references)
    further = [name for name in names if name != "length" and name not in judged.marks]
    columns = _columns(paths, parse(DataConfig, options), judged, further)
    slicings = [slice_by(name, judged, saved.task.metrics, saved.task.compared, columns) for name in names]
    if as_json:
        metrics = defined(found.metrics)
        print(json.dumps({"metrics": metrics, "slices": [slicing_json(one) for one in slicings]}, ensure_ascii=False))
        return
    print_metrics(found.metrics, as_json)
    for one in slicings:
        print("\n" + "\n".join(slicing_lines(one)))


def _columns(paths: Any, data: DataConfig, judged: Judged, wanted: Sequence[str]) -> dict[str, list[str]]:
    """The columns of the file, by name, in the order of the items; none where items are not rows of it."""
    if not wanted or paths is None:
        return {}
    try:
        records = {record.id: record.fields for record in read_records(paths, data)}
    except DataError:
        return {}
    if not set(judged.ids) <= records.keys():
        return {}
    rows = [records[id] for id in judged.ids]
    return {name: [row.get(name, "") for row in rows] for name in dict.fromkeys(key for row in rows for key in row)}
