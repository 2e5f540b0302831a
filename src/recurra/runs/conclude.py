"""The end of a run: evaluate the best weights, compare with cheap baselines, save, report."""

from __future__ import annotations

import time
from collections.abc import Mapping
from statistics import fmean
from typing import Any

from recurra.core.batch import Resolution
from recurra.core.config import to_yaml
from recurra.core.files import write_json
from recurra.runs.gradients import gradient_through_time
from recurra.runs.report import Confusion, Report, write_report
from recurra.runs.saved import SavedModel
from recurra.runs.stage import Run, Say
from recurra.tasks import Calibrating, LanguageModelling, Prepared, Settling, StreamOptions
from recurra.training import Progress, read_metrics
from recurra.training.evaluation import defined

_NUM_WORST = 20
_REACHING = (16, 128)
"""Rows and steps over which the gradient through time is measured."""


def conclude(
    run: Run,
    saved: SavedModel,
    prepared: Prepared,
    progress: Progress,
    notes: list[str],
    more: Mapping[str, Any] | None = None,
) -> None:
    """Evaluate the best weights, compare with cheap baselines, save, report.

    Args:
        run: its folder takes the model, the results and the report.
        saved: the model; its metrics are set.
        prepared: the data.
        progress: of the training.
        notes: sentences for the report.
        more: figures that stand in the results beside those measured here: `members` by name, each by tag.
    """
    metrics: dict[str, Any] = dict(more or {})
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
    verdicts = (*_verdict(saved.task.compared, metrics), *_beside_members(saved.task.compared, metrics))
    sentences = [*tables.get("sentences", ()), *verdicts]
    for sentence in sentences:
        run.say(sentence)
    write_report(run.out / "report.html", _report(run, saved, last, tables, [*sentences, *prepared.notes, *notes]))


def _report(run: Run, saved: SavedModel, split: Any, tables: dict[str, Any], notes: list[str]) -> Report:
    metrics = saved.metrics
    found = metrics.get("test", metrics.get("valid", {}))
    samples: list[str] = []
    reach: dict[str, list[float]] = {}
    if isinstance(saved.task, LanguageModelling) and saved.task.config.direction == "forward":
        samples = [saved.generate(max_length=300, temperature=0.8, seed=seed) for seed in (1, 2, 3)]
        if split is not None:
            options = StreamOptions(batch_size=_REACHING[0], length=_REACHING[1], seed=0, shuffle=False)
            batch = saved.task.stream(split, options).next_batch()
            reach = {} if batch is None else gradient_through_time(saved.model, saved.task, batch)
    confusion = tables.get("confusion")
    return Report(
        title=f"{run.config.task.kind} · {run.out.name}",
        config_yaml=to_yaml(run.config),
        rows=read_metrics(run.out / "metrics.jsonl"),
        metrics=_of_all(found),
        loss_in_nats=saved.task.spec.resolution is not Resolution.HORIZON,
        monitor=saved.task.monitor[0],
        best_update=metrics["training"]["best_update"],
        baselines=_others(metrics),
        confusion=None if confusion is None else Confusion(*confusion),
        per_class=tables.get("classes"),
        examples=tables.get("examples", ()),
        samples=samples,
        worst=tables.get("worst", ()),
        pictures=tables.get("pictures", ()),
        gradient_through_time=reach,
        notes=notes,
    )


def _others(metrics: dict[str, Any]) -> dict[str, dict[str, float]]:
    """What the results are held against, without the figures of single classes."""
    rows = {**metrics.get("members", {}), **metrics.get("baselines", {})}
    return {name: _of_all(row) for name, row in rows.items()}


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


def _beside_members(compared: tuple[str, str], metrics: dict[str, Any]) -> list[str]:
    """A sentence that holds an ensemble's figure against its best member's, and the mean of all of them."""
    tag, wanted = compared
    own = metrics.get("test", metrics.get("valid", {})).get(tag)
    values = [row[tag] for row in metrics.get("members", {}).values() if tag in row]
    if own is None or not values:
        return []
    best = min(values) if wanted == "min" else max(values)
    change = f" ({own / best - 1:+.1%})" if best > 0 else ""
    return [f"{tag} {own:.4f}; the best member has {best:.4f}{change}, the members' mean is {fmean(values):.4f}."]


def _say_results(say: Say, metrics: dict[str, Any]) -> None:
    for name in ("valid", "test"):
        if name in metrics:
            say(f"{name:>8}: {in_line(metrics[name])}")
    for name, figures in metrics.get("baselines", {}).items():
        say(f"baseline {name}: {in_line(figures)}")


def in_line(figures: Mapping[str, float]) -> str:
    """Figures for the screen."""
    return "  ".join(f"{tag} {value:.4f}" for tag, value in _of_all(figures).items())


def _of_all(figures: Mapping[str, float]) -> dict[str, float]:
    """Figures without those of single classes."""
    return {tag: value for tag, value in figures.items() if "/" not in tag}
