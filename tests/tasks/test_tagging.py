"""Tagging: from files and raw lines to tags, spans and their probabilities; schemes there and back; what is refused."""

from __future__ import annotations

import itertools
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import recurra
from recurra.core.errors import ConfigError, DataError
from recurra.core.sequences import Sequences
from recurra.data import DataConfig, VocabularyConfig, fit_vocabulary
from recurra.data.words import Lexicon, cut_words
from recurra.layers import LinearChainCRF, TagScores
from recurra.metrics import convert, spans_of
from recurra.recipes import recipe
from recurra.tasks import Preparation, Prepared, StreamOptions, Tagging, TaggingConfig
from recurra.tasks.tagging import TaggingBatch

NAMES = """\
Ada\tB-PER
Lovelace\tI-PER
met\tO
Babbage\tB-PER

London\tB-LOC
calls\tO

Ada\tB-PER
Byron\tB-PER
left\tO
New\tB-LOC
York\tI-LOC
City\tI-LOC
"""
POS = "the DET\ndog NOUN\nbarks VERB\n\nthe DET\ncat NOUN\n\na DET\ndog NOUN\n"
OPTIONS = StreamOptions(batch_size=8, length=1, seed=0, shuffle=False)


def prepare(folder: Path, content: str = NAMES, name: str = "a.conll", data: Any = None, **options: Any) -> Prepared:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    given = {"train": str(path), "valid": str(path), **(data or {})}
    config = TaggingConfig.model_validate(options)
    return Tagging.prepare(config, Preparation(data=DataConfig(**given), seed=0, cache=folder))


def batch_of(task: Any, split: Any) -> TaggingBatch:
    batch = task.stream(split, OPTIONS).next_batch()
    assert isinstance(batch, TaggingBatch)
    return batch


def certain(task: Any, batch: TaggingBatch) -> TagScores:
    """Scores that say the batch's own targets."""
    one_hot = torch.nn.functional.one_hot(batch.targets, len(task.tags)).double()
    return TagScores(Sequences(50 * one_hot, batch.inputs.words.lengths))


@pytest.mark.parametrize("learned", ["BIO", "BIOES"])
@pytest.mark.parametrize("scheme", ["IOB1", "BIO", "BIOES", "BILOU", "BMES"])
def test_predictions_are_written_as_the_file_is(tmp_path: Path, scheme: Any, learned: Any) -> None:
    sentences = [[line.split("\t") for line in block.splitlines()] for block in NAMES.split("\n\n")]
    blocks = []
    for rows in sentences:
        tags = convert([tag for _, tag in rows], scheme)
        blocks.append("".join(f"{word}\t{tag}\n" for (word, _), tag in zip(rows, tags, strict=True)))
    prepared = prepare(tmp_path, "\n".join(blocks), learned_scheme=learned)
    task: Any = prepared.task
    assert task.tags.scheme == scheme and task.monitor == ("f1", "max")
    batch = batch_of(task, prepared.splits.train)
    predictions, references = task.predict(certain(task, batch), batch), task.references(batch)
    assert [list(one.tags) for one in predictions] == references
    wanted = {tuple(word for word, _ in rows): convert([tag for _, tag in rows], scheme) for rows in sentences}
    assert {one.words: list(one.tags) for one in predictions} == wanted
    metrics = task.metrics()
    metrics.update(predictions, references)
    assert metrics.compute()["f1"] == 1
    assert all(
        p > 0.999 for one in predictions for p in (*one.probabilities, *(span.probability for span in one.spans))
    )


@pytest.mark.parametrize("learned", ["BIO", "BIOES"])
@pytest.mark.parametrize("head", ["crf", "softmax"])
def test_probabilities_are_sums_over_all_taggings(tmp_path: Path, learned: Any, head: str) -> None:
    task: Any = prepare(tmp_path, "a B-X\nb I-X\nc O\n\nd B-Y\n", learned_scheme=learned).task
    size = len(task.tags)
    torch.manual_seed(3)
    batch = task.collate(task.encode([["a", "b", "c"]]))
    emissions = Sequences(torch.randn(1, 3, size, dtype=torch.float64))
    crf = LinearChainCRF(size, task.spec.forbidden).double()
    for parameter in crf.parameters():
        torch.nn.init.normal_(parameter)
    scores = TagScores(emissions, crf.weights() if head == "crf" else None)
    paths = torch.tensor(list(itertools.product(range(size), repeat=3)))
    many = TagScores(Sequences(emissions.data.expand(len(paths), 3, size)), scores.chain)
    chances = many.log_likelihood(paths).exp()
    assert chances.sum().item() == pytest.approx(1)
    (found,) = task.predict(scores, batch)
    written = [task.tags.decode(path.tolist()) for path in paths]
    for place, (tag, chance) in enumerate(zip(found.tags, found.probabilities, strict=True)):
        same = [self_written(task, path.tolist())[place] == tag for path in paths]
        assert chance == pytest.approx(chances[same].sum().item(), abs=1e-9)
    if head == "crf":
        assert found.spans
        for span in found.spans:
            holds = [span[:3] in [tuple(other) for other in spans] for _, spans in written]
            assert span.probability == pytest.approx(chances[holds].sum().item(), abs=1e-9)


