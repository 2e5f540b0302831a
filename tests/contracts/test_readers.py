"""Laws of every reader: the same rows from plain, packed and differently ended files; one clear message otherwise."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from recurra.core.errors import DataError
from recurra.data import READERS, ReadOptions, read_records

CONTENT = {
    "text": "first line\nsecond line, naïve\n第三行\n",
    "csv": 'text,label\n"first, quoted ""so"" line",1\nsecond line naïve,0\n第三行,1\n',
    "tsv": "text\tlabel\nfirst line\t1\nsecond line naïve\t0\n第三行\t1\n",
    "jsonl": (
        '{"text": "first line", "label": 1}\n'
        '{"text": "second line naïve", "label": 0}\n'
        '{"text": "第三行", "label": 1}\n'
    ),
    "babi": "1 A sentence.\n2 first line, asked\t1\n3 second line, naïve\t2\n4 第三行\t3\n",
    "conll": "first line\t1\n\nsecond line naïve\t0\n\n第三行\t1\n",
    "conllu": "".join(f"1\t{text}" + "\t_" * 8 + "\n\n" for text in ("first line", "second line naïve", "第三行")),
    "squad": (
        '{"data": [{"paragraphs": [{"context": "", "qas": [{"question": "first line"},\n'
        '{"question": "second line naïve"},\n'
        '{"question": "第三行"}]}]}]}\n'
    ),
}
CONTENT["ts"] = "@classLabel true 1 0\n@data\nfirst line:1\nsecond line naïve:0\n第三行:1\n"
CONTENT["ucr"] = "1,first line\n0,second line naïve\n1,第三行\n"
ENDINGS = {"text": "txt", "squad": "json"}
NAMES = ("text", "question", "form", "0", "values")
every_reader = pytest.mark.parametrize("kind", READERS)


def write(folder: Path, kind: str, content: bytes | str, name: str = "data") -> Path:
    path = folder / f"{name}.{ENDINGS.get(kind, kind)}"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def texts(path: Path, **options: object) -> list[str]:
    records = read_records(path, ReadOptions(**options))  # type: ignore[arg-type]
    return [next(record.fields[name] for name in NAMES if name in record.fields) for record in records]


def test_every_reader_has_content_here() -> None:
    assert set(CONTENT) == set(READERS)


@every_reader
def test_rows_with_their_places(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path, kind, CONTENT[kind])
    records = read_records(str(path), ReadOptions())
    assert len(records) == 3
    if kind == "squad":
        assert [record.where for record in records] == [f"{path}: data[0].paragraphs[0].qas[{i}]" for i in range(3)]
        return
    assert texts(path)[2] == "第三行"
    first = {"csv": 2, "tsv": 2, "babi": 2, "ts": 3}.get(kind, 1)
    lines = [first + i * (2 if kind in ("conll", "conllu") else 1) for i in range(3)]
    assert [record.where for record in records] == [f"{path}:{line}" for line in lines]
    assert [record.id for record in records] == [str(line) for line in lines]
    assert records.skipped == 0
    if kind in ("csv", "tsv", "jsonl"):
        assert records.columns == ("text", "label")
        assert [record.fields["label"] for record in records] == ["1", "0", "1"]


@every_reader
@pytest.mark.parametrize("end", ["\r\n", "\r"])
def test_other_line_ends(tmp_path: Path, kind: str, end: str) -> None:
    plain = texts(write(tmp_path, kind, CONTENT[kind]))
    assert texts(write(tmp_path, kind, CONTENT[kind].replace("\n", end), "other")) == plain


@every_reader
def test_last_line_without_end(tmp_path: Path, kind: str) -> None:
    plain = texts(write(tmp_path, kind, CONTENT[kind]))
    assert texts(write(tmp_path, kind, CONTENT[kind].rstrip("\n"), "other")) == plain


@every_reader
def test_gzip_by_content(tmp_path: Path, kind: str) -> None:
    plain = texts(write(tmp_path, kind, CONTENT[kind]))
    path = write(tmp_path, kind, "", "other")
    packed = path.with_name(path.name + ".gz")
    packed.write_bytes(gzip.compress(CONTENT[kind].encode()))
    path.write_bytes(packed.read_bytes())
    assert texts(packed) == texts(path) == plain


@every_reader
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "gb18030"])
def test_encodings(tmp_path: Path, kind: str, encoding: str) -> None:
    plain = texts(write(tmp_path, kind, CONTENT[kind]))
    path = write(tmp_path, kind, CONTENT[kind].encode(encoding), "other")
    assert texts(path, encoding="utf-8" if encoding == "utf-8-sig" else encoding) == plain


@every_reader
def test_wrong_byte_is_named(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path, kind, CONTENT[kind].replace("第三行", "x").encode("latin-1"))
    line = {"csv": 3, "tsv": 3, "babi": 3, "conll": 3, "conllu": 3, "ts": 4}.get(kind, 2)
    column = CONTENT[kind].splitlines()[line - 1].index("ï") + 1
    with pytest.raises(DataError) as caught:
        texts(path)
    assert str(caught.value) == (
        f"{path}:{line}: byte 0xef at column {column} is not UTF-8; pass --data.encoding=latin-1 (or gb18030) if the "
        "file is encoded so."
    )


_PACKED = gzip.compress(b"text\n" * 100, mtime=0)
UNUSABLE = {
    "empty": (b"", "the file is empty"),
    "blank": (b"\n\n", "blank lines only|no usable rows"),
    "utf-16-mark": ("ab".encode("utf-16"), "starts with a UTF-16 mark.*--data.encoding=utf-16"),
    "utf-16-bare": ("text\tlabel\n".encode("utf-16-le") * 9, "NUL byte at column 2.*--data.encoding=utf-16-le"),
    "nul": (b"a b\nc\0d\n", ":2: NUL byte at column 2"),
    "program": (b"\x7fELF\x02\x01\x01\0\0", "binary file"),
    "numbers": (b"\0\0\0\1" * 400, "binary file"),
    "zip": (b"PK\x03\x04abc", "zip archive"),
    "packed-cut-short": (_PACKED[:-12], "gzip file is cut short"),
    "packed-damaged": (_PACKED[:-8] + b"12345678", "gzip file is damaged"),
    "half-a-character": ("好".encode()[:2], "ends within a character"),
}


@every_reader
@pytest.mark.parametrize(("content", "message"), UNUSABLE.values(), ids=UNUSABLE)
def test_unusable_files(tmp_path: Path, kind: str, content: bytes, message: str) -> None:
    path = write(tmp_path, kind, content)
    with pytest.raises(DataError, match=message) as caught:
        texts(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@every_reader
def test_missing_file_names_the_nearest(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path, kind, CONTENT[kind], "reviews")
    with pytest.raises(DataError, match=rf"no such file. Did you mean {path}"):
        texts(path.with_name(path.name.replace("reviews", "review")))
    with pytest.raises(DataError, match=r"there is no folder"):
        texts(tmp_path / "elsewhere" / path.name)


@every_reader
def test_unknown_encoding(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path, kind, CONTENT[kind])
    with pytest.raises(DataError, match=r"no encoding `utf9`. Did you mean `utf-8`"):
        texts(path, encoding="utf9")
    with pytest.raises(DataError, match=r"not an encoding of text"):
        texts(path, encoding="base64")


@every_reader
def test_several_files(tmp_path: Path, kind: str) -> None:
    paths = [write(tmp_path, kind, CONTENT[kind], name) for name in ("a", "b")]
    records = read_records([str(path) for path in paths], ReadOptions())
    assert len(records) == 6
    assert len({record.id for record in records}) == 6
    with pytest.raises(DataError, match=r"given twice"):
        read_records([paths[0], paths[0]], ReadOptions())


@every_reader
def test_nothing_is_printed(tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    texts(write(tmp_path, kind, CONTENT[kind]))
    assert capsys.readouterr() == ("", "")
