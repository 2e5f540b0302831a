"""Bytes -> text in chunks, with errors that name file, line and column. Line ends become "\\n"."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path

from recurra.core.errors import DataError, did_you_mean

CHUNK_BYTES = 1 << 20

_SIGNATURES = {
    b"PK\x03\x04": "a zip archive (or an office document); unpack it, or export it as text",
    b"%PDF": "a PDF document; export it as text",
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"SQLite format 3": "an SQLite database; export the table as CSV",
    b"BZh": "bzip2; unpack it, or pack it with gzip",
    b"\xfd7zXZ": "xz; unpack it, or pack it with gzip",
    b"\x28\xb5\x2f\xfd": "zstd; unpack it, or pack it with gzip",
    b"PAR1": "a Parquet table; export it as CSV or JSONL",
    b"\x7fELF": "a program",
}
_ENCODINGS = (
    "utf-8",
    "utf-16",
    "utf-32",
    "latin-1",
    "gb18030",
    "gbk",
    "big5",
    "shift_jis",
    "euc-kr",
    "cp1252",
    "koi8-r",
)


def read_chunks(path: Path, encoding: str = "utf-8") -> Iterator[str]:
    """Read a file (unpacked, if it is gzip) as text in chunks of about a million characters.

    A byte-order mark is taken off; "\\r\\n" and "\\r" become "\\n".

    Raises:
        DataError: missing, empty, binary, cut short, not in `encoding`, or the encoding is not known.
    """
    decoder = io.IncrementalNewlineDecoder(_decoder(path, encoding), translate=True)
    place = _Place(path)
    first = True
    for data in _read_bytes(path):
        if first:
            _refuse_binary(path, data, encoding)
            first = False
        yield from place.check(_decode(decoder, data, place, encoding))
    if first:
        raise DataError(f"{path}: the file is empty. Give a file with at least one line of text.")
    yield from place.check(_decode(decoder, b"", place, encoding))


def read_lines(path: Path, encoding: str = "utf-8") -> Iterator[str]:
    """The lines of a file, without their ends; otherwise as `read_chunks`."""
    parts: list[str] = []
    for chunk in read_chunks(path, encoding):
        lines = chunk.split("\n")
        if len(lines) > 1:
            parts.append(lines[0])
            yield "".join(parts)
            yield from lines[1:-1]
            parts = []
        parts.append(lines[-1])
    rest = "".join(parts)
    if rest:
        yield rest


def require_file(path: Path) -> Path:
    """Check that a file or folder is there.

    Raises:
        DataError: it is not; names the nearest that is.
    """
    if path.exists():
        return path
    parent = path.parent
    if not parent.is_dir():
        raise DataError(f"{path}: no such file; there is no folder {parent} either. Check the path.")
    near = get_close_matches(path.name, [entry.name for entry in parent.iterdir()], n=1, cutoff=0.5)
    mend = f"Did you mean {parent / near[0]}?" if near else f"Nothing in {parent} has a name like it."
    raise DataError(f"{path}: no such file. {mend}")


class _Place:
    """Line and column of what was decoded so far."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.line = 1
        self.column = 0

    def check(self, text: str) -> Iterator[str]:
        """Pass on what holds no NUL, and count its lines."""
        nul = text.find("\0")
        if nul >= 0:
            self.advance(text[:nul])
            raise DataError(
                f"{self.path}:{self.line}: NUL byte at column {self.column + 1}: this is no plain text. If it is "
                "UTF-16 text without a mark, pass --data.encoding=utf-16-le; else remove the NUL bytes."
            )
        if text:
            self.advance(text)
            yield text

    def advance(self, text: str) -> None:
        self.line += text.count("\n")
        end = text.rfind("\n")
        self.column = len(text) - end - 1 if end >= 0 else self.column + len(text)


def _decoder(path: Path, encoding: str) -> codecs.IncrementalDecoder:
    try:
        info = codecs.lookup(encoding)
    except (LookupError, ValueError) as error:
        near = did_you_mean(encoding.lower(), _ENCODINGS)
        raise DataError(f"{path}: there is no encoding `{encoding}`.{near} Pass --data.encoding=NAME.") from error
    if not getattr(info, "_is_text_encoding", True):
        raise DataError(f"{path}: `{encoding}` is not an encoding of text. Pass --data.encoding=utf-8, or another.")
    return codecs.getincrementaldecoder("utf-8-sig" if info.name == "utf-8" else encoding)()


def _read_bytes(path: Path) -> Iterator[bytes]:
    require_file(path)
    if path.is_dir():
        raise DataError(f"{path}: is a folder; a file is wanted.")
    try:
        with open(path, "rb") as raw:
            packed = raw.peek(2)[:2] == b"\x1f\x8b"
            with gzip.GzipFile(fileobj=raw) if packed else raw as file:
                while data := file.read(CHUNK_BYTES):
                    yield data
    except EOFError as error:
        raise DataError(f"{path}: the gzip file is cut short. Copy or download it again.") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: the gzip file is damaged ({error}). Copy or download it again.") from error
    except OSError as error:
        raise DataError(f"{path}: can't be read: {error.strerror or error}.") from error


def _refuse_binary(path: Path, data: bytes, encoding: str) -> None:
    for signature, kind in _SIGNATURES.items():
        if data.startswith(signature):
            raise DataError(f"{path}: a binary file, not text: {kind}.")
    name = codecs.lookup(encoding).name
    wide = name.startswith(("utf-16", "utf-32"))
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and not wide:
        kind = "utf-32" if data.startswith(codecs.BOM_UTF32_LE) else "utf-16"
        raise DataError(f"{path}:1: starts with a {kind.upper()} mark, not {encoding}; pass --data.encoding={kind}.")
    if not wide and data[:8192].count(0) > len(data[:8192]) // 4 and not _looks_like_utf16(data[:8192]):
        raise DataError(f"{path}: a binary file, not text (full of NUL bytes). Give a text file.")


def _looks_like_utf16(data: bytes) -> bool:
    """Whether the NULs stand at every other byte, as in Latin text."""
    return min(data[::2].count(0), data[1::2].count(0)) * 20 < data.count(0)


def _decode(decoder: io.IncrementalNewlineDecoder, data: bytes, place: _Place, encoding: str) -> str:
    try:
        return decoder.decode(data, final=not data)
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode(encoding, errors="replace").removeprefix("\ufeff")
        place.advance(before.replace("\r\n", "\n").replace("\r", "\n"))
        if error.start >= len(error.object) - 3 and error.reason == "unexpected end of data":
            what = "the file ends within a character; it seems to be cut short"
        else:
            what = f"byte 0x{error.object[error.start]:02x} at column {place.column + 1} is not {encoding.upper()}"
        others = [
            name for name in ("utf-8", "gb18030", "latin-1") if codecs.lookup(encoding).name != codecs.lookup(name).name
        ]
        raise DataError(
            f"{place.path}:{place.line}: {what}; pass --data.encoding={others[-1]} (or {others[0]}) if the file is "
            "encoded so."
        ) from error
    except UnicodeError as error:
        raise DataError(
            f"{place.path}:{place.line}: not {encoding.upper()}: {error}. For UTF-16 text without a mark pass "
            "--data.encoding=utf-16-le (or utf-16-be), else the name of the encoding that it has."
        ) from error
