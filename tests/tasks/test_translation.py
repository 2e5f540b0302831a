"""Translation: files in, texts out; it learns; what is wrong with files is told."""

from __future__ import annotations

import dataclasses
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import recurra
from recurra.core.errors import ConfigError, DataError
from recurra.core.sequences import Sequences
from recurra.data import DataConfig
from recurra.metrics import Generated
from recurra.models import EncoderDecoder, EncoderDecoderConfig
from recurra.runs import SavedModel
from recurra.tasks import Preparation, StreamOptions, Translation, TranslationConfig
from recurra.tasks.pairs import PairTask

from .pair_files import numerals, train, write_parallel


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SavedModel]:
    folder = tmp_path_factory.mktemp("numerals")
    files = {
        f"data.{n}": write_parallel(folder, n, numerals(c, i))
        for i, (n, c) in enumerate([("train", 1500), ("valid", 60), ("test", 60)])
    }
    options = {"task.search.beam_size": 3, "task.search.num_best": 3, "task.replace_unknown": True}
    return folder / "run", train(folder / "run", files | options)


def prepare(tmp_path: Path, data: dict[str, Any], **options: Any) -> Any:
    config = TranslationConfig(**{"vocabulary": {"kind": "word"}, **options})
    given = Preparation(data=DataConfig(**{"valid_fraction": 0.0, **data}), seed=0, cache=tmp_path)
    return Translation.prepare(config, given)


def test_it_learns_to_reverse_and_translate(learnt: tuple[Path, SavedModel]) -> None:
    metrics = learnt[1].metrics
    assert metrics["test"]["bleu"] > 95
    assert metrics["baselines"]["retrieval"]["bleu"] < 50
    assert metrics["baselines"]["copy-source"]["bleu"] < 5
    assert metrics["test"]["perplexity"] < 1.2


def test_a_loaded_model_translates(learnt: tuple[Path, SavedModel]) -> None:
    loaded = recurra.load(learnt[0])
    assert loaded.predict(["eins zwei drei", "", "neun"]) == ["three two one", "", "nine"]
    (row,) = loaded.predict_readable(["eins zwei drei"])
    assert row["translation"] == "three two one"
    assert len(row["alternatives"]) == 2
    assert row["score"] >= row["alternatives"][0]["score"]
    assert loaded.task.line("eins zwei drei", row) == "three two one"
    json.dumps(row)
    (prediction,) = loaded.predictions(["eins zwei drei"])
    alignment = loaded.task.picture(None, prediction)
    assert alignment is not None
    assert (alignment.rows, alignment.columns) == (("three", "two", "one"), ("eins", "zwei", "drei", "<eos>"))
    assert alignment.weights.shape == (3, 4)
    np.testing.assert_allclose(alignment.weights.sum(1), 1.0, rtol=1e-5)


def test_an_evaluation_of_pairs_at_hand(learnt: tuple[Path, SavedModel]) -> None:
    found = learnt[1].evaluate_items(["eins zwei drei vier", "neun"], ["four three two one", "nine"])
    assert found["bleu"] == pytest.approx(100.0)
    files = [str(learnt[0].parent / name) for name in ("test.de", "test.en")]
    assert learnt[1].evaluate(files) == pytest.approx(learnt[1].metrics["test"])


def test_other_rows_of_a_batch_do_not_matter(learnt: tuple[Path, SavedModel]) -> None:
    saved = learnt[1]
    texts = [source for source, _ in numerals(40, 9)]
    together = saved.predictions(texts)
    for text, one in list(zip(texts, together, strict=True))[:8]:
        (alone,) = saved.predictions([text])
        assert (alone.text, [t for t, _ in alone.alternatives]) == (one.text, [t for t, _ in one.alternatives])
        assert alone.score == pytest.approx(one.score, abs=1e-4)


def test_a_batch(tmp_path: Path) -> None:
    files = write_parallel(tmp_path, "train", [("ein hund", "a dog"), ("katze", "the cat runs"), ("ein haus da", "a")])
    prepared = prepare(tmp_path, {"train": files})
    task = prepared.task
    batch = task.coder.collate(prepared.splits.train)
    known = {task.target_vocabulary.token(i): i for i in range(task.target_vocabulary.size)}
    assert batch.targets.tolist() == [
        [known["a"], known["dog"], 1, 0],
        [known["the"], known["cat"], known["runs"], 1],
        [known["a"], 1, 0, 0],
    ]
    assert batch.inputs.target.data[1].tolist() == [1, known["the"], known["cat"], known["runs"]]
    assert batch.inputs.source.lengths.tolist() == [3, 2, 4]
    assert task.references(batch) == ["a dog", "the cat runs", "a"]
    assert task.spec.output_size == task.target_vocabulary.size
    assert task.spec.eos_index == 1
    assert any("scored by sacrebleu" in note and "13a" in note for note in prepared.notes)


