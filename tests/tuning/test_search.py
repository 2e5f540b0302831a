"""Whole searches: what they find, write down, refuse, and go on with."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import optuna
import pytest

from recurra.cli import main
from recurra.core.config import to_yaml
from recurra.core.errors import ConfigError, OutputError
from recurra.runs import RunConfig, load, override, read_run_config, train
from recurra.runs.train import Run
from recurra.tuning import Search, tune
from recurra.tuning.storage import open_storage

SPACE = {"tune.space": {"optimizer.learning_rate": [1e-4, 0.03], "model.cell": ["lstm", "gru"]}}


def search(run: RunConfig, out: Path, **options: Any) -> Search:
    given: dict[str, Any] = {"storage": f"journal:{out}/study.journal", "name": "roses", "seeds": 0, "quiet": True}
    return Search(config=override(run, SPACE), out=out, **{**given, **options})


def test_a_grid_finds_the_best_cell_and_says_what_luck_is(run: RunConfig, tmp_path: Path) -> None:
    outcome = tune(search(run, tmp_path / "out", method="grid", seeds=2))
    assert [trial.state.name for trial in outcome.trials] == ["COMPLETE"] * 4
    assert outcome.best.params["optimizer.learning_rate"] == 0.03
    assert outcome.best.value == min(trial.value for trial in outcome.trials if trial.value is not None)
    found = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    best, stood = found["final"]["best"], found["final"]["as it stands"]
    assert best["seeds"] == stood["seeds"] == [1, 2] and best["split"] == "valid"
    nats = best["metrics"]["nats"]
    assert nats["mean"] == pytest.approx(sum(nats["values"]) / 2) and nats["deviation"] > 0
    with open(tmp_path / "out" / "trials.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["model.cell"] for row in rows} == {"lstm", "gru"} and all(float(row["nats"]) > 0 for row in rows)
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    parts = (
        "What luck is worth",
        "Parallel coordinates",
        "Importance",
        "by trial",
        "optimizer.learning_rate",
        "2 seeds",
    )
    assert all(part in page for part in parts) and "://" not in page and "nan" not in page
    folder = tmp_path / "out" / f"final-{outcome.best.number:04d}" / "best-seed1"
    assert load(folder).evaluate(run.data.valid)["nats"] == pytest.approx(nats["values"][0], rel=1e-5)


def test_the_best_options_are_a_run_file_whose_run_is_the_trial(run: RunConfig, tmp_path: Path) -> None:
    outcome = tune(search(run, tmp_path / "out", trials=3))
    config = read_run_config(tmp_path / "out" / "best.yaml", {})
    assert config.tune is None
    saved = train(Run(config=config, out=tmp_path / "again", quiet=True, say=lambda _: None))
    assert saved.metrics["valid"]["nats"] == pytest.approx(outcome.best.value, rel=1e-6)
    kept = {path.name for path in (tmp_path / "out" / "trials" / "0000").iterdir()}
    assert "metrics.jsonl" in kept and not kept & {"checkpoints", "cache", "model"}


def test_the_first_trial_is_the_run_as_it_stands(run: RunConfig, tmp_path: Path) -> None:
    standing = override(run, {"optimizer.learning_rate": 0.03})
    outcome = tune(search(standing, tmp_path / "out", trials=2))
    assert outcome.trials[0].params == {"optimizer.learning_rate": 0.03, "model.cell": "lstm"}
    assert outcome.as_it_stands is not None and outcome.as_it_stands.number == 0


def test_same_seed_same_trials_and_trial_options_hold_in_trials_alone(run: RunConfig, tmp_path: Path) -> None:
    short = override(run, {"tune.trial": {"training.epochs": 1}})
    found = [tune(search(short, tmp_path / name, trials=3)) for name in ("one", "two")]
    first, second = ([(trial.params, trial.value) for trial in outcome.trials] for outcome in found)
    assert first == second
    assert read_run_config(tmp_path / "one" / "trials" / "0000" / "config.yaml", {}).training.epochs == 1
    assert read_run_config(tmp_path / "one" / "best.yaml", {}).training.epochs == 2


def test_a_run_that_starts_from_a_saved_model(run: RunConfig, tmp_path: Path) -> None:
    train(Run(config=run, out=tmp_path / "lm", quiet=True, say=lambda _: None))
    further = override(run, {"finetune.start": str(tmp_path / "lm"), "finetune.method": "lora", "training.epochs": 1})
    outcome = tune(search(further, tmp_path / "out", method="grid"))
    assert [trial.state.name for trial in outcome.trials] == ["COMPLETE", "PRUNED", "COMPLETE", "PRUNED"]
    assert "the pretrained model gives" in outcome.trials[1].user_attrs["why"]  # an LSTM's weights are no GRU's
    assert outcome.best_config.finetune == further.finetune


def test_a_search_goes_on_where_it_ended(run: RunConfig, tmp_path: Path) -> None:
    out = tmp_path / "out"
    tune(search(run, out, trials=2))
    with pytest.raises(OutputError, match="--resume"):
        tune(search(run, out, trials=4))
    outcome = tune(search(run, out, trials=4, joins=True))
    assert len(outcome.trials) == 4
    with pytest.raises(ConfigError, match="another study"):
        tune(search(run, out, name="tulips", joins=True))
    (out / "study.json").write_text('{"storage"')
    with pytest.raises(ConfigError, match=r"study\.json: damaged"):
        tune(search(run, out, trials=4, joins=True))


def test_data_without_validation_and_missing_files_leave_nothing_behind(run: RunConfig, tmp_path: Path) -> None:
    alone = override(run, {"data.valid": None, "data.valid_fraction": 0.0})
    with pytest.raises(ConfigError, match="needs validation data"):
        tune(search(alone, tmp_path / "out"))
    gone = override(run, {"data.train": str(tmp_path / "gone.txt")})
    with pytest.raises(Exception, match=r"gone\.txt"):
        tune(search(gone, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_the_command_prints_a_table_or_json(run: RunConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "roses.yaml"
    path.write_text(to_yaml(override(run, SPACE)), encoding="utf-8")
    main(["tune", str(path), "--trials", "2", "--seeds", "0", "--out", str(tmp_path / "out")])
    shown = capsys.readouterr()
    assert " learning_rate=" in shown.out and "best.yaml" in shown.out and "trial 0" in shown.err
    words = ["--trials", "2", "--seeds", "0", "--out", str(tmp_path / "out"), "--resume", "--json", "--quiet"]
    main(["tune", str(path), *words])
    printed = capsys.readouterr()
    assert json.loads(printed.out)["trials"] == {"complete": 2} and printed.err == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--trials", "0"], "--trials 0: at least 1"),
        (["--minutes", "0"], "--minutes 0: more than 0"),
        (["--workers", "0"], "--workers 0: at least 1"),
        (["--resume"], "no search to resume there"),
        (["--storage", "postgresql://ada:secret@127.0.0.1:1/x"], "ada:***@127.0.0.1:1/x: can't be reached"),
    ],
)
def test_what_is_asked_wrongly(
    words: list[str], message: str, run: RunConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(to_yaml(run), encoding="utf-8")
    with pytest.raises(SystemExit) as stop:
        main(["tune", str(path), *words, "--out", str(tmp_path / "out"), "--quiet"])
    told = capsys.readouterr().err
    assert stop.value.code == 2 and message in told and "secret" not in told
    assert not (tmp_path / "out").exists()


def test_two_processes_share_a_postgresql_study_and_one_is_killed(
    run: RunConfig, tmp_path: Path, postgres: str
) -> None:
    """Killed with -9 in the middle of a trial: the other one goes on with it from its last checkpoint."""
    long = {"training.epochs": 20, "tune.heartbeat_seconds": 0.5}
    path = tmp_path / "roses.yaml"
    path.write_text(to_yaml(override(run, {**SPACE, **long})), encoding="utf-8")
    words = ["tune", str(path), "--storage", postgres, "--trials", "4", "--seeds", "0", "--prune", "none"]
    command = [sys.executable, "-m", "recurra", *words, "--out", str(tmp_path / "out")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        for _ in range(2)
    ]
    try:
        number = _kill_in_a_trial(processes[0], postgres)
        told = processes[1].communicate(timeout=300)[1]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    assert processes[1].returncode == 0, told
    assert f"trial {number}: its worker is silent" in told
    trials = optuna.load_study(study_name="roses", storage=open_storage(postgres)).trials
    states = [trial.state.name for trial in trials]
    assert states.count("COMPLETE") == 4 and states.count("FAIL") == 1 and len(trials) == 5
    again = trials[-1]
    assert again.system_attrs["failed_trial"] == number and again.params == trials[number].params
    assert trials[number].intermediate_values.items() <= again.intermediate_values.items()
    assert len(again.intermediate_values) == 20
    assert json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))["trials"] == {"complete": 4}


def _kill_in_a_trial(process: subprocess.Popen[str], url: str) -> int:
    """Wait until the process is in the middle of a trial, and kill it there; the trial's number."""
    storage = open_storage(url)
    for _ in range(900):
        time.sleep(0.1)
        assert process.poll() is None, "the process ended before it could be killed"
        try:
            study = optuna.load_study(study_name="roses", storage=storage)
        except KeyError:  # the study is not made yet
            continue
        for trial in study.get_trials(states=[optuna.trial.TrialState.RUNNING]):
            own = f":{process.pid}:" in trial.user_attrs.get("worker", "")
            if own and len(trial.intermediate_values) >= 2:
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
                return trial.number
    raise AssertionError("no trial of this process was seen")


