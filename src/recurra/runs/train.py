"""From a RunConfig to a saved model: prepare the data, build, train, evaluate, compare, write the folder."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from torch import nn

from recurra.core.batch import Choosing, Resolution
from recurra.core.config import to_yaml
from recurra.core.errors import RecurraError
from recurra.core.files import write_json
from recurra.core.seeding import seed_everything
from recurra.finetuning import Tuned, of_model
from recurra.models import MODELS
from recurra.runs.alike import require_same_words
from recurra.runs.config import RunConfig
from recurra.runs.distilling import Distilling
from recurra.runs.folder import discard_unbegun, open_folder, require_same_data
from recurra.runs.gradients import gradient_through_time
from recurra.runs.report import Confusion, Report, write_report
from recurra.runs.saved import SavedModel
from recurra.runs.stage import Run, Say, best_tensors, for_evaluation, make_loop
from recurra.runs.start import Start, load_start
from recurra.runs.starting import begin
from recurra.runs.teacher import load_teacher
from recurra.tasks import TASKS, Calibrating, LanguageModelling, Preparation, Prepared, Settling
from recurra.training import Objective, Progress, World, read_metrics, start_world, stop_world
from recurra.training.checkpoint import list_checkpoints, load_model_tensors
from recurra.training.evaluation import defined

R = TypeVar("R")
_NUM_WORST = 20


class Learnt(NamedTuple):
    """What the training leaves: the model with its best weights, the data, how far it went, and what is to be said."""

    model: nn.Module
    prepared: Prepared
    progress: Progress
    notes: list[str]


def train(run: Run) -> SavedModel:
    """Train, evaluate and save; the best model, loaded.

    Raises:
        RecurraError: anything about options, data or folders that keeps the run from going on.
        InterruptedRun: Ctrl-C or SIGTERM; the run is saved and can be resumed.
    """
    return _in_world(run, _train)


def rehearse(run: Run) -> Progress:
    """Train, and leave it at that: no other evaluation than those of the training, no baselines, no saved model.

    Raises:
        As `train`, and what `run.observer` raises.
    """
    return _in_world(run, _learn).progress


def prepare(run: Run) -> Prepared:
    """Read and encode the data of a run.

    Raises:
        RecurraError: about options or data.
    """
    world = start_world(run.config.training.device)
    try:
        seed_everything(run.config.seed)
        return _prepare(run, world, load_start(run.config), load_teacher(run.config))
    finally:
        stop_world()


def _in_world(run: Run, action: Callable[[Run, World, Start | None], R]) -> R:
    """Act among the processes of the run, in its folder; the folder is free again if nothing begins."""
    world = start_world(run.config.training.device)
    try:
        start = load_start(run.config)
        _once(world, lambda: open_folder(run.out, run.config, run.resume))
        try:
            return action(run, world, start)
        except Exception:
            if world.is_main and not run.resume:
                discard_unbegun(run.out)
            raise
    finally:
        stop_world()


def _once(world: World, action: Callable[[], None]) -> None:
    """Act in the main process alone; what keeps it from doing so is raised in all of them."""
    fault = None
    if world.is_main:
        try:
            action()
        except RecurraError as error:
            fault = error
    if (fault := world.agree(fault)) is not None:
        raise fault


def _train(run: Run, world: World, start: Start | None) -> SavedModel:
    config, learnt = run.config, _learn(run, world, start)
    model, prepared = learnt.model, learnt.prepared
    if world.size > 1:
        model = MODELS[config.model.kind](config.model, prepared.task.spec)
        load_model_tensors(model, of_model(best_tensors(run.out, learnt.progress)), str(run.out))
    saved = SavedModel(config, prepared.task, model.to(world.device), {})
    if world.is_main:
        _conclude(run, saved, prepared, learnt.progress, learnt.notes)
        run.say(f"saved in {run.out / 'model'}; report: {run.out / 'report.html'}")
    return saved


def _learn(run: Run, world: World, start: Start | None) -> Learnt:
    config = run.config
    seed_everything(config.seed)
    say = run.say if world.is_main else lambda _: None
    teacher = load_teacher(config)
    prepared = run.prepared or _prepare(run, world, start, teacher)
    _once(world, lambda: require_same_data(run.out, prepared.task.files()))
    for note in prepared.notes:
        say(note)
    model = MODELS[config.model.kind](config.model, prepared.task.spec)
    trained = model if start is None else begin(run, world, start, model, prepared)
    say(f"{config.model.kind}: {sum(p.numel() for p in model.parameters()):,} parameters on {world.device}")
    _require_accepted(model, prepared, config)
    loop = make_loop(run, world, trained, prepared, _objective(config, world, prepared, teacher))
    if run.resume:
        found = list_checkpoints(run.out / "checkpoints", "update")
        say(f"going on from {found[-1]}" if found else f"{run.out} holds no checkpoint yet: starting over")
    progress = loop.run()
    return Learnt(trained.finish() if isinstance(trained, Tuned) else model, prepared, progress, loop.notes)


def _objective(config: RunConfig, world: World, prepared: Prepared, teacher: SavedModel | None) -> Objective | None:
    """What is trained for beside the task's loss."""
    if teacher is None or config.distill is None:
        return None
    require_same_words(prepared.task, teacher.task, ("this run", config.distill.teacher))
    return Distilling(prepared.task, teacher.model.to(world.device), config.distill)


def _require_accepted(model: nn.Module, prepared: Prepared, config: RunConfig) -> None:
    """Show a model that can't read everything what it will be evaluated on, before it is trained for nothing."""
    if not isinstance(model, Choosing):
        return
    for split in (prepared.splits.valid, prepared.splits.test):
        stream = None if split is None else prepared.task.stream(split, for_evaluation(config))
        while stream is not None and (batch := stream.next_batch()) is not None:
            model.require(batch.inputs)


