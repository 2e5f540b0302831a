"""The task: loss, answers with offsets into the original text, files, and learning."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from recurra.core.errors import DataError
from recurra.data import DataConfig, VocabularyConfig
from recurra.data.reading import ReadingBatch, ReadingExample
from recurra.models import Reader, ReaderConfig
from recurra.tasks import QuestionAnswering, QuestionAnsweringConfig, StreamOptions
from recurra.tasks.answers import Answer
from recurra.tasks.base import Preparation

PASSAGE = "Ann 😀 met Bob-Lee in Rome,\n and Ann’s dog  slept."
EVALUATION = StreamOptions(batch_size=8, length=0, seed=0, shuffle=False)


def squad_file(folder: Path, rows: list[tuple[str, str, list[str]]], name: str = "data.json") -> str:
    paragraphs = [
        {
            "context": passage,
            "qas": [
                {
                    "id": f"q{number}",
                    "question": question,
                    "answers": [{"text": text, "answer_start": passage.index(text)} for text in answers],
                }
            ],
        }
        for number, (question, passage, answers) in enumerate(rows)
    ]
    path = folder / name
    path.write_text(json.dumps({"data": [{"title": "T", "paragraphs": paragraphs}]}), encoding="utf-8")
    return str(path)


def prepared(tmp_path: Path, rows: list[tuple[str, str, list[str]]], **options: Any) -> Any:
    config = QuestionAnsweringConfig(vocabulary=VocabularyConfig(lowercase=True), **options)
    data = DataConfig(train=squad_file(tmp_path, rows), valid_fraction=0.0)
    return QuestionAnswering.prepare(config, Preparation(data=data, seed=0, cache=tmp_path))


def task_of(tmp_path: Path, **options: Any) -> QuestionAnswering:
    rows = [("Who slept?", PASSAGE, ["Ann’s dog"]), ("Where?", PASSAGE, ["Rome"])]
    task = prepared(tmp_path, rows, **options).task
    assert isinstance(task, QuestionAnswering)
    return task


def batch_of(task: QuestionAnswering, examples: list[ReadingExample]) -> ReadingBatch:
    return task.encoder.collate(examples)


def scores_for(batch: ReadingBatch, with_none: bool = False, seed: int = 0) -> Tensor:
    """Raw output as a reader gives it."""
    scores = torch.randn(batch.targets.shape, generator=torch.Generator().manual_seed(seed)) * 2
    mask = torch.cat([torch.full((len(scores), 1), with_none), batch.inputs.passage.words.mask], 1)
    return scores.masked_fill(~mask[:, None], -torch.inf)


def log_softmax_over_windows(scores: Tensor, batch: ReadingBatch, number: int, side: int) -> list[np.ndarray]:
    """By hand: all real columns of one question's windows as one distribution."""
    rows = [row for row, (own, _) in enumerate(batch.windows) if own == number]
    found = [scores[row, side].double().numpy() for row in rows]
    total = math.log(sum(math.exp(value) for row in found for value in row if np.isfinite(value)))
    return [row - total for row in found]


@pytest.mark.parametrize(("window", "stride"), [(99, 99), (6, 3)])
@pytest.mark.parametrize("with_none", [False, True])
def test_loss_is_the_mean_of_the_cross_entropies(tmp_path: Path, window: int, stride: int, with_none: bool) -> None:
    options = {"window": window, "stride": stride, "no_answer": "yes" if with_none else "no"}
    task = task_of(tmp_path, **options)
    items = [("Who slept?", PASSAGE), ("Where?", "In Rome"), ("Why?", "Not told here")]
    examples = task.encode_labelled(items, ["slept", "Rome", None])
    batch = batch_of(task, examples)
    scores = scores_for(batch, with_none)
    wanted, count = 0.0, 0
    for number in range(3 if with_none else 2):
        for side in (0, 1):
            marks = [batch.targets[row, side].numpy() for row, (own, _) in enumerate(batch.windows) if own == number]
            log_probs = log_softmax_over_windows(scores, batch, number, side)
            wanted -= sum(float(m[c] * p[c]) for m, p in zip(marks, log_probs, strict=True) for c in np.flatnonzero(m))
        count += 1
    found = task.loss(scores, batch)
    assert float(found.total) == pytest.approx(wanted / 2, rel=1e-5)
    assert float(found.count) == count


