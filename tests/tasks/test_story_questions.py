"""Questions on stories: rows to examples and back to answers, and what two steps of reasoning cost."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import recurra
from recurra.core.errors import ConfigError, DataError
from recurra.core.outputs import AttendedLogits
from recurra.data import DataConfig
from recurra.tasks import Preparation, StoryQuestions, StoryQuestionsConfig, StreamOptions

STORY = """\
1 Mary went home.
2 John sat.
3 Where is Mary?\thome\t1
4 Mary went out.
5 Where is Mary?\tout\t4
1 Bill went home.
2 Where is Bill?\thome\t1
"""
OPTIONS = StreamOptions(batch_size=8, length=0, seed=0, shuffle=False)


def prepare(folder: Path, text: str = STORY, data: dict[str, Any] | None = None, **options: Any) -> tuple[Any, Any]:
    path = folder / "train.txt"
    path.write_text(text, encoding="utf-8")
    config = StoryQuestionsConfig(**options)
    given = DataConfig(train=str(path), **({"valid_fraction": 0} | (data or {})))
    prepared = StoryQuestions.prepare(config, Preparation(data=given, seed=0, cache=folder))
    return prepared.task, prepared


def answers(task: StoryQuestions, items: list[Any], logits: list[list[float]], hops: int = 2) -> list[Any]:
    """What the task makes of such a model's output."""
    batch = task.stream(task.encode(items), OPTIONS).next_batch()
    assert batch is not None
    order = [int(row) for row in batch.ids]
    attention = torch.linspace(0, 1, hops * batch.inputs.story.num_steps).reshape(1, hops, -1)
    prediction = AttendedLogits(torch.tensor(logits)[order], attention.expand(len(items), -1, -1))
    found = task.predict(prediction, batch)
    return [found[order.index(row)] for row in range(len(items))]


def test_rows_become_examples(tmp_path: Path) -> None:
    task, prepared = prepare(tmp_path)
    first, second, third = prepared.splits.train
    assert task.labels.names == ("home", "out")
    assert [task.vocabulary.decode(sentence) for sentence in second.tokens] == [
        "mary went home.",
        "john sat.",
        "mary went out.",
    ]
    assert task.vocabulary.decode(third.question) == "where is bill?"
    assert [row.target for row in prepared.splits.train] == [0, 1, 0]
    assert [row.supporting for row in prepared.splits.train] == [(0,), (2,), (0,)]
    assert first.id == "3"
    assert task.spec.output_size == 2 and task.spec.output_prior == (2.5 / 4, 1.5 / 4)
    assert "2 answers: home, out" in prepared.notes[0]


def test_long_stories_keep_their_end(tmp_path: Path) -> None:
    _, prepared = prepare(tmp_path, max_sentences=2)
    second = prepared.splits.train[1]
    assert len(second.tokens) == 2 and second.supporting == (1,)
    assert any("1 stories are longer than task.max_sentences=2" in note for note in prepared.notes)


def test_answers_not_seen_in_training_count_as_wrong(tmp_path: Path) -> None:
    other = tmp_path / "test.txt"
    other.write_text("1 Mary fell.\n2 Where is Mary?\tdown\t1\n3 Where is Mary?\thome\n")
    task, prepared = prepare(tmp_path, data={"test": str(other)})
    assert any("1 questions held out have answers not seen" in note for note in prepared.notes)
    batch = task.stream(prepared.splits.test, OPTIONS).next_batch()
    prediction = AttendedLogits(torch.tensor([[5.0, 0.0], [5.0, 0.0]]), torch.zeros(2, 1, 1))
    found, truth = task.predict(prediction, batch), task.references(batch)
    metrics = task.metrics()
    metrics.update(found, truth)
    assert sorted(truth) == ["(not seen in training)", "home"]
    assert metrics.compute()["accuracy"] == 0.5
    report = task.report(found, truth)
    assert report["confusion"][0] == ["home", "out", "(not seen in training)"]
    judged = task.judge(prepared.splits.test, found, truth)
    ((cost, shown),) = judged.worst(1)
    assert shown[2] == "(not seen in training)" and cost > 20, "an answer that can't be given costs most"
    assert judged.figure(judged.terms.sum(0)) == 0.5
    assert set(report["classes"]) == set(report["confusion"][0])


