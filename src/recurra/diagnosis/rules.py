"""From what was measured to what is wrong: one rule a fault, the likeliest cause of the others first."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from recurra.diagnosis.dynamics import Dynamics
from recurra.diagnosis.examination import TELLING, Examination, Inside, missed
from recurra.diagnosis.findings import Finding
from recurra.diagnosis.patient import Patient
from recurra.diagnosis.wording import PLACES

_LEFT = 1e-3
_GROWN, _FAST = 1e3, 0.15
_DEAD = 0.3
_LEAST_ROWS, _MANY_ROWS = 150, 500


def findings(patient: Patient, found: Examination) -> list[Finding]:
    """All faults that the measurements show, causes before what may follow from them.

    What is wrong inside before the first update is no work of the learning rate, and comes before it; what a training
    with a wrong rate has made of the network is left out, as it says nothing of a better one.
    """
    begun = list(_states(patient, found.beginning, found))
    rates = list(_rates(patient, found))
    if any(finding.name == "exploding" for finding in begun):
        rates = [finding for finding in rates if finding.name != "diverged"]
    later = [] if rates else [*_states(patient, found.now, found), *_learning(patient, found)]
    known = {finding.name for finding in begun}
    # a trained network may forget soon because nothing is worth remembering
    later = [finding for finding in later if finding.name not in (*known, "vanishing")]
    return [*_data(patient, found), *_window(patient, found), *begun, *rates, *later, *_batches(patient, found)]


def _data(patient: Patient, found: Examination) -> Iterator[Finding]:
    if found.leak is not None:
        leak = found.leak
        en, zh = (PLACES[leak.kind][lang].format(*leak.name.rsplit(", ", 1)) for lang in ("en", "zh"))
        figures = {"where": en, "where_zh": zh, "told": leak.told, "usual": leak.usual}
        yield Finding("leak", "fault", figures)
    if found.ahead is not None and found.ahead > 1e-3:
        yield Finding("sees-ahead", "fault", {"change": found.ahead})
    if found.padding is not None and found.padding.read is not None and found.padding.read > 1e-3:
        yield Finding("padding-read", "fault", {"change": found.padding.read})
    signal = _signal(patient, found)
    if signal is not None and not signal["telling"]:
        yield Finding("labels-unrelated", "fault" if signal["rows"] >= _MANY_ROWS else "warning", signal)


def _signal(patient: Patient, found: Examination) -> dict[str, Any] | None:
    """What is known where the model does no better on held-out data than with exchanged targets."""
    valid, train, cheap = found.losses.get("valid"), found.losses.get("train"), found.cheap
    if valid is None or train is None or cheap is None or valid.learnt is not False or cheap.rows < _LEAST_ROWS:
        return None
    tag, _ = patient.prepared.task.compared
    verb, verb_zh = ("beats", "优于") if cheap.telling else ("does not beat", "也不优于")
    figures = f"{tag} {cheap.best:.3f}", f"{cheap.plain:.3f}"
    return {
        "own": valid.true,
        "exchanged": valid.exchanged,
        "train": train.true,
        "ratio": 0.0 if found.updates is None else found.updates.ratio,
        "telling": cheap.telling,
        "rows": cheap.rows,
        "cheap": f"the best cheap model, {cheap.name}, {verb} the commonest answer ({figures[0]} against {figures[1]})",
        "cheap_zh": f"最好的简单模型 {cheap.name} {verb_zh}固定答案（{figures[0]} 对 {figures[1]}）",
    }


def _window(patient: Patient, found: Examination) -> Iterator[Finding]:
    told = found.needs
    if told is not None and told.is_hidden:
        better = 2 ** math.ceil(math.log2(1.5 * told.beyond))
        figures = {
            "distance": told.beyond,
            "found": told.information[told.beyond - 1],
            "entropy": told.entropy,
            "window": told.window,
            "better": better,
        }
        yield Finding("window-too-short", "fault", figures, {"training.tbptt_length": better})


def _rates(patient: Patient, found: Examination) -> Iterator[Finding]:
    config, own = patient.config.optimizer, found.trials.get("own")
    if own is None:
        return
    ratio = 0.0 if found.updates is None else found.updates.ratio
    told = {"updates": len(own.rows), "first": own.first, "own": f"{own.last:.3f}" if not own.fault else "NaN"}
    lower = {name: found.trials[name] for name in found.trials if name.startswith("learning rate")}
    best = min(lower, key=lambda name: lower[name].last, default=None)
    if best is not None and missed(found, best) > TELLING and (own.fault or ratio > 0.01):
        better = lower[best].overrides["optimizer.learning_rate"]
        figures = {**told, "rate": config.learning_rate, "better": better, "other": lower[best].last, "ratio": ratio}
        yield Finding("learning-rate", "fault", figures, {"optimizer.learning_rate": better})
    elif own.fault:
        overrides = {"optimizer.clip_norm": 1.0} if not config.clip_norm else {}
        yield Finding("diverged", "fault", {"updates": len(own.rows), "rate": config.learning_rate}, overrides)
    if missed(found, "clip") > 0.3 and found.clipping is not None:
        better = found.trials["clip"].overrides["optimizer.clip_norm"]
        clip = found.clipping
        figures = {**told, "clipped": clip.clipped, "shrunk": clip.shrunk, "bound": clip.clip_norm, "better": better}
        figures["other"] = found.trials["clip"].last
        yield Finding("clipping", "fault", figures, {"optimizer.clip_norm": better})


def _states(patient: Patient, inside: Inside, found: Examination) -> Iterator[Finding]:
    cell = _cell_name(patient)
    for layer, measured in inside.dynamics.items():
        if _explodes(measured):
            yield Finding("exploding", "fault", _told(layer, measured, cell), _gated(patient) | _clipped(patient))
            break
    for layer, units in inside.units.items():
        stuck = [own.stuck for own in units.activities.values() if own.kind == "relu"]
        dead = max([units.dead, *stuck])
        if dead > _DEAD:
            overrides = {"model.cell.activation": "tanh"} if stuck and _has_cell(patient) else {}
            if getattr(patient.config.task, "normalisation", None) == "none":
                overrides = {"task.normalisation": "training"}
            yield Finding("dead-units", "fault", {"layer": layer, "dead": dead, "cell": cell}, overrides)
            break
    vanished = [layer for layer, measured in inside.dynamics.items() if _vanishes(measured)]
    if vanished and len(vanished) == len(inside.dynamics):
        layer = max(vanished, key=lambda name: inside.dynamics[name].largest)
        measured = inside.dynamics[layer]
        figures = _told(layer, measured, cell)
        figures |= {"steps": measured.reach(_LEFT), "share": _at_ends(inside, layer)[1]} | _room(patient, found)
        yield Finding("vanishing", "fault", figures, _gated(patient))
        return
    for layer in inside.units:
        gate, share = _at_ends(inside, layer)
        if share > 0.8:
            figures = {"layer": layer, "gate": gate, "share": share}
            yield Finding("saturated", "warning", figures)
            break


def _explodes(measured: Dynamics) -> bool:
    return measured.largest > _FAST and max(measured.gain) > _GROWN


def _vanishes(measured: Dynamics) -> bool:
    reach = measured.reach(_LEFT)
    return reach is not None and reach <= 16 and len(measured.gain) > 2 * reach


def _told(layer: str, measured: Dynamics, cell: str) -> dict[str, Any]:
    growth = max(measured.gain)
    return {
        "layer": layer,
        "growth": growth,
        "steps": measured.gain.index(growth),
        "exponent": measured.largest,
        "radius": "–" if measured.radius is None else f"{measured.radius:.2f}",
        "cell": cell,
    }


def _at_ends(inside: Inside, layer: str) -> tuple[str, float]:
    """The values that carry the state, and how many of them lie at either end of their range."""
    units = inside.units.get(layer)
    carrying = (
        {}
        if units is None
        else {name: own for name, own in units.activities.items() if own.kind != "relu" and not name.endswith("gate")}
    )
    if not carrying:
        return "", 0.0
    worst = max(carrying, key=lambda name: carrying[name].low + carrying[name].high)
    return worst, carrying[worst].low + carrying[worst].high


def _room(patient: Patient, found: Examination) -> dict[str, Any]:
    """How far back there would be something to learn from, in words."""
    if found.needs is not None:
        window = patient.config.training.tbptt_length
        return {
            "room": f"the training window has {window} steps, which hides anything longer",
            "room_zh": f"训练窗口有 {window} 步，更长的依赖都被它挡住",
        }
    longest = max((len(curve) for curve in found.now.gradients.values()), default=0)
    return {"room": f"rows have up to {longest} steps", "room_zh": f"序列最长有 {longest} 步"}


def _has_cell(patient: Patient) -> bool:
    return hasattr(patient.config.model, "cell")


def _cell_name(patient: Patient) -> str:
    """ "elman, tanh", or "lstm"."""
    cell = getattr(patient.config.model, "cell", None)
    if cell is None:
        return patient.config.model.kind
    activation = getattr(cell, "activation", None)
    return cell.kind if activation is None else f"{cell.kind}, {activation}"


def _gated(patient: Patient) -> dict[str, Any]:
    if not _has_cell(patient):
        return {}
    gated = patient.config.model.cell.kind in ("lstm", "gru")
    return {} if gated else {"model.cell.kind": "lstm"}


def _clipped(patient: Patient) -> dict[str, Any]:
    return {} if 0 < patient.config.optimizer.clip_norm <= 1 else {"optimizer.clip_norm": 1.0}


def _learning(patient: Patient, found: Examination) -> Iterator[Finding]:
    signal = _signal(patient, found)
    # a short training may well have learnt nothing yet
    if patient.trained and signal is not None and signal["telling"]:
        yield Finding("not-learning", "warning", signal)


def _batches(patient: Patient, found: Examination) -> Iterator[Finding]:
    padding = found.padding
    if padding is None:
        return
    if padding.tails > 0.3 and padding.tail > 0.25:
        yield Finding("padded-file", "warning", {"rows": padding.tails, "part": padding.tail})
    if padding.share > 0.5:
        figures = {"share": padding.share, "usual": padding.usual, "longest": padding.longest}
        overrides: dict[str, Any] = {}
        if hasattr(patient.config.task, "max_length") and padding.longest > 2 * padding.usual:
            overrides["task.max_length"] = max(8, padding.usual)
        elif patient.config.training.batch_size > 16:
            overrides["training.batch_size"] = 16
        yield Finding("padding-dominates", "warning", figures, overrides)