@pytest.mark.slow
def test_a_dead_worker_of_one_command_is_replaced(run: RunConfig, tmp_path: Path) -> None:
    long = {"training.epochs": 30}
    path = tmp_path / "roses.yaml"
    path.write_text(to_yaml(override(run, {**SPACE, **long})), encoding="utf-8")
    words = ["tune", str(path), "--workers", "2", "--trials", "4", "--seeds", "1", "--prune", "none"]
    command = [sys.executable, "-m", "recurra", *words, "--out", str(tmp_path / "out")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    journal = tmp_path / "out" / "study.journal"
    for _ in range(600):
        time.sleep(0.1)
        children = _children(process.pid)
        if journal.exists() and journal.read_text(encoding="utf-8").count('"worker"') >= 2 and len(children) >= 2:
            break
    os.kill(children[-1], signal.SIGKILL)
    told = process.communicate(timeout=300)[1]
    assert process.returncode == 0, told
    assert "its worker died (exit code -9)" in told
    assert json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))["trials"] == {"complete": 4}


def _children(pid: int) -> list[int]:
    """The worker processes of a command (Linux)."""
    found = []
    for number in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split():
        words = Path(f"/proc/{number}/cmdline").read_text(encoding="utf-8")
        found += [int(number)] if "spawn_main" in words else []
    return found


def test_the_dashboard_reads_the_storage(run: RunConfig, tmp_path: Path) -> None:
    dashboard = pytest.importorskip("optuna_dashboard")
    tune(search(run, tmp_path / "out", trials=2, storage=f"sqlite:///{tmp_path}/study.db"))
    app = dashboard.wsgi(open_storage(f"sqlite:///{tmp_path}/study.db"))
    answered: list[str] = []
    request = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/api/studies",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "wsgi.url_scheme": "http",
        "wsgi.input": open(os.devnull, "rb"),  # noqa: SIM115
    }
    body = b"".join(app(request, lambda status, headers, *_: answered.append(status)))
    request["wsgi.input"].close()
    assert answered[0].startswith("200")
    assert [found["study_name"] for found in json.loads(body)["study_summaries"]] == ["roses"]


def test_without_optuna_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, run: RunConfig, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"recurra\[tune\]"):
        tune(search(run, tmp_path / "out"))


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from recurra.cli.commands import app; app(['tune', '--help'], result_action='return_value');"
        "print([name for name in ('torch', 'optuna', 'matplotlib') if name in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip().endswith("[]")