def test_a_fitted_task_gives_its_answers_to_the_next(tmp_path: Path) -> None:
    task, _ = prepare(tmp_path)
    path = tmp_path / "more.txt"
    path.write_text("1 Mary fell.\n2 Where is Mary?\tdown\t1\n")
    given = Preparation(data=DataConfig(train=str(path), valid_fraction=0), seed=0, cache=tmp_path, fitted=task)
    with pytest.raises(DataError, match=r"more.txt:2: label 'down' is not one that the model was trained on"):
        StoryQuestions.prepare(StoryQuestionsConfig(), given)
    path.write_text("1 Mary fell.\n2 Where is Mary?\tout\t1\n")
    again = StoryQuestions.prepare(StoryQuestionsConfig(), given)
    assert again.task.files()["vocabulary.json"] == task.files()["vocabulary.json"]


def test_lines_and_files_of_items(tmp_path: Path) -> None:
    task, _ = prepare(tmp_path)
    wanted = (("Mary left.", "Jo sat."), "Who sat?")
    assert task.item("Mary left. Jo sat.\tWho sat?") == wanted
    assert task.item("Mary left. Jo sat. Who sat?") == wanted
    with pytest.raises(DataError, match="no question: a story, a TAB and a question"):
        task.item("Mary left. Jo sat.")
    files = {
        "raw.txt": "Mary left. Jo sat.\tWho sat?\n\n",
        "numbered.txt": "1 Mary left.\n2 Jo sat.\n3 Who sat?\n",
        "rows.jsonl": json.dumps({"story": ["Mary left.", "Jo sat."], "question": "Who sat?"}) + "\n",
        "rows.csv": "story,question\nMary left. Jo sat.,Who sat?\n",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert list(task.items([str(tmp_path / name) for name in files], DataConfig())) == [wanted] * 4


@pytest.mark.parametrize("item", ["text", ("Mary left.",), (["Mary left."], 3), ([1], "Who?"), (7, "Who?"), None])
def test_items_of_another_kind_are_refused(tmp_path: Path, item: Any) -> None:
    task, _ = prepare(tmp_path)
    with pytest.raises(DataError, match=r"question 1: \(sentences of the story, question\) is wanted"):
        task.encode([(["Mary left."], "Who?"), item])
    with pytest.raises(DataError, match="1 questions and 2 answers"):
        task.encode_labelled([("Mary left.", "Who?")], ["Mary", "Jo"])


def test_predictions_for_a_person(tmp_path: Path) -> None:
    task, _ = prepare(tmp_path)
    items = [(["Mary went home.", "Zoe sat."], "Where is Mary?"), ("John sat.", "Where is John?"), ([], "")]
    first, second, third = answers(task, items, [[0.0, 2.0], [1.0, 0.0], [0.0, 0.0]])
    assert first.answer == "out" and first.probability == pytest.approx(1 / (1 + math.exp(-2)))
    assert first.sentences == ("mary went home.", "<unk> sat.")
    assert second.sentences == ("john sat.",) and second.attention.shape == (2, 1)
    assert third.sentences == () and third.question == ""
    row = task.readable(first)
    assert json.loads(json.dumps(row)) == row
    assert row["answer"] == "out" and sum(row["probabilities"].values()) == pytest.approx(1)
    assert [len(read) for read in row["read"]] == [1, 2], "a sentence that is hardly read is left out"
    assert row["read"][1][0] == {"number": 2, "sentence": "<unk> sat.", "weight": 1.0}
    assert task.brief(first) == "out"
    assert task.asked(items[0]) == {"story": ["Mary went home.", "Zoe sat."], "question": "Where is Mary?"}
    line = task.line(items[0], row)
    assert line == "out\t0.8808\tWhere is Mary?\t1: <unk> sat. (0.33)\t2: <unk> sat. (1.00)"
    assert task.line(items[2], task.readable(third)).endswith("\t1: -\t2: -")
    alignment = task.picture(None, first)
    assert alignment.columns == first.sentences and alignment.rows == ("1", "2")
    np.testing.assert_array_equal(alignment.weights, first.attention)
    assert task.picture(None, first._replace(attention=np.zeros((0, 2)))) is None


def test_the_loss_of_the_supporting_sentences(tmp_path: Path) -> None:
    task, prepared = prepare(tmp_path, supporting_weight=2.0)
    batch = task.stream(prepared.splits.train, OPTIONS).next_batch()
    assert batch.targets.shape == (3, 4)
    logits, attention = torch.randn(3, 2), torch.rand(3, 2, 3)
    found = task.loss(AttendedLogits(logits, attention), batch)
    total = 0.0
    for row, length in enumerate(batch.inputs.story.lengths.tolist()):
        target, *marks = batch.targets[row].tolist()
        total -= float(logits[row].log_softmax(-1)[target])
        each = []
        for place in range(length):
            missed = float((1 - attention[row, :, place]).prod())
            each.append(-math.log(1 - missed if marks[place] else missed))
        total += 2.0 * sum(each) / length
    assert float(found.total) == pytest.approx(total, rel=1e-5)
    assert int(found.count) == 3
    plain, prepared = prepare(tmp_path)
    batch = plain.stream(prepared.splits.train, OPTIONS).next_batch()
    wanted = -logits.log_softmax(-1)[torch.arange(3), batch.targets].sum()
    torch.testing.assert_close(plain.loss(AttendedLogits(logits, attention), batch).total, wanted)


def test_no_files_and_no_answers_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"give --data.train FILE \(bAbI"):
        StoryQuestions.prepare(StoryQuestionsConfig(), Preparation(data=DataConfig(), seed=0, cache=tmp_path))
    with pytest.raises(DataError, match=r"train.txt:2: the question has no answer"):
        prepare(tmp_path, "1 Mary left.\n2 Who left?\n")