def self_written(task: Any, path: list[int]) -> list[str]:
    names = [task.labels.names[index] for index in path]
    return [name if name == "O" else {"S": "B", "E": "I"}.get(name[0], name[0]) + name[1:] for name in names]


def test_parts_of_speech(tmp_path: Path) -> None:
    prepared = prepare(tmp_path, POS)
    task: Any = prepared.task
    assert task.tags.scheme is None and task.monitor == ("accuracy", "max") and task.spec.forbidden == ()
    batch = batch_of(task, prepared.splits.train)
    predictions = task.predict(certain(task, batch), batch)
    row = task.readable(predictions[0])
    assert row["tags"] == ["DET", "NOUN", "VERB"] and "spans" not in row and "offsets" not in row
    assert task.line(None, row) == "the/DET dog/NOUN barks/VERB"
    report = task.report(predictions, task.references(batch))
    assert report["confusion"] == (["DET", "NOUN", "VERB"], [[3, 0, 0], [0, 3, 0], [0, 0, 1]])
    assert report["classes"]["NOUN"]["support"] == 3
    assert not task.judge(prepared.splits.train, predictions, task.references(batch)).worst(9)
    assert task.baselines(prepared.splits.train, prepared.splits.valid)["most-frequent-tag"]["accuracy"] == 1
    assert prepare(tmp_path, NAMES, scheme="none").task.tags.scheme is None  # type: ignore[attr-defined]


def test_raw_lines_keep_their_offsets(tmp_path: Path) -> None:
    task: Any = prepare(tmp_path).task
    text = "  Dr. Ada  Lovelace isn't in 北京,\u3000see http://a.b/c ."
    batch = task.collate(task.encode([text, ["New York", "x"], ""]))
    words = batch.sentences[0].encoded.words
    assert words == ("Dr", ".", "Ada", "Lovelace", "is", "n't", "in", "北", "京", ",", "see", "http://a.b/c", ".")
    assert [text[start:end] for start, end in batch.sentences[0].offsets] == list(words)
    targets = batch.targets.clone()
    targets[0, 2:4] = torch.from_numpy(task.tags.encode(["B-PER", "I-PER"], ""))
    rows = [task.readable(one) for one in task.predict(certain(task, replace(batch, targets=targets)), batch)]
    (span,) = rows[0]["spans"]
    assert span["text"] == "Ada  Lovelace" == text[span["first"] : span["last"]]
    assert (span["type"], span["start"], span["end"]) == ("PER", 2, 4) and span["probability"] > 0.99
    assert task.line(text, rows[0]) == text.replace("Ada  Lovelace", "[Ada  Lovelace]PER")
    assert task.line(list(words), rows[0]).startswith("Dr. [Ada Lovelace]PER is n't in 北京, see")
    assert rows[1]["words"] == ["New York", "x"] and "offsets" not in rows[1]
    assert rows[2] == {"words": [], "tags": [], "probabilities": [], "offsets": [], "spans": []}
    json.dumps(rows)


def test_items_of_files(tmp_path: Path) -> None:
    task: Any = prepare(tmp_path).task
    (tmp_path / "raw.txt").write_text('Ada left.\n["New York", "calls"]\n\n[sic] x\n', encoding="utf-8")
    items = list(task.items(str(tmp_path / "raw.txt"), DataConfig()))
    assert items == ["Ada left.", ["New York", "calls"], "", "[sic] x"]
    assert list(task.items(str(tmp_path / "a.conll"), DataConfig()))[1] == ["London", "calls"]
    (tmp_path / "words.jsonl").write_text('{"words": ["a b", "c"]}\n', encoding="utf-8")
    assert list(task.items(str(tmp_path / "words.jsonl"), DataConfig())) == [["a b", "c"]]
    (tmp_path / "raw.jsonl").write_text('{"text": "Ada isn\'t in."}\n', encoding="utf-8")
    assert list(task.items(str(tmp_path / "raw.jsonl"), DataConfig())) == ["Ada isn't in."]
    assert task.asked("a") == {"text": "a"} and task.asked(["a"]) == {"words": ["a"]}
    with pytest.raises(DataError, match=r"sentence 0 is 3: a text, or a list of words, is wanted"):
        task.encode([3])


