"""All instruments held to one model, each where it applies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from torch import nn

from recurra.core.batch import Batch, Resolution
from recurra.diagnosis.activity import Layer, activity
from recurra.diagnosis.cheap import Cheap, cheap_models
from recurra.diagnosis.dynamics import Dynamics, dynamics
from recurra.diagnosis.fitting import Loss, measure_loss
from recurra.diagnosis.horizon import main_stack, memory_curve
from recurra.diagnosis.leaks import Leak, find_leak, sees_ahead
from recurra.diagnosis.needs import Needs, needs
from recurra.diagnosis.padding import Padding, padding
from recurra.diagnosis.patient import Patient
from recurra.diagnosis.trials import Trial, gained, run_trial
from recurra.diagnosis.updates import Clipping, Updates, clipping, updates
from recurra.layers.recording import StackRecord, recorded
from recurra.runs.gradients import gradient_through_time
from recurra.training.optimizer import AdagradConfig, AdamConfig, RMSpropConfig

T = TypeVar("T")
_BATCHES, _ROWS = 24, 64
_UPDATES, _SECONDS = 20, 4.0
TELLING = 0.07
"""What a short training must miss of the gain of another, for the option between them to be a fault."""
_INAPPLICABLE = (RuntimeError, ValueError, TypeError, AttributeError, LookupError, NotImplementedError, AssertionError)


@dataclass(frozen=True, slots=True)
class Inside:
    """What recurrent layers do, by layer.

    Attributes:
        gradients: |dL/ds_t| by distance from the end.
        dynamics: products of their Jacobians.
        units: their gates and states.
    """

    gradients: dict[str, list[float]] = field(default_factory=dict)
    dynamics: dict[str, Dynamics] = field(default_factory=dict)
    units: dict[str, Layer] = field(default_factory=dict)


@dataclass(slots=True)
class Examination:
    """What was measured; an instrument that does not apply leaves its field empty and its reason in `skipped`.

    Attributes:
        now: what the layers do with the model's weights.
        beginning: the same of the weights that the training begins with.
        memory: how much an input that far back changes the answer.
        updates: what single updates do.
        clipping: how many updates of the run were clipped.
        losses: on "train" and "valid".
        baselines: figures of cheap models on the validation data, by name, of the task's own metric.
        cheap: what cheap models make of the targets, where the model makes nothing of held-out ones.
        padding, leak, ahead, needs: of data and model.
        trials: short trainings by name: "own", and those with another option.
        skipped: why an instrument does not apply, by its name.
    """

    now: Inside = Inside()
    beginning: Inside = Inside()
    memory: dict[int, float] = field(default_factory=dict)
    updates: Updates | None = None
    clipping: Clipping | None = None
    losses: dict[str, Loss] = field(default_factory=dict)
    baselines: dict[str, float] = field(default_factory=dict)
    cheap: Cheap | None = None
    padding: Padding | None = None
    leak: Leak | None = None
    ahead: float | None = None
    needs: Needs | None = None
    trials: dict[str, Trial] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)


def examine(patient: Patient, number: int, say: Callable[[str], None] = lambda _: None) -> tuple[Patient, Examination]:
    """Look at a model; one that was not trained is given a short training first.

    Args:
        patient: the model on its data.
        number: updates of a short training.
        say: where sentences for the person who waits go.
    Returns:
        The patient as it was looked at, and what was found.
    """
    found = Examination()
    if not patient.trained:
        say(f"a short training: {number} updates")
        own = found.trials["own"] = run_trial(patient, number)
        patient = Patient(**{**vars(patient), "model": own.model, "rows": own.rows or patient.rows})
    found.clipping = clipping(patient.rows, patient.config.optimizer.clip_norm)
    say("looking at the data")
    _look_at_data(patient, found)
    say("looking at states, gates and gradients")
    _look_inside(patient, found)
    _look_at_learning(patient, found)
    _try_others(patient, found, number, say)
    return patient, found


def _attempt(found: Examination, name: str, instrument: Callable[[], T]) -> T | None:
    """What an instrument shows, or None and the reason why it does not apply."""
    try:
        return instrument()
    except _INAPPLICABLE as error:
        found.skipped[name] = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        return None


def _look_at_data(patient: Patient, found: Examination) -> None:
    task = patient.prepared.task
    resolution = task.spec.resolution
    plain = patient.batches("train", _BATCHES, rows=_rows(patient))
    names = _names(task)
    found.leak = _attempt(found, "leak", lambda: find_leak(plain, resolution, names))
    mixed = patient.batches("train", _BATCHES, shuffle=True)
    found.padding = _attempt(found, "padding", lambda: padding(patient.model.eval(), mixed, plain[:2], resolution))
    stream = patient.stream("train", shuffle=False)
    if stream is not None and stream.carries_state:
        window = patient.config.training.tbptt_length
        steps = patient.batches("train", max(1, 4096 // window), rows=16)
        found.needs = _attempt(found, "needs", lambda: needs(steps, max(256, 4 * window), window))


def _rows(patient: Patient) -> int:
    """Of batches that are only looked at."""
    return min(_ROWS, patient.config.training.batch_size)


def _names(task: Any) -> tuple[str, ...]:
    """Of tokens, by index; of the features of series."""
    vocabulary = getattr(task, "vocabulary", None)
    if vocabulary is not None:
        return tuple(vocabulary.decode([index]) for index in range(min(vocabulary.size, 50_000)))
    fit = getattr(task, "fit", None)
    if fit is not None:
        return (*getattr(fit, "past", ()), *getattr(fit, "known", ()))
    columns = getattr(getattr(task, "fitted", None), "columns", None)
    return tuple(getattr(columns, "channels", ()))


def _look_inside(patient: Patient, found: Examination) -> None:
    model, task = patient.model.eval(), patient.prepared.task
    batch = _attempt(found, "gradients", patient.long_batch)
    if batch is None:
        return
    found.now, stacks = _inside(found, model, task, batch)
    found.beginning, _ = _inside(found, patient.fresh().to(patient.device).eval(), task, batch)
    if not found.now.gradients:
        found.skipped.setdefault("gradients", "the model holds no recurrent stack that runs over several steps")
    main = main_stack(stacks, batch)
    if main is None:
        found.skipped["memory"] = "the model reads its rows in another way than step by step"
        return
    resolution = task.spec.resolution
    found.memory = _attempt(found, "memory", lambda: memory_curve(model, batch, main, resolution)) or {}
    foretells = resolution is Resolution.STEP and task.spec.input_size == task.spec.output_size
    if foretells and not _reads_both_ways(patient):
        found.ahead = _attempt(found, "ahead", lambda: sees_ahead(model, batch))


def _inside(found: Examination, model: nn.Module, task: Any, batch: Batch) -> tuple[Inside, list[StackRecord]]:
    """The layers' doings on a batch, and the records of their steps."""

    def record() -> list[StackRecord]:
        with recorded(model) as stacks:
            model(batch.inputs, None)
        return stacks

    stacks = _attempt(found, "states", record) or []
    inside = Inside(
        _attempt(found, "gradients", lambda: gradient_through_time(model, task, batch)) or {},
        _attempt(found, "dynamics", lambda: dynamics(stacks)) or {},
        _attempt(found, "units", lambda: activity(stacks)) or {},
    )
    return inside, stacks