def carried(count: int, seed: int) -> list[dict[str, Any]]:
    """Where is the ball? Two people walk about, one of them with the ball: two sentences are needed for the answer."""
    draw, rows = random.Random(seed), []
    people, places = ["Mary", "John"], ["garden", "kitchen", "office"]
    while len(rows) < count:
        where = {person: draw.choice(places) for person in people}
        holder = draw.choice(people)
        story = [f"{person} went to the {place}." for person, place in where.items()]
        story.insert(draw.randrange(3), f"{holder} took the ball.")
        for _ in range(draw.randrange(3)):
            person = draw.choice(people)
            where[person] = draw.choice(places)
            story.append(f"{person} went to the {where[person]}.")
        rows.append({"story": story, "question": "Where is the ball?", "answer": where[holder]})
    return rows


def test_learns_to_put_two_sentences_together(tmp_path: Path) -> None:
    """Chance is a third; the word baselines, which can't know who has the ball, stay near two thirds."""
    for name, count, seed in (("train", 2000, 1), ("test", 300, 2)):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, carried(count, seed))))
    options = {
        "data.train": str(tmp_path / "train.jsonl"),
        "data.test": str(tmp_path / "test.jsonl"),
        "training.epochs": 5,
        "training.tensorboard": "never",
    }
    saved = recurra.train("story-questions", tmp_path / "run", options, quiet=True)
    assert saved.metrics["test"]["accuracy"] >= 0.97
    assert max(row["accuracy"] for row in saved.metrics["baselines"].values()) < 0.9
    again = recurra.load(tmp_path / "run")
    item = (["Mary went to the office.", "John went to the kitchen.", "Mary took the ball."], "Where is the ball?")
    assert saved.predict([item]) == again.predict([item]) == ["office"]
    assert again.evaluate(tmp_path / "test.jsonl")["accuracy"] == saved.metrics["test"]["accuracy"]