@pytest.mark.parametrize(("window", "stride"), [(99, 99), (6, 3), (5, 5)])
@pytest.mark.parametrize("with_none", [False, True])
def test_answers_by_enumeration(tmp_path: Path, window: int, stride: int, with_none: bool) -> None:
    task = task_of(tmp_path, window=window, stride=stride, max_answer_length=4, no_answer="yes" if with_none else "no")
    examples = task.encode([("Who?", PASSAGE), ("Where?", "Rome"), ("What?", PASSAGE + " " + PASSAGE)])
    batch = batch_of(task, examples)
    for seed in range(10):
        scores = scores_for(batch, with_none, seed)
        for number, (example, answer) in enumerate(zip(examples, task.predict(scores, batch), strict=True)):
            start, end = (log_softmax_over_windows(scores, batch, number, side) for side in (0, 1))
            spans = {}
            for window_, one, other in zip(example.windows, start, end, strict=True):
                size = len(window_.words.words)
                for first in range(size):
                    for last in range(first, min(size, first + 4)):
                        key = (window_.first + first, window_.first + last)
                        spans[key] = max(spans.get(key, -np.inf), one[1 + first] + other[1 + last])
            best = max(spans, key=lambda key: spans[key])
            assert answer.best == passage_of(example)[example.places[best[0]][0] : example.places[best[1]][1]]
            if with_none:
                none = sum(np.logaddexp.reduce([row[0] for row in side]) for side in (start, end))
                assert answer.no_answer_score == pytest.approx(none - spans[best], abs=1e-5)
                assert (answer.text == "") == (none > spans[best])
            else:
                assert answer.no_answer_score is None
                assert answer.probability == pytest.approx(math.exp(spans[best]), rel=1e-5)
            assert_offsets(example, answer)


def passage_of(example: ReadingExample) -> str:
    return example.source.passage


def assert_offsets(example: ReadingExample, answer: Answer) -> None:
    """All texts are pieces of the passage, at their offsets, and alternatives don't overlap."""
    parts = [answer, *answer.alternatives] if answer.text else list(answer.alternatives)
    taken: set[int] = set()
    for part in parts:
        assert part.text and passage_of(example)[part.start : part.end] == part.text
        assert not taken & set(range(part.start, part.end))
        taken |= set(range(part.start, part.end))
    probabilities = [part.probability for part in answer.alternatives]
    assert probabilities == sorted(probabilities, reverse=True)


def test_marked_answers_come_back_as_they_stand_in_the_text(tmp_path: Path) -> None:
    """Encode, score the marks highest, predict: blanks, line ends and marks of the original text survive."""
    task = task_of(tmp_path, window=7, stride=3)
    wanted = ["Ann 😀 met Bob-Lee", "Rome,\n and Ann", "dog  slept", "’s", "Rome"]
    examples = task.encode_labelled([("?", PASSAGE)] * len(wanted), wanted)
    batch = batch_of(task, examples)
    scores = (batch.targets * 50 - 25).masked_fill(~torch.isfinite(scores_for(batch)), -torch.inf)
    assert [answer.text for answer in task.predict(scores, batch)] == wanted
    assert task.references(batch) == [[text] for text in wanted]


def test_a_threshold_keeps_from_saying_that_there_is_no_answer(tmp_path: Path) -> None:
    examples: list[ReadingExample] = []
    for threshold, answered in ((0.0, False), (1e5, True)):
        task = task_of(tmp_path, no_answer="yes", no_answer_threshold=threshold)
        examples = task.encode([("?", PASSAGE)])
        batch = batch_of(task, examples)
        scores = scores_for(batch, with_none=True)
        scores[:, :, 0] = 30.0
        (answer,) = task.predict(scores, batch)
        assert bool(answer.text) is answered and answer.best and answer.no_answer_score is not None
        assert answered or (answer.start, answer.end) == (0, 0)


def test_no_answer_is_as_in_the_training_file(tmp_path: Path) -> None:
    assert task_of(tmp_path).spec.output_size == 2
    rows = [("Who?", PASSAGE, ["Ann"]), ("Why?", PASSAGE, [])]
    made = prepared(tmp_path, rows)
    assert made.task.spec.output_size == 3
    assert "1 of the training questions have no answer; the model may say so" in made.notes
    assert prepared(tmp_path, rows, no_answer="no").task.spec.output_size == 2


def test_answers_that_cut_words_or_are_long_are_told(tmp_path: Path) -> None:
    rows = [("Who?", PASSAGE, ["Ro"]), ("Where?", PASSAGE, ["Rome"]), ("What?", PASSAGE, ["met Bob-Lee in"])]
    notes = " ".join(prepared(tmp_path, rows, max_answer_length=3).notes)
    assert "1 of 3 answers begin or end within a word" in notes and "'Ro'" in notes
    assert "1 of 3 answers have more than 3 words (task.max_answer_length)" in notes


def test_passage_without_words(tmp_path: Path) -> None:
    for none in ("yes", "no"):
        task = task_of(tmp_path, no_answer=none)
        batch = batch_of(task, task.encode([("Who?", ""), ("", "Ann")]))
        scores = scores_for(batch, none == "yes").requires_grad_()
        loss = task.loss(scores, batch)
        loss.total.backward()  # type: ignore[no-untyped-call]
        assert torch.isfinite(loss.total) and scores.grad is not None and torch.isfinite(scores.grad).all()
        empty, other = task.predict(scores, batch)
        assert empty.text == "" and empty.alternatives == () and math.isfinite(empty.probability)
        assert other.text == "Ann" or none == "yes"