def test_tags_that_training_did_not_hold(tmp_path: Path) -> None:
    task: Any = prepare(tmp_path).task
    other = tmp_path / "b.conll"
    other.write_text("Ada B-PER\nx O\n\nAcme B-ORG\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"b.conll:4: word 1 has the tag 'B-ORG', which the model was not trained on"):
        task.read(str(other), DataConfig())
    assert len(task.read(str(other), DataConfig(skip_bad_rows=True))) == 1
    other.write_text("Ada B-PER\nx PER\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"b.conll:1: word 2 has the tag 'PER', and tags here are O or a letter"):
        task.read(str(other), DataConfig())
    pos: Any = prepare(tmp_path, POS).task
    with pytest.raises(DataError, match=r"sentence 0: word 2 has the tag 'NOUM'.* Did you mean `?NOUN"):
        pos.encode_labelled([["the", "dog"]], [["DET", "NOUM"]])
    with pytest.raises(DataError, match="sentence 0: 2 words and 1 tags"):
        pos.encode_labelled([["the", "dog"]], [["DET"]])


def test_a_tag_that_only_held_out_sentences_have_is_known(tmp_path: Path) -> None:
    content = "".join(f"w{number} B-T{number}\nx O\n\n" for number in range(20))
    task: Any = prepare(tmp_path, content, data={"valid": None, "valid_fraction": 0.2, "test_fraction": 0.2}).task
    assert len(task.tags.types) == 20 and task.tags.counts[1:].sum() == 12 and min(task.spec.output_prior) > 0


def test_what_can_not_be_learnt_from(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="at least two tags to tell apart, and the training sentences hold 'X'"):
        prepare(tmp_path, "a X\nb X\n")
    with pytest.raises(DataError, match=r"tag 'DET' is none of BIO, .* Pass --task.scheme=none"):
        prepare(tmp_path, POS, scheme="BIO")
    with pytest.raises(DataError, match="hold no word"):
        prepare(tmp_path, '{"words": [], "tags": []}\n', "a.jsonl")
    with pytest.raises(ConfigError, match="no training data"):
        Tagging.prepare(TaggingConfig(), Preparation(data=DataConfig(), seed=0, cache=tmp_path))


def test_long_sentences_are_cut_in_training_only(tmp_path: Path) -> None:
    prepared = prepare(tmp_path, max_length=2)
    assert max(len(one.tokens) for one in prepared.splits.train) == 2
    assert max(len(one.tokens) for one in prepared.splits.valid) == 6
    assert any("2 training sentences of more than 2 words are cut" in note for note in prepared.notes)


def test_broken_tags_are_counted_and_read(tmp_path: Path) -> None:
    prepared = prepare(tmp_path, "a O\nb I-X\nc I-X\n\nd B-X\ne I-Y\n\nf B-X\ng I-X\n")
    assert any("2 of them not as BIO would have it" in note for note in prepared.notes)
    task: Any = prepared.task
    references = task.references(batch_of(task, prepared.splits.train))
    assert ["O", "B-X", "I-X"] in references and ["B-X", "B-Y"] in references


def test_rare_words_are_sometimes_unknown_in_training_only(tmp_path: Path) -> None:
    prepared = prepare(tmp_path, singleton_dropout=0.5)
    task: Any = prepared.task
    counts = task.vocabulary.counts
    stream = task.stream(prepared.splits.train, StreamOptions(batch_size=3, length=1, seed=0, shuffle=True))
    seen, common = [], []
    for _ in range(200):
        batch = stream.next_batch() or stream.next_batch()
        for one, whole in zip(batch.sentences, [{s.id: s for s in prepared.splits.train}] * 3, strict=True):
            before = whole[one.id].tokens
            seen += (one.tokens == 0)[counts[before] == 1].tolist()
            common += (one.tokens == 0)[counts[before] > 1].tolist()
            assert one.encoded.words == whole[one.id].encoded.words
    assert 0.4 < np.mean(seen) < 0.6 and not any(common)
    assert all((one.tokens > 0).all() for one in batch_of(task, prepared.splits.valid).sentences)


def test_segmented_characters(tmp_path: Path) -> None:
    content = "北0 B-LOC\n京1 I-LOC\n好0 O\n\n天0 O\n津1 O\n"
    task: Any = prepare(tmp_path, content, strip_segmentation=True, characters=None).task
    assert task.columns["characters"] is True and task.spec.character_size == 0
    (example,) = task.encode(["去 北京ab"])
    assert example.encoded.words == ("去", "北", "京", "a", "b")
    assert task.collate([example]).inputs.spellings is None


def test_the_text_of_a_language_model(tmp_path: Path) -> None:
    vocabulary = fit_vocabulary(VocabularyConfig(kind="char"), ["Ada met xyz 北京,"])
    lexicon = Lexicon.fit([["Ada", "met"]], VocabularyConfig(kind="word"), VocabularyConfig(kind="char"), vocabulary)
    sentences = [["Ada", "met", "北", "京", ","], ["x"], []]
    words = lexicon.pad([lexicon.encode(sentence) for sentence in sentences])
    assert words.text is not None and words.starts is not None and words.ends is not None
    texts = [vocabulary.decode(row.tolist()) for row in words.text.unpad()]
    assert texts == ["Ada met 北京 ,", "x", ""]
    for row, sentence in enumerate(sentences):
        whole = words.text.data[row].tolist()
        for place, word in enumerate(sentence):
            first, last = int(words.starts[row, place]), int(words.ends[row, place])
            assert vocabulary.decode(whole[first : last + 1]) == word
        assert whole[0] == vocabulary.eos_index
    assert words.spellings is not None and words.spelling_of is not None
    spelt = lexicon.characters.decode(words.spellings.unpad()[int(words.spelling_of[0, 1])].tolist())  # type: ignore
    assert spelt == "met"
    again = Lexicon.from_json(json.loads(json.dumps(lexicon.to_json())), vocabulary)
    assert again.encode(["Ada", "xyz"]).indices.tolist() == lexicon.encode(["Ada", "xyz"]).indices.tolist()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't panic... it's 10:30!", ["Do", "n't", "panic", "...", "it", "'s", "10:30", "!"]),
        ("O'Brien paid $3,500.50 (U.S).", ["O'Brien", "paid", "$", "3,500.50", "(", "U.S", ")", "."]),
        ("@a_b #tag a@b.co.uk x-y_z", ["@a_b", "#tag", "a@b.co.uk", "x-y_z"]),
        ("我在2014年买iPhone。", ["我", "在", "2014", "年", "买", "iPhone", "。"]),
        ("", []),
    ],
)
def test_raw_text_is_cut(text: str, words: list[str]) -> None:
    assert [text[start:end] for start, end in cut_words(text)] == words
    assert [text[start:end] for start, end in cut_words(text, characters=True)] == [c for c in text if not c.isspace()]


