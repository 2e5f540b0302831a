"""Files and frames -> `SeriesSet`. Values stay as they are in the file; nothing is scaled here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from recurra.core.errors import DataError
from recurra.data.config import DataConfig
from recurra.data.frames import Table, table_of
from recurra.data.readers.decoding import require_file
from recurra.data.readers.options import ReadOptions
from recurra.data.series_columns import ID_NAMES, SeriesColumns, choose_series_columns
from recurra.data.series_grid import settle
from recurra.data.series_options import SeriesConfig
from recurra.data.series_types import Series, SeriesSet, joined
from recurra.data.stamp_texts import looks_like_stamps
from recurra.data.stamps import Frequency
from recurra.data.tables import header_of, kind_of, read_cells, read_table

_ENDINGS = (".csv", ".tsv", ".tab", ".txt", ".jsonl", ".ndjson", ".json", ".parquet", ".pq")


def read_series(
    paths: str | Path | Sequence[str | Path], options: DataConfig, usual: Frequency | None = None
) -> SeriesSet:
    """Read series from CSV, TSV, JSONL or Parquet files, or folders of them.

    In the wide layout each file is a series; in the long and `rows` layouts series of one id are joined over files.

    Args:
        paths: files or folders.
        options: how to read them; `options.series` says how rows become series.
        usual: the frequency of series read before, taken where it fits: three days may be days or business days.
    Raises:
        DataError: names file, row and column of what is missing, malformed, unsorted, irregular or no number.
        MissingExtraError: Parquet without the `data` extra.
    """
    files = _files(paths)
    config = options.series
    drafts: list[Series] = []
    notes: list[str] = []
    columns: SeriesColumns | None = None
    where: dict[str, str] = {}
    for file, name in files:
        found, columns, more = _read_file(file, name, options, config, columns)
        notes += more
        for draft in found:
            where.setdefault(draft.name, str(file))
            drafts.append(draft)
    assert columns is not None, "at least one file"
    joined = _join(drafts)
    source = ", ".join(str(file) for file, _ in files[:3]) + (f" and {len(files) - 3} more" if len(files) > 3 else "")
    return _settled(joined, columns, config, source, where, notes, usual)


def series_from_frame(
    frame: Any, config: SeriesConfig | None = None, source: str = "the table", usual: Frequency | None = None
) -> SeriesSet:
    """Series of a pandas or polars frame (wide or long), an Arrow table, a dict of columns, or an array (T,) or (T, C).

    Args:
        frame: the table.
        config: how its rows become series.
        source: its name in messages.
        usual: as in `read_series`.
    Raises:
        DataError: as `read_series`; rows are numbered from 0.
    """
    config = config or SeriesConfig()
    table = table_of(frame, source)
    if not table.num_rows:
        raise DataError(f"{source}: no rows.")
    columns = choose_series_columns(table, config)
    name = columns.targets[0] if len(columns.targets) == 1 and table.named else "series"
    drafts = _drafts(table, columns, name)
    return _settled(drafts, columns, config, source, {}, (*table.notes, *columns.notes), usual)


def _read_file(
    file: Path, name: str, options: ReadOptions, config: SeriesConfig, columns: SeriesColumns | None
) -> tuple[list[Series], SeriesColumns, list[str]]:
    if config.layout == "rows" or (config.layout == "auto" and columns is not None and columns.layout == "rows"):
        return _read_rows(file, options)
    try:
        table = read_table(file, options)
    except DataError:
        if config.layout == "auto" and columns is None and _is_ragged(file, options):
            return _guessed(_read_rows(file, options))
        raise
    if columns is None:
        columns = choose_series_columns(table, config)
        if columns.layout == "rows":
            return _guessed(_read_rows(file, options))
        notes = [*table.notes, *columns.notes]
    else:
        columns = columns.of(table)
        notes = table.notes
    return _drafts(table, columns, name), columns, list(notes)


def _guessed(
    rows: tuple[list[Series], SeriesColumns, list[str]],
) -> tuple[list[Series], SeriesColumns, list[str]]:
    drafts, columns, notes = rows
    return drafts, columns, [f"{note.removesuffix('.')} (guessed; else pass --data.series.layout)." for note in notes]


def _drafts(table: Table, columns: SeriesColumns, name: str) -> list[Series]:
    """The series of a table, as they stand in it."""
    stamps = columns.stamps if columns.stamps is not None else np.arange(table.num_rows)
    values, past, known, static = (
        _matrix(table, names) for names in (columns.targets, columns.past, columns.known, columns.static)
    )
    lines = table.lines
    groups = [(name, np.arange(table.num_rows))] if columns.id is None else _groups(table, columns.id)
    drafts = []
    for own, rows in groups:
        taken = slice(rows[0], rows[-1] + 1) if rows[-1] - rows[0] + 1 == len(rows) else rows
        changing = np.flatnonzero(~(static[taken] == static[rows[0]]).all(axis=1))
        if len(changing):
            raise DataError(
                f"{table.where(rows[changing[0]])}: a static column ({', '.join(columns.static)}) is empty or differs "
                f"from the first row of series {own!r}. Name it in --data.series.known or past if it changes with time."
            )
        length = _end_of_values(values[taken]) if columns.known else len(rows)
        if not length:
            raise DataError(f"{table.where(rows[0])}: series {own!r} has no values at all, only covariates.")
        drafts.append(
            Series(
                own,
                (stamps[taken] if columns.stamps is not None else np.arange(len(rows))),
                values[taken][:length],
                past[taken][:length],
                known[taken],
                static[rows[0]],
                None if lines is None else lines[taken],
            )
        )
    return drafts


def _matrix(table: Table, names: Sequence[str]) -> np.ndarray:
    if not names:
        return np.empty((table.num_rows, 0))
    return np.stack([table.numbers(name) for name in names], axis=1)


def _groups(table: Table, column: str) -> list[tuple[str, np.ndarray]]:
    codes: dict[str, int] = {}
    texts = table.texts(column)
    of_row = np.fromiter((codes.setdefault(text, len(codes)) for text in texts), np.int64, len(texts))
    if "" in codes:
        raise DataError(f"{table.where(int(np.argmax(of_row == codes[''])))}: the id column {column!r} is empty.")
    order = np.argsort(of_row, kind="stable")
    borders = np.cumsum(np.bincount(of_row, minlength=len(codes)))[:-1]
    return list(zip(codes, np.split(order, borders), strict=True))


def _end_of_values(values: np.ndarray) -> int:
    filled = np.flatnonzero(~np.isnan(values).all(axis=1))
    return int(filled[-1]) + 1 if len(filled) else 0


def _read_rows(file: Path, options: ReadOptions) -> tuple[list[Series], SeriesColumns, list[str]]:
    """A series a row: its id, then its values; empty cells at the end are none."""
    cells, lines, delimiter = read_cells(file, options)
    named, _ = header_of(file, cells, lines, options)
    if named or (options.header == "auto" and _numbers_the_steps(cells[0])):
        cells, lines = cells[1:], lines[1:]
    if not cells:
        raise DataError(f"{file}: the header stands alone: there are no series.")
    drafts = []
    seen: dict[str, int] = {}
    for row, line in zip(cells, lines.tolist(), strict=True):
        own = row[0].strip()
        if own in seen:
            raise DataError(f"{file}:{line}: series {own!r} stands in line {seen[own]} already. Ids must differ.")
        seen[own] = line
        length = len(row)
        while length > 1 and not row[length - 1].strip():
            length -= 1
        if length == 1:
            raise DataError(f"{file}:{line}: series {own!r} has no values.")
        table = Table({own: row[1:length]}, f"{file}:{line}", None, commas=delimiter == ";")
        values = table.numbers(own)[:, None]
        nothing = np.empty((length - 1, 0))
        drafts.append(
            Series(own, np.arange(length - 1), values, nothing, nothing, np.empty(0), np.full(length - 1, line))
        )
    columns = SeriesColumns("rows", None, "0", ("value",), (), (), (), None)
    return drafts, columns, [f"{file}: a series in each row, {len(drafts)} in all."]


def _numbers_the_steps(cells: list[str]) -> bool:
    """Whether a row is a header such as id, 1, 2, 3: a name, then numbers that count up."""
    counts = [cell.strip() for cell in cells[1:] if cell.strip()]
    first = cells[0].strip().lower() in ("", *ID_NAMES)
    return first and counts in ([str(step + low) for step in range(len(counts))] for low in (0, 1))


def _is_ragged(file: Path, options: ReadOptions) -> bool:
    """Whether rows of different lengths hold an id and then numbers."""
    if kind_of(file, options) not in ("csv", "tsv"):
        return False
    cells, _, _ = read_cells(file, options)
    head = cells[1:50]
    table = Table({str(place): [cell for cell in row[1:] if cell.strip()] for place, row in enumerate(head)}, str(file))
    ids = [row[0] for row in head]
    if len(head) < 2 or len(set(ids)) < len(ids) or not all(map(table.is_numeric, table.columns)):
        return False
    # dates, or steps that are counted, are no ids: such rows are steps of one series, some of them damaged
    return not looks_like_stamps(ids) and not _counts(ids)


def _counts(ids: list[str]) -> bool:
    """Whether these are n, n + 1, n + 2, ..."""
    if not all(own.strip().isdecimal() for own in ids):
        return False
    return [int(own) for own in ids] == list(range(int(ids[0]), int(ids[0]) + len(ids)))


def _join(drafts: list[Series]) -> list[Series]:
    """Series of one name, joined in the order in which they were read."""
    by_name: dict[str, list[Series]] = {}
    for draft in drafts:
        by_name.setdefault(draft.name, []).append(draft)
    return [parts[0] if len(parts) == 1 else joined(parts) for parts in by_name.values()]


def _settled(
    drafts: list[Series],
    columns: SeriesColumns,
    config: SeriesConfig,
    source: str,
    where: dict[str, str],
    notes: Sequence[str],
    usual: Frequency | None,
) -> SeriesSet:
    series, frequency, more = settle(drafts, config, columns, where, source, usual)
    return SeriesSet(
        tuple(series),
        columns.targets,
        columns.past,
        columns.known,
        columns.static,
        frequency,
        source,
        (*notes, *more),
    )


def _files(paths: str | Path | Sequence[str | Path]) -> list[tuple[Path, str]]:
    """The files, folders opened, and the name of the series that each is in the wide layout."""
    given = [paths] if isinstance(paths, (str, Path)) else list(paths)
    if not given or not all(str(path).strip() for path in given):
        raise DataError("no data files are given. Pass --data.train=FILE.")
    files: list[tuple[Path, str]] = []
    for path in (require_file(Path(entry).expanduser()) for entry in given):
        if not path.is_dir():
            files.append((path, _stem(Path(path.name))))
            continue
        inside = sorted(file for file in path.rglob("*") if file.name.lower().removesuffix(".gz").endswith(_ENDINGS))
        if not inside:
            raise DataError(f"{path}: no files of series in this folder ({', '.join(_ENDINGS)}).")
        files += [(file, _stem(file.relative_to(path))) for file in inside]
    names = [name for _, name in files]
    return [(file, name if names.count(name) == 1 else str(file)) for file, name in files]


def _stem(path: Path) -> str:
    name = path.as_posix().removesuffix(".gz")
    return name[: -len(Path(name).suffix)] if Path(name).suffix else name
