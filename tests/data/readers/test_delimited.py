"""CSV and TSV: quotes, headers, rows that do not fit."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recurra.core.errors import DataError
from recurra.data import ReadOptions, Records, read_records


def read(folder: Path, content: str, name: str = "data.csv", **options: object) -> Records:
    path = folder / name
    path.write_text(content, encoding="utf-8", newline="")
    return read_records(path, ReadOptions(**options))  # type: ignore[arg-type]


def rows(records: Records) -> list[tuple[str, ...]]:
    return [tuple(record.fields.values()) for record in records]


def test_quoted_fields(tmp_path: Path) -> None:
    records = read(tmp_path, 'text,label\n"a, b",x\n"say ""hi""",y\n"two\n\nlines",x\n"",y\nlast,x\n')
    assert rows(records) == [("a, b", "x"), ('say "hi"', "y"), ("two\n\nlines", "x"), ("", "y"), ("last", "x")]
    assert records.rows[-1].where.endswith(":8")
    assert records.rows[2].where.endswith(":4")


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(st.text('ab",\n 好', max_size=6), min_size=2, max_size=2), min_size=1, max_size=6))
def test_reads_what_the_standard_library_writes(tmp_path: Path, table: list[list[str]]) -> None:
    table = [["first", *row] for row in table]
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(table)
    assert rows(read(tmp_path, buffer.getvalue(), header="no")) == [tuple(row) for row in table]


def test_tsv_takes_quotes_as_they_are(tmp_path: Path) -> None:
    content = 'ham\t"Hello" he said\nspam\t"\nham\t"whole message"\nham\t6" disk\n'
    assert [row[1] for row in rows(read(tmp_path, content, "sms.tsv"))] == [
        '"Hello" he said',
        '"',
        '"whole message"',
        '6" disk',
    ]


@pytest.mark.parametrize(
    "content",
    ['"a"\t"the ""first"""\n"b"\t"second"\n', 'a\t"the ""first"""\nb\tsecond\n', 'a\tb\n"a"\t"the ""first"""\n'],
)
def test_tsv_that_was_written_with_quotes(tmp_path: Path, content: str) -> None:
    records = read(tmp_path, content, "data.tsv", header="no")
    assert ("a", 'the "first"') in rows(records)
    assert any("quotes are taken off" in note for note in records.notes)


def test_other_delimiters_in_csv(tmp_path: Path) -> None:
    records = read(tmp_path, "text;label\ngood, really;1\nbad;0\n")
    assert rows(records) == [("good, really", "1"), ("bad", "0")]
    assert "separated by ';'" in records.notes[0]


def test_header_is_guessed_and_told(tmp_path: Path) -> None:
    named = read(tmp_path, "text,label\nfine,1\nbad,0\n")
    assert named.columns == ("text", "label") and named.named
    assert "the header names the columns text, label" in named.notes[0] and "--data.header=no" in named.notes[0]
    bare = read(tmp_path, "fine,1\nbad,0\n")
    assert bare.columns == ("0", "1") and not bare.named
    assert "there is no header" in bare.notes[0] and "--data.header=yes" in bare.notes[0]


def test_header_as_told(tmp_path: Path) -> None:
    assert len(read(tmp_path, "fine,1\nbad,0\n", header="yes")) == 1
    records = read(tmp_path, "text,label\nfine,1\n", header="no")
    assert len(records) == 2 and records.notes == ()


def test_a_column_without_a_name(tmp_path: Path) -> None:
    records = read(tmp_path, ",text,label\n0,fine,1\n1,bad,0\n")
    assert records.columns == ("0", "text", "label")


def test_header_only(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"one line only, and it is the header"):
        read(tmp_path, "text,label\n")


def test_repeated_column_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r":1: two columns are named 'text'"):
        read(tmp_path, "text,text\na,b\n", header="yes")


def test_wrong_number_of_fields(tmp_path: Path) -> None:
    content = "text,label\nfine,1\nwell, well,0\nbad,0\n\nnone\n"
    with pytest.raises(DataError, match=r"data.csv:3: 3 fields where 2 are wanted \(text, label\).*skip_bad_rows"):
        read(tmp_path, content)
    records = read(tmp_path, content, skip_bad_rows=True)
    assert rows(records) == [("fine", "1"), ("bad", "0")]
    assert records.skipped == 2
    assert "2 bad rows were skipped" in records.notes[-1]


def test_a_short_first_row_does_not_set_the_number_of_columns(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r":1: 1 fields where 2"):
        read(tmp_path, "title here\nfine,1\nbad,0\n", header="no")


def test_all_rows_bad(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no usable rows.*1 fields where 2"):
        read(tmp_path, "text,label\nfine\n", skip_bad_rows=True)


def test_open_quote(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data.csv:3: field 0: a quote is opened here and not closed by the end"):
        read(tmp_path, 'text,label\nfine,1\n"bad,0\nfine,1\n', skip_bad_rows=True)
    with pytest.raises(DataError, match=r":2: field 0: a quote is opened here and not closed within 1,000,000"):
        read(tmp_path, 'text,label\n"bad,0\n' + "fine,1\n" * 200_000)


def test_text_after_a_closing_quote(tmp_path: Path) -> None:
    content = 'text,label\n"He said "no" again",1\nfine,0\n'
    with pytest.raises(DataError, match=r":2: field 0: text goes on after the closing quote"):
        read(tmp_path, content)
    assert rows(read(tmp_path, content, skip_bad_rows=True)) == [("fine", "0")]


@pytest.mark.parametrize("name", ["data.csv", "data.tsv"])
def test_ten_megabyte_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r":2: field 0: longer than 1,000,000 characters: is a quote left open"):
        read(tmp_path, "short\n" + "word " * 2_000_000 + "\n", name, header="no")


def test_long_but_allowed_field(tmp_path: Path) -> None:
    text = "word " * 150_000
    assert rows(read(tmp_path, f'text,label\n"{text}",1\nb,0\n'))[0] == (text, "1")


def test_duplicate_ids(tmp_path: Path) -> None:
    content = "id,text,label\na,fine,1\nb,bad,0\na,so so,1\n"
    with pytest.raises(DataError, match=r"data.csv:4: id 'a' stands at .*data.csv:2 already"):
        read(tmp_path, content)
    records = read(tmp_path, content, skip_bad_rows=True)
    assert [record.id for record in records] == ["a", "b"] and records.skipped == 1


def test_empty_id(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r":3: column 'ID' is empty"):
        read(tmp_path, "ID,text\n1,fine\n,bad\n")


def test_files_without_header_must_agree(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("3,fine thing\n4,bad thing\n")
    (tmp_path / "b.csv").write_text("3,fine,thing\n4,bad,thing\n")
    with pytest.raises(DataError, match=r"has the columns 0, 1, 2, and .*a.csv has 0, 1"):
        read_records([tmp_path / "a.csv", tmp_path / "b.csv"], ReadOptions())