def test_the_loss_is_the_targets_log_probability(tmp_path: Path) -> None:
    files = write_parallel(tmp_path, "train", [("ein hund", "a dog"), ("katze", "the cat runs")])
    prepared = prepare(tmp_path, {"train": files})
    batch = prepared.task.coder.collate(prepared.splits.train)
    logits = torch.randn(2, 4, prepared.task.spec.output_size)
    logits[0, 3] = torch.nan  # padding
    found = prepared.task.loss(logits, batch)
    wanted = -sum(
        float(logits[row, step].log_softmax(-1)[batch.targets[row, step]]) for row in (0, 1) for step in range(3 + row)
    )
    assert float(found.total) == pytest.approx(wanted, rel=1e-5)
    assert int(found.count) == 7


def test_tables_and_packed_files(tmp_path: Path) -> None:
    pairs = numerals(30, 1)
    (tmp_path / "pairs.tsv").write_text("de\ten\n" + "".join(f"{a}\t{b}\n" for a, b in pairs), encoding="utf-8")
    packed = [tmp_path / "a.de.gz", tmp_path / "a.en.gz"]
    for side, path in enumerate(packed):
        path.write_bytes(gzip.compress("".join(pair[side] + "\n" for pair in pairs).encode()))
    (tmp_path / "pairs.jsonl").write_text(
        "".join(json.dumps({"id": i, "target": b, "source": a}) + "\n" for i, (a, b) in enumerate(pairs))
    )
    (tmp_path / "three.tsv").write_text("".join(f"{b}\t{a}\tnobody\n" for a, b in pairs), encoding="utf-8")
    for given in (
        {"train": str(tmp_path / "pairs.tsv"), "header": "yes"},
        {"train": list(map(str, packed))},
        {"train": str(tmp_path / "pairs.jsonl")},
        {"train": str(tmp_path / "three.tsv"), "text_column": 1, "label_column": 0},
    ):
        read = prepare(tmp_path, given).splits.train
        assert [(e.source, e.reference) for e in read] == pairs


@pytest.mark.parametrize(
    ("left", "right", "message"),
    [
        ("a\nb\nc\n", "x\ny\n", "train.de has 3 lines and .*train.en has 2"),
        ("a\n\nc\n", "x\ny\nz\n", r"train.de:2 / .*train.en:2: the source is empty"),
        ("a\nb\nc\n", "x\n  \n\n", r"train.en:2: the target is empty.*\(2 rows in all"),
    ],
)
def test_files_that_do_not_fit(tmp_path: Path, left: str, right: str, message: str) -> None:
    (tmp_path / "train.de").write_text(left)
    (tmp_path / "train.en").write_text(right)
    with pytest.raises(DataError, match=message):
        prepare(tmp_path, {"train": [str(tmp_path / "train.de"), str(tmp_path / "train.en")]})


def test_empty_lines_are_skipped_and_counted_if_asked(tmp_path: Path) -> None:
    files = write_parallel(tmp_path, "train", [("a", "b"), ("", "c"), ("d", ""), ("e", "f")])
    prepared = prepare(tmp_path, {"train": files, "skip_bad_rows": True})
    assert [e.id for e in prepared.splits.train] == ["1", "4"]
    assert any("2 rows were skipped: 1 with an empty source, 1 with an empty target" in n for n in prepared.notes)


def test_what_else_is_wrong(tmp_path: Path) -> None:
    (one, two) = write_parallel(tmp_path, "train", [("a", "b")])
    (tmp_path / "t.csv").write_text("alpha,beta,gamma\nx,y,z\nu,v,w\n")
    for given, error, message in (
        ({"train": one}, DataError, r"two text files.*--data.train=\[train.de,train.en\]"),
        ({"train": [one, one]}, DataError, "same file"),
        ({"train": [one, two, one]}, DataError, "3 text files"),
        ({"train": str(tmp_path / "t.csv"), "header": "yes"}, DataError, "alpha, beta, gamma.*text_column"),
        ({}, ConfigError, "no training data"),
    ):
        with pytest.raises(error, match=message):
            prepare(tmp_path, given)


def test_long_pairs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = write_parallel(tmp_path, "train", [("a b c d", "x"), ("a b", "x y z x y z"), ("a", "y")])
    search = {"max_length": 5}
    dropped = prepare(tmp_path, {"train": files}, max_length=3, search=search)
    assert [e.source for e in dropped.splits.train] == ["a"]
    assert any("2 of 3 training pairs were dropped" in note for note in dropped.notes)
    cut = prepare(tmp_path, {"train": files}, max_length=3, search=search, too_long="cut")
    assert [(len(e.tokens), len(e.target), e.ended) for e in cut.splits.train] == [
        (4, 1, True),
        (3, 4, False),
        (2, 1, True),
    ]
    assert any("2 of 3 training pairs were cut" in note for note in cut.notes)
    with pytest.raises(DataError, match="all 3 training pairs"):
        prepare(tmp_path, {"train": files}, max_length=3, search={"max_length": 1})
    task = cut.task
    read = task.read(files, DataConfig())
    assert "1 sources were cut to task.max_length=3" in caplog.text
    assert read[0].reference == "x"
    assert read[0].cut == 1
    model = EncoderDecoder(EncoderDecoderConfig(embedding_dim=4, hidden_size=4), task.spec).eval()
    row = task.readable(predictions(task, model, ["a b c d e"])[0])
    assert "last 2 tokens" in row["note"]


