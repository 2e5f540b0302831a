"""Summarisation: long texts in, short ones out; words that only the source knows are copied."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch

import recurra
from recurra.core.errors import ConfigError, DataError
from recurra.data import DataConfig
from recurra.layers import DecoderConfig
from recurra.models import EncoderDecoder, EncoderDecoderConfig
from recurra.runs import SavedModel
from recurra.tasks import Preparation, Summarisation, SummarisationConfig

from .pair_files import TINY, train

SYLLABLES = ("ba", "ko", "ri", "tu", "me", "lo", "za", "ni")
FILL = ("the", "report", "says", "that", "we", "met", "at", "noon", "and", "went", "home")


def name(draw: random.Random) -> str:
    """One of half a million names: nearly all are unknown to a vocabulary."""
    return "".join(draw.choice(SYLLABLES) for _ in range(6))


def mails(count: int, seed: int) -> list[dict[str, str]]:
    """A text that mentions a name after "about"; the summary is "about NAME"."""
    draw = random.Random(seed)
    rows = []
    for _ in range(count):
        words, who = [draw.choice(FILL) for _ in range(draw.randint(4, 9))], name(draw)
        place = draw.randint(0, len(words))
        rows.append({"body": " ".join([*words[:place], "about", who, *words[place:]]), "subject": f"about {who}"})
    return rows


def write(path: Path, rows: list[dict[str, str]]) -> str:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def prepare(tmp_path: Path, data: dict[str, Any], **options: Any) -> Any:
    config = SummarisationConfig(**{"vocabulary": {"kind": "word", "min_frequency": 2}, **options})
    given = Preparation(data=DataConfig(**{"valid_fraction": 0.0, **data}), seed=0, cache=tmp_path)
    return Summarisation.prepare(config, given)


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SavedModel]:
    folder = tmp_path_factory.mktemp("mails")
    sizes = {"train": 1200, "valid": 40, "test": 60}
    files = {f"data.{n}": write(folder / f"{n}.jsonl", mails(c, i)) for i, (n, c) in enumerate(sizes.items())}
    base = TINY | {"task": {"kind": "summarisation", "vocabulary": {"kind": "word", "min_frequency": 3}}}
    options = {"model.decoder.copying": True, "task.search.max_length": 6, "training.epochs": 6}
    return folder / "run", train(folder / "run", files | options, base)


def test_it_learns_to_copy_words_that_no_vocabulary_knows(learnt: tuple[Path, SavedModel]) -> None:
    saved = learnt[1]
    assert saved.task.vocabulary.size < 40  # type: ignore[attr-defined]
    assert saved.metrics["test"]["rouge_l"] > 90
    assert saved.metrics["test"]["rouge_l"] > max(b["rouge_l"] for b in saved.metrics["baselines"].values())
    loaded = recurra.load(learnt[0])
    assert loaded.predict(["we met about zamelokobani and went home"]) == ["about zamelokobani"]
    assert set(saved.metrics["baselines"]) >= {"lead-sentence"}


def test_extended_vocabulary(tmp_path: Path) -> None:
    rows = [
        {"body": "call Zoltan about Ada and Zoltan", "subject": "Ada Zoltan Unheard"},
        {"body": "call about and", "subject": "call and"},
        {"body": "call about and Bob", "subject": "and"},
    ]
    prepared = prepare(tmp_path, {"train": write(tmp_path / "t.jsonl", rows)})
    task = prepared.task
    size, index = task.vocabulary.size, {task.vocabulary.token(i): i for i in range(task.vocabulary.size)}
    assert "Zoltan" in index  # twice in the sources, once in a target
    first, _, third = prepared.splits.train
    assert first.unknown == ()
    assert third.unknown == ("Bob",)
    (asked,) = task.encode(["call Xu and Yi and Xu"])
    assert asked.unknown == ("Xu", "Yi")
    both = [index["call"], size, index["and"], size + 1, index["and"], size, 1]
    assert asked.copies is not None
    assert asked.copies.tolist() == both
    (labelled,) = task.encode_labelled(["call Xu and Yi"], ["Yi Qi call"])
    assert labelled.target.tolist() == [size + 1, 0, index["call"]]
    batch = task.coder.collate([asked, labelled])
    assert batch.inputs.num_copies == 2
    assert batch.targets[1].tolist() == [size + 1, 0, index["call"], 1]
    assert batch.inputs.target.data[1].tolist() == [1, 0, 0, index["call"]]
    assert batch.inputs.copies[1].tolist() == [index["call"], size, index["and"], size + 1, 1, 0, 0]
    words = task.coder.words([size + 1, index["and"], size], asked)
    assert task.coder.text([size + 1, index["and"], size], words) == "Yi and Xu"


def test_a_long_source_is_cut_before_its_words_are_looked_at(tmp_path: Path) -> None:
    rows = [{"body": "a a b b c c", "subject": "a"}] * 3
    task = prepare(tmp_path, {"train": write(tmp_path / "t.jsonl", rows)}, max_length=2).task
    (asked,) = task.encode(["a Xu b Yi"])
    assert (asked.unknown, asked.cut, len(asked.tokens)) == (("Xu",), 2, 3)
    assert task.coder.source_words(asked) == ("a", "Xu", "<eos>")


def test_columns_are_guessed(tmp_path: Path) -> None:
    long, short = "a b c d e f g h", "a c"
    for columns in (("body", "subject"), ("title", "content"), ("kurz", "lang"), ("摘要", "正文")):
        texts = [long, short] if columns[0] == "body" else [short, long]
        rows = [dict(zip(columns, texts, strict=True))] * 3
        prepared = prepare(tmp_path, {"train": write(tmp_path / "t.jsonl", rows)})
        assert [(e.source, e.reference) for e in prepared.splits.train] == [(long, short)] * 3
        again = prepared.task.read(str(tmp_path / "t.jsonl"), DataConfig())
        assert [(e.source, e.reference) for e in again] == [(long, short)] * 3
    assert list(prepared.task.items(str(tmp_path / "t.jsonl"), DataConfig())) == [long] * 3


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"body": "a", "subject": "b"}, {"body": "c"}], r"t.jsonl:2: the target is empty"),
        ([{"body": " ", "subject": "b"}], r"t.jsonl:1: the source is empty.*skip_bad_rows"),
        ([{"x": "a", "y": "b", "z": "c"}], r"which columns.*x, y, z"),
    ],
)
def test_bad_rows(tmp_path: Path, rows: list[dict[str, str]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        prepare(tmp_path, {"train": write(tmp_path / "t.jsonl", rows)})


def test_copying_has_one_vocabulary(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", [{"body": "a b", "subject": "a"}] * 3)
    with pytest.raises(ConfigError, match="target_vocabulary"):
        prepare(tmp_path, {"train": path}, target_vocabulary={"kind": "word"})


def test_chinese_characters_are_copied(tmp_path: Path) -> None:
    rows = [{"正文": "今天我们开会讨论预算", "摘要": "讨论预算"}] * 3
    vocabulary = {"kind": "char", "min_frequency": 2}
    task = prepare(tmp_path, {"train": write(tmp_path / "t.jsonl", rows)}, vocabulary=vocabulary).task
    (asked,) = task.encode(["今天龘开会"])
    assert asked.unknown == ("龘",)
    tokens = [task.vocabulary.size, int(asked.tokens[0])]
    assert task.coder.text(tokens, task.coder.words(tokens, asked)) == "龘今"
    metrics = task.scores()
    metrics.update(["讨论龘"], ["讨论预算"])
    assert metrics.compute()["rouge_1"] == pytest.approx(100 * 2 * 2 / 7)


def test_label_smoothing_does_not_reach_words_that_a_row_lacks(tmp_path: Path) -> None:
    path = write(tmp_path / "t.jsonl", mails(20, 0))
    prepared = prepare(tmp_path, {"train": path}, label_smoothing=0.1)
    config = EncoderDecoderConfig(embedding_dim=4, hidden_size=4, decoder=DecoderConfig(copying=True))
    model = EncoderDecoder(config, prepared.task.spec).train()
    batch = prepared.task.coder.collate(prepared.splits.train)
    loss = prepared.task.loss(model(batch.inputs).prediction, batch)
    loss.mean().backward()
    assert torch.isfinite(loss.total)
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
