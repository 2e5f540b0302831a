"""Ensembles and distillation by the command line alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import recurra

SMALL = ("--quiet", "training.tensorboard=never", "training.epochs=2", "training.batch_size=4")
LANGUAGE = ("char-lm", "model.embedding_dim=6", "training.tbptt_length=16", "schedule.warmup_updates=2", *SMALL)
LABELS = ("text-classifier-small", "model.embedding_dim=6", "task.vocabulary.min_frequency=1", *SMALL)
GRU = ("model.hidden_size=9", "model.cell=gru")
Trained = Callable[[str], Path]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("ensembles")
    (made / "text.txt").write_text("the cat sat on the mat\nthe dog ran far\n" * 12, encoding="utf-8")
    (made / "other.txt").write_text("zebras quiver\n" * 30, encoding="utf-8")
    rows = [f'"{word} it was {n}",{label}' for n in range(20) for word, label in (("good", "pos"), ("bad", "neg"))]
    steps = np.arange(160)
    load = 10 + 3 * np.sin(2 * np.pi * steps / 24) + 0.2 * np.random.default_rng(0).normal(size=len(steps))
    stamps = np.datetime64("2024-01-01T00:00") + steps * np.timedelta64(1, "h")
    lines = [f"{str(stamp).replace('T', ' ')}:00,{value:.3f}" for stamp, value in zip(stamps, load, strict=True)]
    (made / "load.csv").write_text("date,load\n" + "\n".join(lines) + "\n", encoding="utf-8")
    (made / "labels.csv").write_text("text,label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return made


@pytest.fixture
def trained(folder: Path, call: Any, monkeypatch: pytest.MonkeyPatch) -> Trained:
    """Finished runs by name, trained on first use; their folder is the working directory."""
    snapshots = ("training.average=snapshots", "training.average.count=3", "schedule=cyclic", "schedule.cycles=3")
    short = ("training.max_updates=6", "model.hidden_size=4")
    series = ("--data.train", "load.csv", *short, *SMALL)
    ahead = ("task.calendar.features=[]", "task.horizon=4", "task.context_length=24")
    odd = ("task.leads=[1,3]", "task.scoring.rest=5", "task.window_length=24")
    jobs: dict[str, tuple[str, ...]] = {
        "f0": ("forecast", "model.history.patch_length=6", *ahead, *series),
        "f1": ("forecast", "model=forecast-decoder", *ahead, *series),
        "a0": ("anomaly-alarms", *odd, *series),
        "a1": ("anomaly-alarms", *odd, *series, "--seed", "1"),
        "lm0": (*LANGUAGE, "model.hidden_size=8", "--data.train", "text.txt"),
        "lm1": (*LANGUAGE, *GRU, "--seed", "1", "--data.train", "text.txt"),
        "snaps": (*LANGUAGE, *snapshots, "model.hidden_size=8", "--data.train", "text.txt"),
        "elsewhere": (*LANGUAGE, "model.hidden_size=8", "--data.train", "other.txt"),
        "c0": (*LABELS, "model.hidden_size=8", "--data.train", "labels.csv", "data.split_seed=3"),
        "c1": (*LABELS, *GRU, "--data.train", "labels.csv", "--seed", "3"),
        "c2": (*LABELS, "model.hidden_size=8", "--data.train", "labels.csv", "data.split_seed=3", "--seed", "8"),
    }

    def find(name: str) -> Path:
        monkeypatch.chdir(folder)
        if not (folder / name).exists():
            done = call("train", *jobs[name], "--out", name)
            assert done.code == 0, done.err
        return Path(name)

    return find


def results(run: str | Path) -> Any:
    return json.loads((Path(run) / "results.json").read_text())


def test_two_language_models_answer_as_one(trained: Trained, call: Any, tmp_path: Path) -> None:
    members = [trained("lm0"), trained("lm1")]
    done = call("ensemble", *members, "--out", tmp_path / "both")
    assert done.code == 0 and "the best member has" in done.err and done.out == "", done.err
    found = results(tmp_path / "both")
    parts = [found["members"][str(member)]["nats"] for member in members]
    assert parts == pytest.approx([results(member)["valid"]["nats"] for member in members], rel=1e-5)
    assert found["valid"]["nats"] <= np.mean(parts)
    assert call("generate", tmp_path / "both", "the ", "--max-length", "9", "--seed", "1").code == 0
    told = call("evaluate", tmp_path / "both", "--data.test", "text.txt", "--json")
    assert json.loads(told.out)["nats"] > 0
    model, alone = recurra.load(tmp_path / "both"), [recurra.load(member) for member in members]
    text = "the cat ran"
    own = model.predict([text])[0]["nats"]
    assert own <= np.mean([one.predict([text])[0]["nats"] for one in alone]) + 1e-6
    assert model.complete("the ", beam_size=2)[0][0].startswith("the ")
    for page in ("report.html", "model/README.md"):
        assert "lm1" in (tmp_path / "both" / page).read_text(encoding="utf-8")


def test_classifiers_of_one_split_are_measured_and_weighed(trained: Trained, call: Any, tmp_path: Path) -> None:
    members = [trained("c0"), trained("c1"), trained("c2")]
    done = call("ensemble", *members, "--out", tmp_path / "all", "--kind", "stacked", "--json", "--quiet")
    assert done.code == 0 and done.err == "", done.err
    assert set(json.loads(done.out)["members"]) == {"c0", "c1", "c2"}
    shares = recurra.load(tmp_path / "all").config.model.shares
    assert sum(shares) == pytest.approx(1) and len(shares) == 3
    texts = ["good it was 3", "bad it was 4"]
    probs = [recurra.load(member).predict_proba(texts) for member in members]
    wanted = sum(share * one for share, one in zip(shares, probs, strict=True))
    np.testing.assert_allclose(recurra.load(tmp_path / "all").predict_proba(texts), wanted, rtol=1e-4)


def test_snapshots_of_one_run_are_members(trained: Trained, call: Any, tmp_path: Path) -> None:
    run = trained("snaps")
    done = call("ensemble", run, "--out", tmp_path / "snaps")
    assert done.code == 0, done.err
    found = results(tmp_path / "snaps")
    assert len(found["members"]) == 3 and all("snapshot-" in name for name in found["members"])
    assert found["valid"]["nats"] <= np.mean([row["nats"] for row in found["members"].values()])


def test_a_forecast_of_two_architectures_goes_on_with_each_observation(
    trained: Trained, call: Any, tmp_path: Path
) -> None:
    done = call("ensemble", trained("f0"), trained("f1"), "--out", tmp_path / "both", "--quiet")
    assert done.code == 0, done.err
    model, alone = recurra.load(tmp_path / "both"), [recurra.load(name) for name in ("f0", "f1")]
    series = next(iter(model.items("load.csv")))
    parts = [one.predict([series])[0] for one in alone]
    np.testing.assert_allclose(model.predict([series])[0], np.mean(parts, axis=0), rtol=1e-5)
    lives = [one.live(series.values[:-1, 0]) for one in (model, *alone)]
    for live in lives:
        live.update(float(series.values[-1, 0]))
    own, *others = [live.forecast().mean for live in lives]
    np.testing.assert_allclose(own, np.mean(others, axis=0), rtol=1e-5)
    assert np.diff(model.predictions([series])[0].quantiles, axis=-1).min() >= 0


def test_anomaly_scores_of_a_stream_are_those_of_the_whole(trained: Trained, call: Any, tmp_path: Path) -> None:
    done = call("ensemble", trained("a0"), trained("a1"), "--out", tmp_path / "both", "--quiet")
    assert done.code == 0, done.err
    model = recurra.load(tmp_path / "both")
    series = next(iter(model.items("load.csv")))
    whole = model.predictions([series])[0].scores
    live: Any = model.task
    stream = live.live(model.model)
    found = [stream.update(value, stamp) for value, stamp in zip(series.values[:, 0], series.stamps, strict=True)]
    np.testing.assert_allclose(found, whole, atol=1e-6)


def test_parts_that_a_member_has_seen_are_not_measured(
    trained: Trained, call: Any, tmp_path: Path, folder: Path
) -> None:
    trained("c0")
    done = call(
        "train", *LABELS, "model.hidden_size=8", "--data.train", "labels.csv", "--out", tmp_path / "s", "--seed", 4
    )
    assert done.code == 0, done.err
    made = call("ensemble", "c0", tmp_path / "s", "--out", tmp_path / "both")
    if made.code == 0:  # the same words on both sides of the split
        assert "are not measured" in made.err and "valid" not in results(tmp_path / "both")
        again = call("ensemble", "c0", tmp_path / "s", "--out", tmp_path / "b", "--data.test", "labels.csv")
        assert again.code == 0 and "test" in results(tmp_path / "b")
    else:
        assert "data.split_seed" in made.err


@pytest.mark.parametrize(
    ("members", "options", "message"),
    [
        (("lm0",), (), "at least two models"),
        (("lm0", "lm0"), (), "named twice"),
        (("lm0", "c0"), (), "models of one task are wanted"),
        (("lm0", "elsewhere"), (), "not the same vocabulary"),
        (("lm0", "nowhere"), (), "nowhere: no such folder"),
        (("lm0", "lm1"), ("model.hidden_size=3",), "options of its data alone"),
        (("lm0", "lm1"), ("--kind", "stacked", "data.valid_fraction=0"), "give --data.valid FILE"),
    ],
)
def test_members_that_do_not_fit(
    members: tuple[str, ...], options: tuple[str, ...], message: str, trained: Trained, call: Any, tmp_path: Path
) -> None:
    for name in members:
        if name != "nowhere":
            trained(name)
    done = call("ensemble", *members, "--out", tmp_path / "out", *options)
    assert done.code == 2 and message in done.err and "Traceback" not in done.err
    assert not (tmp_path / "out").exists()


def test_a_student_learns_from_an_ensemble(trained: Trained, call: Any, tmp_path: Path) -> None:
    assert call("ensemble", trained("lm0"), trained("lm1"), "--out", tmp_path / "both", "--quiet").code == 0
    teacher = tmp_path / "both"
    whole = call("distill", teacher, "--out", tmp_path / "whole", "--distill.written", "300", "--quiet")
    assert whole.code == 0, whole.err
    config = recurra.load(tmp_path / "whole").config
    assert config.model == recurra.load("lm0").config.model and config.data.train == "text.txt"
    losses = [json.loads(line) for line in (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()]
    assert losses[-1]["kind"] == "valid"
    other = call(
        "distill", teacher, "word-lm", "--out", tmp_path / "words", "model.softmax=full", *SMALL, "model.hidden_size=5"
    )
    assert other.code == 0 and recurra.load(tmp_path / "words").config.model.tied, other.err


def test_a_student_that_was_killed_and_resumed_is_the_same(
    trained: Trained, call: Any, forks: Any, tmp_path: Path
) -> None:
    assert call("ensemble", trained("lm0"), trained("lm1"), "--out", tmp_path / "both", "--quiet").code == 0
    text = Path("text.txt").resolve()
    given = ("distill", tmp_path / "both", "--data.train", text, "--distill.written", "200", "--quiet")
    options = ("training.checkpoint_seconds=0.000001", "model.dropout.output=0.3")
    whole, resumed = forks.killed_and_resumed(*given, *options, update=4, folder=tmp_path)
    assert whole == resumed


@pytest.mark.parametrize(
    ("teacher", "options", "message"),
    [
        ("c0", ("char-lm",), "a teacher must be of the same task"),
        ("c0", ("--distill.written", "10"), "only language models write"),
        ("lm0", ("--distill.temperature", "0"), "distill.temperature"),
        ("lm0", ("model.softmax=sampled",), "model.softmax=full"),
        ("nowhere", (), "no such folder"),
        ("lm0", ("task.vocabulary=byte",), "task.vocabulary is"),
    ],
)
def test_teachers_that_do_not_fit(
    teacher: str, options: tuple[str, ...], message: str, trained: Trained, call: Any, tmp_path: Path
) -> None:
    if teacher != "nowhere":
        trained(teacher)
    done = call("distill", teacher, *options, "--out", tmp_path / "out", "--quiet")
    assert done.code == 2 and message in done.err and "Traceback" not in done.err


def test_an_ensemble_is_not_trained(trained: Trained, call: Any, tmp_path: Path) -> None:
    assert call("ensemble", trained("lm0"), trained("lm1"), "--out", tmp_path / "both", "--quiet").code == 0
    taken = call("ensemble", trained("lm0"), trained("lm1"), "--out", tmp_path / "both", "--quiet")
    assert taken.code == 2 and "nothing is overwritten" in taken.err and "--resume" not in taken.err
    again = call("ensemble", "lm0", tmp_path / "both", "--out", tmp_path / "more")
    assert again.code == 2 and "an ensemble itself" in again.err
    further = call("finetune", tmp_path / "both", "--task", "language-modelling", "--out", tmp_path / "further")
    assert further.code == 2 and "recurra distill" in further.err
