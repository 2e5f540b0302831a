"""Parts of words: sizes, the optional package."""

from __future__ import annotations

import argparse
import json
import re
import sys

import pytest

from recurra.core.errors import ConfigError, MissingExtraError
from recurra.data import VocabularyConfig, fit_vocabulary

TEXT = f"{argparse.__doc__}{re.__doc__}{json.__doc__}"


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_sizes(kind: str) -> None:
    with pytest.raises(ConfigError, match="Set 258 or more"):
        fit_vocabulary(VocabularyConfig(kind=kind, max_size=257), [TEXT])  # type: ignore[arg-type]
    vocabulary = fit_vocabulary(VocabularyConfig(kind=kind, max_size=270), [TEXT])  # type: ignore[arg-type]
    assert 258 <= vocabulary.size <= 270
    larger = fit_vocabulary(VocabularyConfig(kind=kind, max_size=800), [TEXT])  # type: ignore[arg-type]
    assert len(larger.encode(TEXT)) < len(TEXT) / 2


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_missing_package(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'recurra\[text\]'"):
        fit_vocabulary(VocabularyConfig(kind=kind), [TEXT])  # type: ignore[arg-type]
