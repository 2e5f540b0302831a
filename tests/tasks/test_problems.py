"""Drawn problems: examples against other ways to say what is right, lines of text, splits, what is refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recurra.core.batch import Batch
from recurra.core.errors import ConfigError, DataError
from recurra.data import DataConfig
from recurra.tasks import TASKS, Preparation, Prepared, StreamOptions
from recurra.tasks.generated import Endless

OPTIONS: dict[str, dict[str, Any]] = {
    "adding-problem": {"length": 9},
    "copy-memory": {"delay": 7, "span": 3, "num_symbols": 4},
    "dyck": {"length": 12, "test_length": 20, "max_depth": 3},
    "parity": {"length": 6, "test_length": 11},
    "anbn": {"length": 5, "test_length": 8, "test_size": 6},
}
SIZES: dict[str, Any] = {"epoch_size": 23, "valid_size": 40, "test_size": 30}
LINES = {
    "adding-problem": "0.25 0.5* 1 0 0.75*",
    "copy-memory": "3 1 4",
    "dyck": "([]",
    "parity": "0111",
    "anbn": "aabb",
}
every_problem = pytest.mark.parametrize("kind", OPTIONS)


def make(kind: str, **options: Any) -> Any:
    return TASKS[kind](TASKS[kind].Config(**{**SIZES, **OPTIONS[kind], **options}))


def prepared(kind: str, seed: int = 0, **options: Any) -> Prepared:
    config = TASKS[kind].Config(**{**SIZES, **OPTIONS[kind], **options})
    found: Prepared = TASKS[kind].prepare(config, Preparation(data=DataConfig(), seed=seed, cache=Path("nowhere")))
    return found


def drawn(kind: str, part: str = "valid", **options: Any) -> list[Any]:
    found: list[Any] = getattr(prepared(kind, **options).splits, part)
    return found


def epoch(task: Any, split: Any, shuffle: bool = True, seed: int = 0) -> list[Batch]:
    stream = task.stream(split, StreamOptions(batch_size=10, length=64, seed=seed, shuffle=shuffle))
    return list(iter(stream.next_batch, None))


# ---- what is right ----


def test_sums() -> None:
    for example in drawn("adding-problem"):
        values, marks = example.steps.T
        first, second = np.flatnonzero(marks)
        assert first < 4 <= second and set(marks) == {0.0, 1.0}
        assert example.target[0] == pytest.approx(values[first] + values[second])
        assert values.min() >= 0 and values.max() < 1
    (given,) = make("adding-problem").encode([LINES["adding-problem"]])
    assert given.target[0] == pytest.approx(1.25)


def test_copies() -> None:
    for example in drawn("copy-memory"):
        text = "".join(map(str, example.tokens))
        found = re.fullmatch(r"([1-4]{3})0{6}5000", text)
        assert found is not None
        assert example.target.tolist() == [-1] * 10 + [int(symbol) - 1 for symbol in found[1]]


def test_open_brackets() -> None:
    for part, shortest, longest in (("valid", 2, 12), ("test", 14, 20)):
        examples = drawn("dyck", part)
        lengths = {len(example.tokens) for example in examples}
        assert lengths <= set(range(shortest, longest + 1, 2)) and len(lengths) > 2
        for example in examples:
            text = "".join("()[]"[token] for token in example.tokens)
            for end, answer in enumerate(example.target, start=1):
                left, before = text[:end], ""
                while left != before:
                    left, before = left.replace("()", "").replace("[]", ""), left
                assert set(left) <= {"(", "["} and len(left) <= 3
                assert answer == (" ([".index(left[-1]) if left else 0)
            assert example.target[-1] == 0


def test_one_kind_of_brackets_is_counted() -> None:
    for example in drawn("dyck", num_kinds=1):
        assert example.target.tolist() == [int(depth > 0) for depth in np.cumsum(1 - 2 * example.tokens)]


def test_parities() -> None:
    for part, lengths in (("valid", range(1, 7)), ("test", [11])):
        for example in drawn("parity", part):
            assert len(example.tokens) in lengths
            assert example.target.tolist() == [
                int(example.tokens[:end].sum()) & 1 for end in range(1, len(example.tokens) + 1)
            ]


def test_as_many_b_as_a() -> None:
    for example in drawn("anbn"):
        n = len(example.tokens) // 2
        assert 1 <= n <= 5 and example.tokens.tolist() == [0] * n + [1] * n
        assert example.target.tolist() == [-1] * n + [0] * (n - 1) + [1]
    assert [len(example.tokens) // 2 for example in drawn("anbn", "test")] == [6, 7, 8, 6, 7, 8]


@pytest.mark.parametrize(
    ("kind", "line", "answer"),
    [
        ("copy-memory", "3 1 4", "3 1 4"),
        ("dyck", "([]", ")"),
        ("dyck", "[()[", "]"),
        ("dyck", "()", "none"),
        ("parity", "0111", "odd"),
        ("parity", "11", "even"),
        ("anbn", "aab", "b"),
        ("anbn", "ab", "end"),
    ],
)
def test_right_answers_in_words(kind: str, line: str, answer: str) -> None:
    task = make(kind)
    batch = task.collate(task.encode([line, line]))
    scores = torch.nn.functional.one_hot(batch.targets.clamp(min=0), task.spec.output_size)
    for row in task.predict(scores.float(), batch):
        assert task.brief(row) == answer
        assert task.readable(row) == {"answer": answer}
        assert task.line(line, task.readable(row)) == f"{answer}\t{line}"


def test_the_report_shows_the_numbers_that_were_to_be_added() -> None:
    task = make("adding-problem")
    split = task.encode([LINES["adding-problem"]] * 2)
    judged = task.judge(split, [1.25, 1.0], [1.25, 1.25])
    assert judged.losses.tolist() == [0, 0.0625]
    assert judged.worst(5) == [(0.0625, ("0.500 (step 2) + 0.750 (step 5)", "1.000", "1.250"))]


@pytest.mark.parametrize(
    ("kind", "line", "spelt"),
    [
        ("copy-memory", "3 1 4", "3 1 4"),
        ("dyck", "([]())", ")])))-"),
        ("parity", "0111", "0101"),
        ("anbn", "aabb", "b."),
    ],
)
def test_the_report_spells_all_answers(kind: str, line: str, spelt: str) -> None:
    task = make(kind)
    (example,) = task.encode([line])
    right = example.target[example.target >= 0]
    wrong = (right + 1) % task.spec.output_size
    judged = task.judge([example, example], [right, wrong], [right, right])
    assert judged.shown(0) == (line, spelt, spelt)
    assert judged.shown(1)[1] != spelt and judged.losses.tolist() == [0, 1]


# ---- splits ----


@every_problem
def test_training_is_new_in_each_epoch_and_of_the_run_s_seed(kind: str) -> None:
    found = prepared(kind, seed=5)
    assert isinstance(found.splits.train, Endless)
    stream = found.task.stream(found.splits.train, StreamOptions(batch_size=10, length=64, seed=5, shuffle=True))
    first = list(iter(stream.next_batch, None))
    second = list(iter(stream.next_batch, None))
    assert [len(batch.targets) for batch in first] == [10, 10, 3]
    assert any(not torch.equal(a.inputs.data, b.inputs.data) for a, b in zip(first, second, strict=True))
    again = epoch(found.task, found.splits.train, seed=5)
    assert all(torch.equal(a.inputs.data, b.inputs.data) for a, b in zip(first, again, strict=True))


@every_problem
def test_validation_and_test_are_the_same_in_all_runs(kind: str) -> None:
    first, second, other = prepared(kind, 1).splits, prepared(kind, 2).splits, prepared(kind, 1, data_seed=1).splits
    for part in ("valid", "test"):
        tokens = [[np.asarray(example[0]).tolist() for example in getattr(splits, part)] for splits in (first, second)]
        assert tokens[0] == tokens[1]
    assert [e[0].tolist() for e in first.valid] != [e[0].tolist() for e in other.valid]


@every_problem
def test_a_fixed_number_of_training_examples(kind: str) -> None:
    found = prepared(kind, train_size=21)
    assert len(found.splits.train) == 21
    batches = epoch(found.task, found.splits.train)
    assert sorted(int(name) for batch in batches for name in batch.ids) == list(range(21))
    assert "train 21 sequences" in found.notes[0]


@every_problem
def test_files_are_refused_in_training(kind: str) -> None:
    given = Preparation(data=DataConfig(test="lines.txt"), seed=0, cache=Path("nowhere"))
    with pytest.raises(ConfigError, match=f"`data.test`: {kind} draws its own examples"):
        TASKS[kind].prepare(TASKS[kind].Config(), given)


@every_problem
def test_padding_is_never_asked(kind: str) -> None:
    task = make(kind)
    short, long = task.encode(["0.1* 0.2*" if kind == "adding-problem" else LINES[kind]]), drawn(kind)[:3]
    together, alone = task.collate([*short, *long]), task.collate(short)
    torch.manual_seed(0)
    scores = torch.randn(4, together.inputs.num_steps, task.spec.output_size)
    scores = scores[:, 0] if kind == "adding-problem" else scores
    own = scores[:1] if kind == "adding-problem" else scores[:1, : alone.inputs.num_steps]
    assert np.array_equal(task.references(together)[0], task.references(alone)[0])
    assert np.array_equal(task.predict(scores, together)[0], task.predict(own, alone)[0])
    parts = [task.loss(own, alone).total] + [
        task.loss(scores[row : row + 1, : len(example[0])], task.collate([example])).total
        for row, example in enumerate(long, start=1)
    ]
    torch.testing.assert_close(task.loss(scores, together).total, torch.stack(parts).sum())


@every_problem
def test_baselines_beat_nothing_but_chance(kind: str) -> None:
    found = prepared(kind, test_size=300)
    figures = found.task.baselines(found.splits.train, found.splits.test)
    assert len(figures) == 2
    tag, _ = found.task.monitor
    values = [one[tag] for one in figures.values()]
    if kind == "adding-problem":
        assert values == pytest.approx([1 / 6, 1 / 12], rel=0.2)
    else:
        assert max(values) < 0.85


# ---- files and faults ----


@every_problem
def test_lines_of_files(kind: str, tmp_path: Path) -> None:
    (tmp_path / "lines.txt").write_text(f"{LINES[kind]}\n\n{LINES[kind]} \n", encoding="utf-8")
    task = make(kind)
    read = task.read(str(tmp_path / "lines.txt"), DataConfig())
    assert [example.id for example in read] == ["0", "1"]
    items = list(task.items(str(tmp_path / "lines.txt"), DataConfig()))
    encoded = task.encode(items)
    for one, other in zip(read, encoded, strict=True):
        assert one[0].tolist() == other[0].tolist() and np.array_equal(one.target, other.target)
    assert list(task.asked(task.item(LINES[kind])).values()) == [LINES[kind]]
    (tmp_path / "empty.txt").write_text("\n\n", encoding="utf-8")
    with pytest.raises(DataError, match="nothing but empty lines"):
        task.read(str(tmp_path / "empty.txt"), DataConfig())
    with pytest.raises(DataError, match="follows from the items: give no targets"):
        task.encode_labelled([LINES[kind]], [1])


@pytest.mark.parametrize(
    ("kind", "line", "message"),
    [
        ("adding-problem", "0.1 x* 0.2*", "numbers are wanted"),
        ("adding-problem", "0.1 0.2* 0.3", "1 numbers are marked: two are wanted"),
        ("adding-problem", "nan* 0.2* 0.3", "finite numbers"),
        ("copy-memory", "1 9", "symbols 1 to 4 are wanted"),
        ("copy-memory", "", "symbols 1 to 4 are wanted"),
        ("dyck", "(]", r"'\]' at column 2 closes no bracket"),
        ("dyck", "()]", r"'\]' at column 3 closes no bracket"),
        ("dyck", "({)", r"'{' at column 2: brackets are wanted, of \(\)\[\]"),
        ("dyck", "", "an empty line"),
        ("parity", "012", "bits are wanted"),
        ("parity", "", "bits are wanted"),
        ("anbn", "aa", "at least one"),
        ("anbn", "abb", "no more b than a"),
        ("anbn", "aba", "no more b than a"),
        ("anbn", "", "some a"),
    ],
)
def test_lines_that_are_none(kind: str, line: str, message: str) -> None:
    with pytest.raises(DataError, match=f"^item 0: .*{message}"):
        make(kind).encode([line])
    with pytest.raises(DataError, match=f"^line: .*{message}"):
        make(kind).item(line)


def test_arrays_that_are_no_sums() -> None:
    task = make("adding-problem")
    steps = np.array([[0.5, 1.0], [0.25, 1.0]])
    assert task.encode([steps])[0].target[0] == 0.75
    for wrong in (steps.T[:1], steps * [1, 2], steps[0]):
        with pytest.raises(DataError, match=r"^item 0: "):
            task.encode([wrong])
    with pytest.raises(DataError, match="text 0 is 3"):
        make("parity").encode([3])


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [("dyck", {"test_length": 13}, "at least 14"), ("anbn", {"test_length": 5}, "larger than length, which is 5")],
)
def test_a_test_that_is_no_test(kind: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(kind, **options)
