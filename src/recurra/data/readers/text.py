"""Plain text: a file (gzip or not), or a folder of them, in pieces, so that memory stays flat."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from recurra.core.errors import DataError
from recurra.data.readers.decoding import read_chunks, read_lines, require_file
from recurra.data.readers.options import Documents, ReadOptions
from recurra.data.readers.rows import Row, RowReader
from recurra.data.records import TextPiece

PIECE_CHARACTERS = 1 << 20
TEXT_ENDINGS = (".txt", ".text", ".md", ".rst", ".tokens", ".log")


def list_text_files(path: Path) -> list[Path]:
    """The file itself, or a folder's text files, hidden ones aside, recursive and sorted.

    Raises:
        DataError: nothing is there, or the folder holds no text files.
    """
    if not require_file(path).is_dir():
        return [path]
    inside = sorted(file for file in path.rglob("*") if file.is_file() and not _is_hidden(file.relative_to(path)))
    texts = [file for file in inside if file.name.removesuffix(".gz").endswith(TEXT_ENDINGS)]
    if not texts:
        endings = ", ".join(sorted({file.suffix or "(none)" for file in inside})) or "nothing at all"
        raise DataError(
            f"{path}: the folder holds no text files ({', '.join(TEXT_ENDINGS)}, each also with .gz); it holds: "
            f"{endings}. Name the files themselves."
        )
    return texts


def read_text_pieces(files: Iterable[Path], options: ReadOptions) -> Iterator[TextPiece]:
    """The text of files in pieces, cut into documents as `options.documents` says.

    Raises:
        DataError: a file is missing, empty, binary or wrongly encoded.
    """
    split = _SPLITTERS[options.documents]
    started = False
    for file in files:
        for piece in split(file, options.encoding):
            if options.documents == "whole":
                piece = TextPiece(piece.text, not started, False, piece.where)
                started = True
            yield piece


def read_text_rows(path: Path, options: ReadOptions) -> RowReader:
    """A row a line of a file; of a folder, a row a file, with its subfolder as label where there are any.

    Blank lines are left out.
    """
    if not require_file(path).is_dir():
        return RowReader(["text"], _line_rows(path, options.encoding))
    files = list_text_files(path)
    labelled = all(len(file.relative_to(path).parts) > 1 for file in files)
    return RowReader(["text", "label"] if labelled else ["text"], _file_rows(path, files, labelled, options.encoding))


def _line_rows(path: Path, encoding: str) -> Iterator[Row]:
    for number, line in enumerate(read_lines(path, encoding), start=1):
        if line.strip():
            yield Row({"text": line}, str(number), f"{path}:{number}")


def _file_rows(folder: Path, files: list[Path], labelled: bool, encoding: str) -> Iterator[Row]:
    for file in files:
        name = file.relative_to(folder)
        fields = {"text": "".join(read_chunks(file, encoding))}
        yield Row(fields | {"label": name.parts[0]} if labelled else fields, str(name), str(file))


def _is_hidden(name: Path) -> bool:
    return any(part.startswith(".") for part in name.parts)


def _split_file(path: Path, encoding: str) -> Iterator[TextPiece]:
    """The whole file is one document; pieces end at line ends, or where a line is longer than a piece, at a blank."""
    number, starts = 1, True
    held = ""
    for chunk in read_chunks(path, encoding):
        held += chunk
        while len(held) > PIECE_CHARACTERS:
            cut = _cut(held)
            yield TextPiece(held[:cut], starts, False, f"{path}:{number}")
            number, starts = number + held.count("\n", 0, cut), False
            held = held[cut:]
    yield TextPiece(held, starts, True, f"{path}:{number}")


def _cut(text: str) -> int:
    """Where to end a piece: after the last line end within its size, else after the last blank, else at its size."""
    for mark in ("\n", " "):
        place = text.rfind(mark, PIECE_CHARACTERS // 2, PIECE_CHARACTERS)
        if place >= 0:
            return place + 1
    return PIECE_CHARACTERS


def _split_lines(path: Path, encoding: str) -> Iterator[TextPiece]:
    """Each line that is not blank is a document, without its line end; its end is told by the token eos."""
    for number, line in enumerate(read_lines(path, encoding), start=1):
        if line.strip():
            yield from cut_document(line, f"{path}:{number}")


def _split_paragraphs(path: Path, encoding: str) -> Iterator[TextPiece]:
    """Each run of lines that are not blank is a document."""
    held: list[str] = []
    first = 1
    for number, line in enumerate(read_lines(path, encoding), start=1):
        if line.strip():
            first = first if held else number
            held.append(line)
        elif held:
            yield from cut_document("\n".join(held), f"{path}:{first}")
            held = []
    if held:
        yield from cut_document("\n".join(held), f"{path}:{first}")


def cut_document(text: str, where: str) -> Iterator[TextPiece]:
    """One document in pieces."""
    starts = True
    while len(text) > PIECE_CHARACTERS:
        cut = _cut(text)
        yield TextPiece(text[:cut], starts, False, where)
        text, starts = text[cut:], False
    yield TextPiece(text, starts, True, where)


_SPLITTERS: dict[Documents, Callable[[Path, str], Iterator[TextPiece]]] = {
    "file": _split_file,
    "line": _split_lines,
    "paragraph": _split_paragraphs,
    "whole": _split_file,
}