def _reads_both_ways(patient: Patient) -> bool:
    return bool(getattr(patient.config.model, "bidirectional", False))


def _look_at_learning(patient: Patient, found: Examination) -> None:
    model, task = patient.model.eval(), patient.prepared.task
    for split in ("train", "valid"):
        loss = _attempt(found, "losses", partial(_loss, patient, split))
        if loss is not None:
            found.losses[split] = loss
    stream = patient.stream("train", shuffle=True)
    if stream is not None:
        config = patient.config.optimizer
        found.updates = _attempt(found, "updates", lambda: updates(model, task, stream, config, _UPDATES, _SECONDS))
    tag, _ = task.compared
    known = patient.results.get("baselines")
    single = task.spec.resolution is Resolution.SEQUENCE
    if known is None and single and patient.prepared.splits.valid is not None and _is_small(patient):
        splits = patient.prepared.splits
        known = _attempt(found, "baselines", lambda: task.baselines(splits.train, splits.valid))
    found.baselines = {name: figures[tag] for name, figures in (known or {}).items() if tag in figures}
    valid = found.losses.get("valid")
    if single and valid is not None and valid.learnt is False:
        splits = patient.prepared.splits
        found.cheap = _attempt(found, "baselines", lambda: cheap_models(task, [*splits.train, *splits.valid]))


def _loss(patient: Patient, split: str) -> Loss | None:
    batches = patient.batches(split, _BATCHES, rows=_rows(patient))
    return measure_loss(patient.model.eval(), patient.prepared.task, batches, carries_state=_carries(patient))


def _carries(patient: Patient) -> bool:
    stream = patient.stream("train", shuffle=False)
    return stream is not None and stream.carries_state


def _is_small(patient: Patient) -> bool:
    """Whether cheap models are cheap."""
    stream = patient.stream("train", shuffle=False)
    return stream is not None and stream.batches_per_epoch() * patient.config.training.batch_size <= 5000


def _try_others(patient: Patient, found: Examination, number: int, say: Callable[[str], None]) -> None:
    """Short trainings with another option: a lower rate, and a wider bound where the usual gradient is cut down."""
    config = patient.config.optimizer
    if "own" not in found.trials:
        say(f"a short training: {number} updates")
        found.trials["own"] = run_trial(patient, number)
    wanted = [("learning rate / 10", {"optimizer.learning_rate": config.learning_rate / 10})]
    clip = found.clipping
    adapts = isinstance(config, AdamConfig | AdagradConfig | RMSpropConfig)
    if clip is not None and clip.clipped > 0.9 and clip.shrunk > 10 and not adapts:
        wanted.append(("clip", {"optimizer.clip_norm": float(f"{max(1.0, clip.typical):.2g}")}))
    for name, overrides in wanted:
        _try(patient, found, number, say, name, overrides)
    if missed(found, "learning rate / 10") > TELLING:
        rate = {"optimizer.learning_rate": config.learning_rate / 100}
        _try(patient, found, number, say, "learning rate / 100", rate)


def _try(
    patient: Patient,
    found: Examination,
    number: int,
    say: Callable[[str], None],
    name: str,
    overrides: dict[str, float],
) -> None:
    say(f"a short training with {', '.join(f'{key}={value:g}' for key, value in overrides.items())}")
    found.trials[name] = run_trial(patient, number, overrides)


def missed(found: Examination, name: str) -> float:
    """What the own options miss of the gain of a trial with others; 0 where there was none."""
    own, other = found.trials.get("own"), found.trials.get(name)
    return 0.0 if own is None or other is None else gained(own, other)