@torch.no_grad()
def predictions(task: PairTask, model: EncoderDecoder, texts: list[str]) -> list[Generated]:
    batch = task.coder.collate(task.encode(texts))
    return task.predict(task.search(model, batch, quick=False).prediction, batch)


def test_unknown_words_are_replaced_by_what_was_attended_to(tmp_path: Path) -> None:
    files = write_parallel(tmp_path, "train", [("hallo welt", "hello world")])
    task = prepare(tmp_path, {"train": files}, replace_unknown=True, search={"max_length": 3}).task

    class Looker:
        """Says the unknown word, looking at the second source token."""

        def decoder(self, pair: Any, copies: int) -> Any:
            return self, torch.zeros(pair.batch_size * copies, pair.source.num_steps)

        def step(self, tokens: torch.Tensor, state: Any) -> Any:
            weights = torch.zeros_like(state)
            weights[:, 1] = 1.0
            return torch.tensor([5.0, 0.0, 0.0, 0.0]).expand(len(tokens), 4), weights

        def attention(self, state: torch.Tensor) -> torch.Tensor:
            return state

    batch = task.coder.collate(task.encode(["hallo Zürich"]))
    (found,) = task.predict(task.search(Looker(), batch, quick=True).prediction, batch)
    assert found.text == "Zürich Zürich Zürich"
    assert found.target_tokens == ("Zürich",) * 3
    plain = prepare(tmp_path, {"train": files}, search={"max_length": 3}).task
    (found,) = plain.predict(plain.search(Looker(), batch, quick=True).prediction, batch)
    assert "<unk>" not in found.text


@pytest.mark.parametrize("kind", ["word", "char", "bpe"])
def test_vocabularies(tmp_path: Path, kind: str) -> None:
    pairs = [("Ein Hund rennt.", "A dog runs."), ("Zwei Hunde.", "Two dogs.")] * 4
    files = write_parallel(tmp_path, "train", pairs)
    for shared in (False, True):
        vocabulary = {"kind": kind, "max_size": 300, "lowercase": shared}
        prepared = prepare(tmp_path, {"train": files}, vocabulary=vocabulary, shared_vocabulary=shared)
        task = prepared.task
        assert (task.vocabulary is task.target_vocabulary) == shared
        again = Translation.from_files(task.config, json.loads(json.dumps(task.files())))
        assert again.spec == task.spec
        assert (again.vocabulary is again.target_vocabulary) == shared
        example = prepared.splits.train[0]
        text = again.coder.text(example.target.tolist(), again.coder.words(example.target.tolist(), example))
        assert text == ("a dog runs." if shared else "A dog runs.")
        assert len(task.coder.source_words(example)) == len(example.tokens)
        wanted = "case:lc" if shared else "case:mixed"
        assert wanted in task.scores().signature()


def test_chinese_targets_are_scored_by_characters(tmp_path: Path) -> None:
    files = write_parallel(tmp_path, "train", [("a dog", "一只狗"), ("a cat", "一只猫")])
    task = prepare(tmp_path, {"train": files}).task
    assert "tok:zh" in task.scores().signature()
    assert task.coder.text([3, 2], task.coder.words([3, 2], task.encode(["a dog"])[0])).replace(" ", "") != ""


def test_padding_and_streams(tmp_path: Path) -> None:
    files = write_parallel(tmp_path, "train", numerals(20, 3))
    prepared = prepare(tmp_path, {"train": files})
    options = StreamOptions(batch_size=7, length=1, seed=0, shuffle=True)
    stream = prepared.task.stream(prepared.splits.train, options)
    model = EncoderDecoder(EncoderDecoderConfig(embedding_dim=4, hidden_size=4), prepared.task.spec).eval()
    batch = stream.next_batch()
    assert batch is not None
    found = prepared.task.search(model, batch, quick=True).prediction
    pair = batch.inputs
    spoilt = pair.source.data.masked_fill(~pair.source.mask, 10**9)
    target = pair.target.data.masked_fill(~pair.target.mask, 10**9)
    inputs = dataclasses.replace(
        pair, source=Sequences(spoilt, pair.source.lengths), target=Sequences(target, pair.target.lengths)
    )
    other = prepared.task.search(model, dataclasses.replace(batch, inputs=inputs), quick=True).prediction
    assert [h[0].tokens for h in other.hypotheses] == [h[0].tokens for h in found.hypotheses]
    assert other.nats == pytest.approx(found.nats)
