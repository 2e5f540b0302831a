"""How files are to be read."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from recurra.core.config import Config

Format = Literal["auto", "text", "csv", "tsv", "jsonl", "conll", "conllu", "babi", "squad", "ts", "ucr"]
# YAML takes a bare yes or no for a truth value
Header = Annotated[
    Literal["auto", "yes", "no"], BeforeValidator(lambda given: {True: "yes", False: "no"}.get(given, given))
]
Documents = Literal["file", "line", "paragraph", "whole"]


class ReadOptions(Config):
    """How files are to be read."""

    format: Format = Field("auto", description="file format; auto goes by the file's ending")
    header: Header = Field("auto", description="whether the first row of a CSV or TSV file names the columns")
    encoding: str = Field("utf-8", description="character encoding of the files, e.g. utf-8, gb18030, latin-1, utf-16")
    skip_bad_rows: bool = Field(False, description="skip and count rows that can't be used, instead of stopping")
    documents: Documents = Field(
        "file",
        description="what one document of running text is: a file, a line, a paragraph (blank lines between), or "
        "whole: all files are one unbroken text",
    )