def made_up(folder: Path, name: str, num_sentences: int, seed: int) -> Path:
    """Names are two capitalised words after "mr"; the same words stand elsewhere, too, and then are none."""
    rng = random.Random(seed)
    lines = []
    for _ in range(num_sentences):
        for _ in range(rng.randint(1, 3)):
            words = ["".join(rng.choices("abcdef", k=3)).capitalize() for _ in range(2)]
            if rng.random() < 0.5:
                lines += ["mr\tO", f"{words[0]}\tB-PER", f"{words[1]}\tI-PER", "said\tO"]
            else:
                lines += ["the\tO", f"{words[0]}\tO", f"{words[1]}\tO", "is\tO"]
        lines.append("")
    path = folder / name
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_names_are_learnt_and_the_model_travels(tmp_path: Path) -> None:
    """Chance is 0: every span guessed from the words alone is as often none, and tags drawn by frequency seldom hit."""
    train, test = made_up(tmp_path, "train.conll", 300, 1), made_up(tmp_path, "test.conll", 60, 2)
    config = recipe(
        "tagger",
        **{
            "data.train": str(train),
            "data.test": str(test),
            "model.embedding_dim": 16,
            "model.character_dim": 8,
            "model.character_hidden_size": 8,
            "model.hidden_size": 16,
            "optimizer.learning_rate": 0.02,
            "training.epochs": 4,
            "training.tensorboard": "never",
        },
    )
    saved = recurra.train(config, tmp_path / "run")
    metrics = saved.metrics
    assert metrics["test"]["f1"] > 0.9
    assert metrics["baselines"]["span-lookup"]["f1"] < 0.6 and metrics["baselines"]["majority"]["f1"] == 0
    assert set(metrics["baselines"]) == {"majority", "most-frequent-tag", "span-lookup", "linear"}
    again = recurra.load(tmp_path / "run")
    assert again.evaluate(str(test))["f1"] == pytest.approx(metrics["test"]["f1"])
    rows = again.predict_readable(["mr Abc Def said", ["the", "Abc", "Def", "is"]])
    assert [span["text"] for span in rows[0]["spans"]] == ["Abc Def"] and rows[1]["spans"] == []
    assert spans_of(again.predict([["mr", "Xyz", "Def", "said"]])[0]) == [("PER", 1, 3)]
    assert rows[0]["spans"][0]["probability"] > 0.5
