"""The page of a diagnosis: the verdict in words, then every plot and figure it rests on; one file, offline."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from recurra.core.config import to_yaml
from recurra.diagnosis.examination import Examination
from recurra.diagnosis.findings import Finding
from recurra.diagnosis.patient import Patient
from recurra.diagnosis.wording import WORDS, in_words
from recurra.runs.axes import Point, escape, format_number, smooth, wants_log
from recurra.runs.charts import Series, line_chart
from recurra.runs.page import card, document, figure, muted, section, table

_COLOURS = 4
Lines = Sequence[tuple[str, Sequence[Point]]]


def render(patient: Patient, found: Examination, findings: Sequence[Finding], lang: str) -> str:
    """The page as HTML."""
    words = WORDS[lang]
    title = words["title"].format(patient.name)
    config = patient.config
    facts = f"{config.task.kind} · {config.model.kind}"
    header = f"<header><h1>{escape(title)}</h1><p>{escape(facts)}</p></header>"
    body = "".join(
        [
            header,
            _verdict(found, findings, lang),
            section(words["instruments"], f'<div class="charts">{_charts(patient, found, lang)}</div>'),
            section(words["dynamics"], _layers(found, lang)),
            section(words["units"], _units(found, lang)),
            section(words["updates"], _figures(found, words)),
            section(words["config"], _config(to_yaml(config), words)),
            muted(words["footer"]),
        ]
    )
    return document(title, words["html"], body)


def _verdict(found: Examination, findings: Sequence[Finding], lang: str) -> str:
    words = WORDS[lang]
    parts = []
    for finding in findings:
        rows = [(words["seen"], finding.sentence(lang)), (words["mend"], finding.mend(lang))]
        if finding.overrides:
            rows.append((words["try"], finding.options()))
        lines = "".join(f"<p><b>{escape(head)}</b> {escape(text)}</p>" for head, text in rows)
        parts.append(
            card(f"<h3>{escape(finding.title(lang))} <small>{words[finding.severity]}</small></h3>{lines}", "notes")
        )
    if not findings:
        parts.append(card(f"<p>{escape(words['sound'])}</p>"))
    skipped = "; ".join(f"{name}: {why}" for name, why in found.skipped.items())
    return section(words["verdict"], "".join(parts)) + muted(f"{words['skipped']}: {skipped}" if skipped else "")


def _charts(patient: Patient, found: Examination, lang: str) -> str:
    words = WORDS[lang]
    inside = found.now
    gradients = [(in_words(layer, lang), _numbered(curve)) for layer, curve in inside.gradients.items()]
    gains = [(in_words(layer, lang), _numbered(one.gain)) for layer, one in inside.dynamics.items()]
    spectra = [(in_words(layer, lang), _numbered(one.exponents, 1)) for layer, one in inside.dynamics.items()]
    memory = [("", [(float(distance), size) for distance, size in found.memory.items()])]
    told = [("", _numbered(found.needs.information, 1))] if found.needs else []
    trials = [
        (
            words["own"] if name == "own" else name,
            smooth([(float(row["update"]), row["loss"]) for row in one.rows], 1 + len(one.rows) // 20),
        )
        for name, one in found.trials.items()
    ]
    window = patient.config.training.tbptt_length
    return "".join(
        [
            _chart(words["gradients"], "‖dL/dh‖", gradients, words["back"], words["gradients_note"]),
            _chart(words["gain"], "", gains, words["ahead"], words["gain_note"]),
            _chart(words["memory"], "", memory, words["distance"], words["memory_note"]),
            _chart(words["spectrum"], "", spectra, words["number"], words["spectrum_note"], linear=True),
            _chart(words["needs"], "", told, words["distance"], words["needs_note"], linear=True, mark=window),
            _chart(words["trials"], "", trials, words["update"], "", linear=True),
        ]
    )


def _chart(
    title: str, unit: str, lines: Lines, x_label: str, note: str, *, linear: bool = False, mark: float | None = None
) -> str:
    shown = [Series(label, points, 1 + place % _COLOURS) for place, (label, points) in enumerate(lines) if points]
    log = not linear and wants_log(y for line in shown for _, y in line.points if 0 < y < math.inf)
    chart = line_chart(shown, x_label, title, log, mark)
    legend = [(line.label, f"s{line.colour} {line.style}") for line in shown if line.label]
    return figure(title, unit, chart, legend if len(legend) > 1 else [], note)


def _numbered(values: Sequence[float], first: int = 0) -> list[Point]:
    return [(float(number), value) for number, value in enumerate(values, start=first)]


def _layers(found: Examination, lang: str) -> str:
    words = WORDS[lang]
    rows = []
    for when, state in (("fresh", found.beginning), ("trained", found.now)):
        for layer, one in state.dynamics.items():
            reach = one.reach(1e-3)
            units = state.units.get(layer)
            rows.append(
                (
                    in_words(layer, lang),
                    words[when],
                    "–" if one.radius is None else f"{one.radius:.3f}",
                    f"{one.largest:+.3f}",
                    f"> {len(one.gain) - 1}" if reach is None else str(reach),
                    "–" if units is None else f"{units.dead:.1%}",
                )
            )
    head = [words[name] for name in ("layer", "weights", "radius", "exponent", "halved", "dead")]
    return card(table(head, rows)) if rows else ""


def _units(found: Examination, lang: str) -> str:
    words = WORDS[lang]
    rows = [
        (
            in_words(layer, lang),
            in_words(gate, lang),
            f"{one.mean:.3f}",
            f"{one.low:.1%}",
            f"{one.high:.1%}",
            f"{one.stuck:.1%}",
        )
        for layer, units in found.now.units.items()
        for gate, one in units.activities.items()
    ]
    head = [words[name] for name in ("layer", "gate", "mean", "low", "high", "stuck")]
    return card(table(head, rows, "pairs")) if rows else ""


def _figures(found: Examination, words: Mapping[str, str]) -> str:
    rows: list[tuple[str, str]] = []
    for split, loss in found.losses.items():
        rows.append((words["loss"].format(words[split]), format_number(loss.true)))
        if loss.exchanged is not None:
            rows.append((words["exchanged"].format(words[split]), format_number(loss.exchanged)))
    rows += [(words["baseline"].format(name), format_number(value)) for name, value in found.baselines.items()]
    if found.updates is not None:
        rows += [(words["ratio"], f"{found.updates.ratio:.2%}"), (words["worse"], f"{found.updates.worse:.0%}")]
    if found.clipping is not None:
        rows += [(words["clipped"], f"{found.clipping.clipped:.0%}")]
        rows += [(words["norm"], format_number(found.clipping.typical))]
    if found.padding is not None:
        rows.append((words["padding"], f"{found.padding.share:.0%}"))
    trials = [
        (
            words["own"] if name == "own" else " ".join(f"{key}={value:g}" for key, value in one.overrides.items()),
            format_number(one.first),
            words["broke"] if one.fault else format_number(one.last),
        )
        for name, one in found.trials.items()
    ]
    told = card(table((words["what"], words["value"]), rows)) if rows else ""
    tried = card(table((words["trial"], words["first"], words["last"]), trials)) if trials else ""
    return f'<div class="wide">{told}{tried}</div>' if told or tried else ""


def _config(text: str, words: Mapping[str, str]) -> str:
    return card(f"<details><summary>{words['show']}</summary><pre>{escape(text)}</pre></details>")