def test_what_a_person_reads(tmp_path: Path) -> None:
    task = task_of(tmp_path)
    item = task.item(f"Who?\t{PASSAGE}".replace("\n", " "))
    examples = task.encode([item])
    batch = batch_of(task, examples)
    (answer,) = task.predict(scores_for(batch), batch)
    row = json.loads(json.dumps(task.readable(answer)))
    assert list(row) == ["answer", "start", "end", "probability", "alternatives"]
    assert task.brief(answer) == row["answer"] == answer.text
    line = task.line(item, row)
    assert line.split("\t")[1:] == [f"{answer.start}-{answer.end}", f"{answer.probability:.4f}", "Who?"]
    assert task.asked(item) == {"question": "Who?", "passage": item[1]}
    assert len(task.report([answer], [["x", "y"]])["examples"]) == 1
    with pytest.raises(DataError, match="there is no tab"):
        task.item("Who?")
    with pytest.raises(DataError, match=r"question 0 is 'Who\?': a pair of two strings"):
        task.encode(["Who?"])
    with pytest.raises(DataError, match="question 0: the answer 'Paris' does not stand"):
        task.encode_labelled([("Who?", "Ann")], ["Paris"])


def test_files_go_round(tmp_path: Path) -> None:
    task = task_of(tmp_path)
    files = json.loads(json.dumps(task.files()))
    again = QuestionAnswering.from_files(task.config, files)
    assert again.files() == task.files() and again.spec == task.spec
    path = squad_file(tmp_path, [("Who met?", PASSAGE, ["Ann"]), ("Why?", "So", [])], "other.json")
    (first, second) = again.read(path, DataConfig())
    assert first.id == "q0" and first.spans == ((0, 0),) and second.spans == ()
    assert list(again.items(path, DataConfig())) == [("Who met?", PASSAGE), ("Why?", "So")]
    lines = tmp_path / "asked.txt"
    lines.write_text("Who?\tAnn met Bob\n")
    assert list(again.items(str(lines), DataConfig())) == [("Who?", "Ann met Bob")]


def test_rare_words_are_forgotten_in_training_only(tmp_path: Path) -> None:
    made = prepared(tmp_path, [("Who slept?", PASSAGE, ["Rome"])], rare_word_dropout=1.0)
    task, split = made.task, made.splits.train
    shown = task.stream(split, EVALUATION).next_batch()
    learnt = task.stream(split, StreamOptions(batch_size=8, length=0, seed=0, shuffle=True)).next_batch()
    assert not (shown.inputs.passage.words.data == 0).any()
    assert (learnt.inputs.passage.words.data == 0).any()
    assert torch.equal(shown.targets, learnt.targets)


def test_options_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="stride must not be above window"):
        QuestionAnsweringConfig(window=10, stride=11)
    with pytest.raises(ValueError, match=r"vocabulary.kind must be word"):
        QuestionAnsweringConfig(vocabulary=VocabularyConfig(kind="char"))


NAMES = ["Ann", "Bob", "Cid", "Dan", "Eve", "Fay", "Gus", "Hal"]
THINGS = ["ball", "key", "cup", "pen", "hat", "bag"]


def stories(number: int, seed: int) -> list[tuple[str, str, list[str]]]:
    """Who has one of four things; one question in five asks for a thing that nobody has."""
    rng = random.Random(seed)
    rows = []
    for _ in range(number):
        names, things = rng.sample(NAMES, 4), rng.sample(THINGS, 5)
        held = list(zip(names, things, strict=False))
        passage = " ".join(f"{name} has the {thing}." for name, thing in held)
        name, thing = rng.choice([*held, ("", things[4])])
        rows.append((f"Who has the {thing}?", passage, [name] if name else []))
    return rows


def test_a_reader_learns_to_look_up(tmp_path: Path) -> None:
    """Exact match on new passages; "nobody" always gives 0.2, a random name 0.2."""
    torch.manual_seed(0)
    made = prepared(tmp_path, stories(500, 0))
    task, split = made.task, made.splits.train
    model = Reader(ReaderConfig(embedding_dim=24, hidden_size=24, character_dim=0), task.spec)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    stream = task.stream(split, StreamOptions(batch_size=32, length=0, seed=0, shuffle=True))
    for _ in range(8):
        while (batch := stream.next_batch()) is not None:
            optimizer.zero_grad()
            task.loss(model(batch.inputs).prediction, batch).mean().backward()
            optimizer.step()
    shown = task.read(squad_file(tmp_path, stories(100, 1), "test.json"), DataConfig())
    metrics = task.metrics()
    stream = task.stream(shown, EVALUATION)
    with torch.no_grad():
        while (batch := stream.next_batch()) is not None:
            found = task.predict(model.eval()(batch.inputs).prediction, batch)
            metrics.update(found, task.references(batch))
    figures = metrics.compute()
    assert figures["exact_match"] > 0.9
    assert figures["f1/no_answer"] > 0.8 and figures["best_f1"] >= figures["f1"]
