"""What `diagnose` does."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

from recurra.cli.app import DataFlags, RunFlags
from recurra.cli.running import collect, named_config, named_folder, speaker
from recurra.core.errors import ConfigError
from recurra.core.files import require_new
from recurra.diagnosis import Patient
from recurra.diagnosis import diagnose as examine
from recurra.diagnosis.patient import of_config, of_run
from recurra.diagnosis.wording import WORDS


def run_diagnose(
    what: str,
    overrides: Sequence[str],
    data: DataFlags,
    apply: str | None,
    lang: str,
    out: str | None,
    seconds: float,
    *,
    as_json: bool,
    quiet: bool,
) -> None:
    """Diagnose, print the verdict, write the page, and the mends where they are asked for."""
    if seconds <= 0:
        raise ConfigError(f"--seconds {seconds:g}: more than 0 is wanted.")
    if apply is not None and not apply.endswith((".yaml", ".yml")):
        raise ConfigError(f"--apply {apply}: a run file is wanted, whose name ends in .yaml.")
    if apply is not None:
        require_new(Path(apply), "--apply")
    folder, say, words = _folder(what, out), speaker(quiet), WORDS[lang]
    with tempfile.TemporaryDirectory(prefix="recurra-diagnosis-") as cache:
        patient = _patient(what, overrides, data, Path(cache))
        diagnosis = examine(patient, seconds=seconds, say=say)
    print(json.dumps(diagnosis.to_json(), ensure_ascii=False) if as_json else "\n".join(diagnosis.lines(lang)))
    page = diagnosis.write(folder, lang)
    changed = diagnosis.apply(Path(apply)) if apply is not None else {}
    say("\n" + words["wrote"].format(page))
    if apply is not None:
        say(words["applied" if changed else "nothing"].format(apply))


def _patient(what: str, overrides: Sequence[str], data: DataFlags, cache: Path) -> Patient:
    given = collect(overrides, RunFlags(data=data))
    if Path(what).is_dir():
        return of_run(Path(what), given, cache)
    if "/" in what and not what.endswith((".yaml", ".yml")):
        raise ConfigError(f"{what}: no such folder. Give that of a run, or a recipe or run file (.yaml).")
    return of_config(what, named_config(what, given), cache)


def _folder(what: str, out: str | None) -> Path:
    if out is not None:
        return named_folder(out)
    return Path(what) / "diagnosis" if Path(what).is_dir() else Path("runs", f"diagnosis-{Path(what).stem}")
