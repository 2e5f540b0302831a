"""A diagnosis: what was found, as sentences, as JSON, as a page with plots, and as a run file with the mends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recurra.core.config import to_yaml
from recurra.core.files import json_values, require_new, require_writable, write_json, write_text
from recurra.diagnosis.board import write_events
from recurra.diagnosis.examination import Examination, examine
from recurra.diagnosis.findings import Finding
from recurra.diagnosis.page import render
from recurra.diagnosis.patient import Patient
from recurra.diagnosis.rules import findings
from recurra.diagnosis.trials import affordable
from recurra.diagnosis.wording import WORDS
from recurra.runs import RunConfig, override


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was found.

    Attributes:
        patient: the model as it was looked at; one that had not been trained, after a short training.
        examination: all that was measured.
        findings: faults, causes before what may follow from them; empty for a sound model.
    """

    patient: Patient
    examination: Examination
    findings: tuple[Finding, ...]

    def lines(self, lang: str = "en") -> list[str]:
        """The verdict for a terminal."""
        words = WORDS[lang]
        lines = [
            f"{self.patient.name}: {words['found'].format(len(self.findings)) if self.findings else words['sound']}"
        ]
        for number, finding in enumerate(self.findings, start=1):
            lines += [
                "",
                f"{number}. {finding.title(lang)} ({words[finding.severity]})",
                f"   {words['seen']}: {finding.sentence(lang)}",
                f"   {words['mend']}: {finding.mend(lang)}",
            ]
            if finding.overrides:
                lines.append(f"   {words['try']}: {finding.options()}")
        if self.examination.skipped:
            shown = "; ".join(f"{name} ({why})" for name, why in self.examination.skipped.items())
            lines += ["", f"{words['skipped']}: {shown}"]
        return lines

    def to_json(self) -> dict[str, Any]:
        """All figures and findings, as JSON values."""
        found = self.examination
        measured = {
            name: getattr(found, name) for name in Examination.__dataclass_fields__ if name not in ("trials", "skipped")
        }
        trials = {
            name: {"first": one.first, "last": one.last, "updates": len(one.rows), "fault": one.fault}
            for name, one in found.trials.items()
        }
        values = {
            "model": self.patient.name,
            "findings": [
                {
                    "name": one.name,
                    "severity": one.severity,
                    "figures": one.figures,
                    "overrides": one.overrides,
                    "en": {"title": one.title(), "seen": one.sentence(), "mend": one.mend()},
                    "zh": {"title": one.title("zh"), "seen": one.sentence("zh"), "mend": one.mend("zh")},
                }
                for one in self.findings
            ],
            "measured": measured,
            "trials": trials,
            "skipped": found.skipped,
        }
        return dict(json_values(values))

    def mended(self) -> tuple[RunConfig, dict[str, Any]]:
        """The run's options with all mends, and those mends; of two for one option, the first finding's counts."""
        overrides: dict[str, Any] = {}
        for finding in self.findings:
            overrides |= {key: value for key, value in finding.overrides.items() if key not in overrides}
        sections = {key.removesuffix("kind") for key in overrides if key.endswith(".kind")}
        # another kind of a section knows nothing of the options of the old one
        for section in sections:
            overrides = {
                key: v for key, v in overrides.items() if not key.startswith(section) or key == f"{section}kind"
            }
        return override(self.patient.config, overrides), overrides

    def write(self, folder: Path, lang: str = "en") -> Path:
        """Write report.html, diagnosis.json and, where TensorBoard is installed, event files; the page's path.

        Raises:
            OutputError: the folder can't be written.
        """
        require_writable(folder)
        page = folder / "report.html"
        write_text(page, render(self.patient, self.examination, self.findings, lang))
        write_json(folder / "diagnosis.json", self.to_json())
        write_events(folder / "tensorboard", self.examination)
        return page

    def apply(self, path: Path) -> dict[str, Any]:
        """Write a run file with the mends; what was changed. Without any there is no file.

        Raises:
            OutputError: the file is there already, or can't be written.
        """
        require_new(path, "--apply")
        config, overrides = self.mended()
        if not overrides:
            return {}
        head = "".join(f"# {finding.title()}: {finding.options() or finding.mend()}\n" for finding in self.findings)
        write_text(path, head + to_yaml(config))
        return overrides


def diagnose(
    patient: Patient, *, updates: int | None = None, seconds: float = 10.0, say: Callable[[str], None] = lambda _: None
) -> Diagnosis:
    """Look at a model on its data, and name what is wrong.

    Args:
        patient: from `of_run` or `of_config`, or made of a model of your own.
        updates: of the short trainings; None: as many as go into `seconds`, 20 to 300.
        seconds: what one short training may take.
        say: where sentences for the person who waits go.
    """
    number = affordable(patient, seconds) if updates is None else updates
    looked_at, examination = examine(patient, number, say)
    return Diagnosis(looked_at, examination, tuple(findings(looked_at, examination)))
