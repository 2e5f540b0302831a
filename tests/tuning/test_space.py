"""Search spaces: what they draw, lay out and refuse."""

from __future__ import annotations

import re
from pathlib import Path

import optuna
import pytest

from recurra.cli import main
from recurra.core.errors import ConfigError
from recurra.recipes import RECIPES
from recurra.runs import RunConfig, override, read_run_config
from recurra.runs.tune_options import Range
from recurra.tuning import Space, default_space

CELLS = {"model.cell": ["lstm", "gru"], "model.cell.forget_bias": [0.0, 1.0]}


def study() -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))


def test_draws_lie_within_bounds_and_become_options(run: RunConfig) -> None:
    entries = {
        "optimizer.learning_rate": Range(low=1e-4, high=1e-2, log=True),
        "model.hidden_size": Range(low=4, high=16, step=4),
        "model.dropout.output": Range(low=0, high=1),
        **CELLS,
    }
    space, asked = Space(run, entries), study()
    for _ in range(20):
        values = space.draw(asked.ask())
        config = space.settle(values)
        assert 1e-4 <= config.optimizer.learning_rate <= 1e-2
        assert config.model.hidden_size in (4, 8, 12, 16) and isinstance(config.model.hidden_size, int)
        assert config.model.cell.kind == values["model.cell"]
        assert ("model.cell.forget_bias" in values) == (values["model.cell"] == "lstm")
    assert {config.model.cell.kind for config in map(space.settle, [{"model.cell": "gru"}, {}])} == {"gru", "lstm"}


def test_a_grid_has_each_cell_once_and_leaves_out_what_does_not_apply(run: RunConfig) -> None:
    space = Space(run, {**CELLS, "training.batch_size": Range(low=2, high=8, step=3)})
    cells = space.cells()
    assert len(cells) == (2 + 1) * 3
    assert len({tuple(sorted(cell.items())) for cell in cells}) == len(cells)
    assert {cell["training.batch_size"] for cell in cells} == {2, 5, 8}
    assert all("model.cell.forget_bias" not in cell for cell in cells if cell["model.cell"] == "gru")


def test_a_range_without_a_step_gives_a_grid_its_ends_and_middle(run: RunConfig) -> None:
    space = Space(run, {"optimizer.learning_rate": Range(low=1e-4, high=1e-2, log=True)})
    assert [cell["optimizer.learning_rate"] for cell in space.cells()] == pytest.approx([1e-4, 1e-3, 1e-2])


def test_a_grid_that_nobody_could_finish_is_refused(run: RunConfig) -> None:
    space = Space(run, {name: list(range(1, 40)) for name in ("model.hidden_size", "training.epochs", "seed")})
    with pytest.raises(ConfigError, match="59,319 trials"):
        space.cells()


def test_groups_and_lists_are_choices_too(run: RunConfig) -> None:
    choices = [{"kind": "lstm", "forget_bias": 2.0}, {"kind": "gru"}]
    space = Space(run, {"model.cell": choices})
    asked = study()
    drawn = [space.draw(asked.ask())["model.cell"] for _ in range(8)]
    assert all(choice in choices for choice in drawn)
    assert space.settle({"model.cell": choices[0]}).model.cell.forget_bias == 2.0


@pytest.mark.parametrize("name", RECIPES)
def test_default_spaces_hold_the_recipe_as_it_stands(name: str) -> None:
    config = RECIPES[name]()
    space = Space(config, default_space(config))
    asked = study()
    asked.enqueue_trial(space.current())
    assert space.settle(space.draw(asked.ask())) == config
    space.settle(space.draw(asked.ask()))
    assert "optimizer.learning_rate" in space.entries and "training.batch_size" in space.entries


def test_a_saved_model_keeps_its_shape() -> None:
    config = override(RECIPES["char-lm"](), {"finetune.start": "runs/lm"})
    entries = default_space(config)
    assert "optimizer.learning_rate" in entries
    assert not {"model.hidden_size", "model.num_layers", "model.cell", "model.cell.forget_bias"} & entries.keys()


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("optimizer.learning_rate: {low: 0.1, high: 0.01}", "run.yaml:5: .*the range is empty: low 0.1"),
        ("optimizer.learning_rate: []", "run.yaml:5: .*the list is empty"),
        ("optimizer.learning_rate: 0.1", "run.yaml:5: .*a list of values or"),
        ("optimizer.learning_rate: {low: 0, high: 1, log: true}", "run.yaml:5: .*needs low above 0"),
        ("optimizer.learning_rate: {low: 0.1, hihg: 1}", "run.yaml:5: .*no option `hihg`. Did you mean `high`"),
        ("optimizer.lerning_rate: [0.1]", "run.yaml:5: .*Did you mean `optimizer.learning_rate`"),
        ("model.hidden_size: [8, none]", "run.yaml:5: .*`model.hidden_size`.*valid integer"),
        ("model.cell: [lstm, grou]", "run.yaml:5: .*no such choice `grou`. Did you mean `gru`"),
        ("model.hidden_size: {low: 4, high: 8, step: 0.5}", "run.yaml:5: .*whole number, and 0.5 is none"),
    ],
)
def test_faults_of_a_space_name_file_line_and_mend(
    entry: str, message: str, tmp_path: Path, texts: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(
        "task: language-modelling\nmodel: language-model\ntune:\n  space:\n    " + entry + "\n", encoding="utf-8"
    )
    files = [f"--{name}={value}" for name, value in texts.items()]
    with pytest.raises(SystemExit) as stop:
        main(["tune", str(path), *files, "--out", str(tmp_path / "out"), "--search", "grid"])
    told = capsys.readouterr().err
    assert stop.value.code == 2 and "Traceback" not in told
    assert re.search(message, told), told
    assert not (tmp_path / "out").exists()


def test_the_command_line_names_entries_by_dotted_names(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("task: language-modelling\nmodel: language-model\n", encoding="utf-8")
    given = {"tune.space.model.cell": ["lstm", "gru"], "tune.space.model.cell.forget_bias": [0.0], "tune.trial.seed": 3}
    config = read_run_config(path, given)
    assert config.tune is not None
    assert config.tune.space == {"model.cell": ["lstm", "gru"], "model.cell.forget_bias": [0.0]}
    assert config.tune.trial == {"seed": 3}