def _fitted(start: Start | None, teacher: SavedModel | None) -> Any:
    """The task whose vocabularies and labels are kept: that of the model to go on from, else of the teacher."""
    first = teacher if start is None else start.first
    return None if first is None else first.task


def _prepare(run: Run, world: World, start: Start | None, teacher: SavedModel | None) -> Prepared:
    cache = run.out / ("cache" if world.is_main else f"cache-{world.rank}")
    same = start is not None and start.is_same_task(run.config)
    given = Preparation(
        data=run.config.data,
        seed=run.config.split_seed,
        cache=cache,
        pretrained=None if start is None or same else start.vocabulary,
        fitted=_fitted(start if same else None, teacher),
        new_words=0 if run.config.finetune is None else run.config.finetune.new_words,
    )
    prepared: Prepared = TASKS[run.config.task.kind].prepare(run.config.task, given)
    return prepared


def _conclude(run: Run, saved: SavedModel, prepared: Prepared, progress: Progress, notes: list[str]) -> None:
    """Evaluate the best weights, compare with cheap baselines, save, report."""
    metrics: dict[str, Any] = {}
    tables: dict[str, Any] = {}
    last = None
    if isinstance(prepared.task, Settling):
        prepared.task.settle(lambda split: saved.evaluate_split(split)[1], prepared.splits)
    for name in ("valid", "test"):
        split = getattr(prepared.splits, name)
        if split is not None:
            found, predictions, references = saved.evaluate_split(split)
            metrics[name] = defined(found)
            tables, last = prepared.task.report(predictions, references), split
            tables["worst"] = prepared.task.judge(split, predictions, references).worst(_NUM_WORST)
            if name == "valid" and isinstance(prepared.task, Calibrating):
                prepared.task.calibrate(predictions, references)
    if last is not None:
        began = time.process_time()
        baselines = prepared.task.baselines(prepared.splits.train, last)
        metrics["baselines"] = {name: defined(found) for name, found in baselines.items()}
        run.say(f"baselines computed in {time.process_time() - began:.1f} core-seconds")
    metrics["training"] = {
        "updates": progress.update,
        "best_update": progress.best_update,
        "seconds": round(progress.seconds, 2),
        "core_seconds": round(progress.core_seconds, 2),
        "seed": run.config.seed,
    }
    saved.metrics = metrics
    saved.save(run.out / "model")
    write_json(run.out / "results.json", metrics)
    _say_results(run.say, metrics)
    sentences = [*tables.get("sentences", ()), *_verdict(saved.task.compared, metrics)]
    for sentence in sentences:
        run.say(sentence)
    write_report(run.out / "report.html", _report(run, saved, last, tables, [*sentences, *prepared.notes, *notes]))


def _report(run: Run, saved: SavedModel, split: Any, tables: dict[str, Any], notes: list[str]) -> Report:
    metrics = saved.metrics
    found = metrics.get("test", metrics.get("valid", {}))
    samples: list[str] = []
    reach = None
    if isinstance(saved.task, LanguageModelling) and saved.task.config.direction == "forward":
        samples = [saved.generate(max_length=300, temperature=0.8, seed=seed) for seed in (1, 2, 3)]
        if split is not None:
            batch = saved.task.stream(split, for_evaluation(run.config)).next_batch()
            reach = None if batch is None else gradient_through_time(saved.model, saved.task, batch)
    confusion = tables.get("confusion")
    return Report(
        title=f"{run.config.task.kind} · {run.out.name}",
        config_yaml=to_yaml(run.config),
        rows=read_metrics(run.out / "metrics.jsonl"),
        metrics={tag: value for tag, value in found.items() if "/" not in tag},
        loss_in_nats=saved.task.spec.resolution is not Resolution.HORIZON,
        monitor=saved.task.monitor[0],
        best_update=metrics["training"]["best_update"],
        baselines={n: {t: v for t, v in b.items() if "/" not in t} for n, b in metrics.get("baselines", {}).items()},
        confusion=None if confusion is None else Confusion(*confusion),
        per_class=tables.get("classes"),
        examples=tables.get("examples", ()),
        samples=samples,
        worst=tables.get("worst", ()),
        pictures=tables.get("pictures", ()),
        gradient_through_time=reach,
        notes=notes,
    )


def _verdict(compared: tuple[str, str], metrics: dict[str, Any]) -> list[str]:
    """A sentence that holds the run's figure against the best baseline's, where there is one."""
    tag, wanted = compared
    split = "test" if "test" in metrics else "valid"
    own = metrics.get(split, {}).get(tag)
    others = {name: found[tag] for name, found in metrics.get("baselines", {}).items() if tag in found}
    if own is None or not others:
        return []
    sign = 1 if wanted == "min" else -1
    best = min(others, key=lambda name: sign * others[name])
    figures = f"{tag} {own:.4f} against {others[best]:.4f} on {split}"
    if sign * own < sign * others[best]:
        return [f"Better than the best baseline, {best}: {figures}."]
    return [f"This model does NOT beat the baseline {best}: {figures}. Use the baseline, or train better."]


def _say_results(say: Say, metrics: dict[str, Any]) -> None:
    for name in ("valid", "test"):
        if name in metrics:
            shown = "  ".join(f"{tag} {value:.4f}" for tag, value in metrics[name].items() if "/" not in tag)
            say(f"{name:>8}: {shown}")
    for name, values in metrics.get("baselines", {}).items():
        say(f"baseline {name}: " + "  ".join(f"{t} {v:.4f}" for t, v in values.items() if "/" not in t))
