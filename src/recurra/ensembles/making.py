"""From trained members to one saved model: check, weigh, measure beside each member, save."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from recurra.core.config import apply_overrides, parse
from recurra.core.errors import ConfigError
from recurra.data import DataConfig, Splits
from recurra.ensembles.members import Member, read_members
from recurra.ensembles.stacking import learn_shares
from recurra.models import Ensemble, EnsembleConfig
from recurra.runs import Run, RunConfig, SavedModel
from recurra.runs.conclude import conclude, in_line
from recurra.runs.folder import discard_unbegun, open_folder, require_free
from recurra.runs.stage import for_evaluation
from recurra.tasks import TASKS, FileTask, Preparation, Prepared
from recurra.training import Progress
from recurra.training.checkpoint import load_model_tensors, model_tensors
from recurra.training.evaluation import defined

_HELD_OUT_IN_ORDER = ("language-modelling", "forecasting", "anomaly-detection")
"""Tasks that hold out the end of the training files, whatever the seed."""


@dataclass(frozen=True, kw_only=True)
class Making:
    """An ensemble to be made.

    Attributes:
        members: folders of runs or saved models.
        out: its folder.
        kind: mean, where all members count the same; stacked, where how much each counts is learnt on validation data.
        data: dotted options of the data to measure it on, such as data.test; else those of the first member's run.
        say: where sentences for the person who waits go.
    """

    members: Sequence[str]
    out: Path
    kind: Literal["mean", "stacked"] = "mean"
    data: Mapping[str, Any] = field(default_factory=dict)
    say: Callable[[str], None] = print


def make_ensemble(making: Making) -> SavedModel:
    """Make it; its folder is that of a run: config.yaml, model/, results.json and report.html.

    Raises:
        ConfigError: the members don't fit each other, or there is no validation data to learn shares on.
        RecurraError: about folders or data.
    """
    require_free(making.out)
    members = read_members(making.members)
    config = _config(members, making.data)
    open_folder(making.out, config, resume=False)
    try:
        return _make(making, members, config)
    except Exception:
        discard_unbegun(making.out)
        raise


def _make(making: Making, members: list[Member], config: RunConfig) -> SavedModel:
    prepared, notes = _prepare(members, config, making)
    for note in (*prepared.notes, *notes):
        making.say(note)
    task, valid = prepared.task, prepared.splits.valid
    if making.kind == "stacked":
        if valid is None or not valid:
            raise ConfigError("shares are learnt on validation data, and there is none: give --data.valid FILE.")
        models = [member.saved.model for member in members]
        shares = learn_shares(models, task, task.stream(valid, for_evaluation(config)))
        notes.append("shares: " + ", ".join(f"{m.name} {share:.3f}" for m, share in zip(members, shares, strict=True)))
        making.say(notes[-1])
        config = config.model_copy(update={"model": config.model.model_copy(update={"shares": shares})})
    saved = SavedModel(config, task, _model(members, config, task), {})
    _conclude(making, saved, members, prepared, notes)
    return saved


def _config(members: Sequence[Member], data: Mapping[str, Any]) -> RunConfig:
    """That of the first member, with all of them as the model."""
    first = members[0].saved.config
    own = {"data": first.data.model_dump(mode="json")}
    model = EnsembleConfig(members=tuple(member.saved.config.model for member in members))
    changed = parse(DataConfig, apply_overrides(own, data)["data"])
    return first.model_copy(update={"model": model, "data": changed, "finetune": None, "distill": None, "tune": None})


def _prepare(members: Sequence[Member], config: RunConfig, making: Making) -> tuple[Prepared, list[str]]:
    """The data, without the parts that one of the members may have been trained on."""
    fitted = members[0].saved.task
    given = Preparation(data=config.data, seed=config.split_seed, cache=making.out / "cache", fitted=fitted)
    prepared: Prepared = TASKS[config.task.kind].prepare(config.task, given)
    if _same_parts(members):
        return prepared, []
    files = (config.data.valid is not None, config.data.test is not None)
    train, *held = prepared.splits
    parts = [part if own else None for part, own in zip(held, files, strict=True)]
    note = (
        "The members held out other parts of their training files, so that what one held out another one has seen: "
        "those parts are not measured. Give --data.valid and --data.test FILE, or train with the same data.split_seed."
    )
    kept = Prepared(task=prepared.task, splits=Splits(train, *parts), notes=prepared.notes)
    return kept, [] if all(files) else [note]


def _same_parts(members: Sequence[Member]) -> bool:
    """Whether what the first member held out was held out by all of them."""
    configs = [member.saved.config for member in members]
    in_order = configs[0].task.kind in _HELD_OUT_IN_ORDER
    parts = {
        (str(c.data.train), str(c.data.valid), str(c.data.test), c.data.valid_fraction, c.data.test_fraction)
        for c in configs
    }
    return len(parts) == 1 and (in_order or len({config.split_seed for config in configs}) == 1)


def _model(members: Sequence[Member], config: RunConfig, task: FileTask) -> Ensemble:
    model = Ensemble(config.model, task.spec)
    for member, part in zip(members, model.parts(), strict=True):
        load_model_tensors(part, model_tensors(member.saved.model), member.name)
    return model.eval()


def _conclude(
    making: Making, saved: SavedModel, members: Sequence[Member], prepared: Prepared, notes: list[str]
) -> None:
    """Measure the members, then the ensemble as every run is measured."""
    measured = prepared.splits.test or prepared.splits.valid
    figures: dict[str, dict[str, float]] = {}
    for member in members if measured is not None else ():
        figures[member.name] = defined(member.saved.evaluate_split(measured).metrics)
        making.say(f"member {member.name}: {in_line(figures[member.name])}")
    progress = Progress(core_seconds=sum(_core_seconds(members)))
    run = Run(config=saved.config, out=making.out, say=making.say)
    conclude(run, saved, prepared, progress, notes, {"members": figures} if figures else None)
    making.say(f"saved in {making.out / 'model'}; report: {making.out / 'report.html'}")


def _core_seconds(members: Sequence[Member]) -> list[float]:
    """What the training of each run took; the snapshots of a run cost once, and are not counted anew."""
    return [float(member.saved.metrics.get("training", {}).get("core_seconds", 0.0)) for member in members]
