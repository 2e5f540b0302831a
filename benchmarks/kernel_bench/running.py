"""A process for each peer, and the report of a table."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from . import environment
from .cases import Settings
from .clock import CLOCKS, background_share, say
from .contest import complaints
from .markdown import head
from .peers import PACKAGES, PEERS, load
from .tables import TABLES

COMMAND = environment.ROOT / "benchmarks" / "kernels.py"
RESULTS = environment.ROOT / "benchmarks" / "results"
_IDLE_SHARE = 0.02


def run_table(name: str, peers: list[str], settings: Settings, isa: str, folder: Path | None) -> bool:
    """Measure one table and print it.

    Args:
        name: of the table.
        peers: those of the table that are wanted.
        settings: how to measure.
        isa: of `environment.ISAS`.
        folder: where the results go; None writes none.
    Returns:
        Whether every peer's process ended well and all numbers agreed; a missing package is no failure.
    """
    reports = {
        peer: _spawn({"table": name, "peer": peer, "settings": settings.to_dict(), "isa": isa}) for peer in peers
    }
    done = {peer: report for peer, report in reports.items() if "rows" in report}
    notes = [f"{peer}: {report['reason']}" for peer, report in reports.items() if "reason" in report]
    notes += [
        f"{peer}: idle, its process burns {100 * report['background']:.0f} % of a core"
        for peer, report in done.items()
        if report["background"] > _IDLE_SHARE
    ]
    if settings.threads > 1:
        loads = [report["environment"]["load"][0] for report in done.values() if report["environment"]["load"]]
        notes += [f"load average {load} at the start: not quiet, wall times say little" for load in loads if load > 1]
    wrong = [f"{peer}: {text}" for peer, report in done.items() for text in complaints(report["rows"])]
    if done:
        machine = _merged([report["environment"] for report in done.values()])
        body = TABLES[name].render({peer: report["rows"] for peer, report in done.items()}, machine)
        text = head(name, machine, settings.to_dict(), [*notes, *wrong]) + "\n" + body + "\n"
        print(text, flush=True)
        if folder is not None:
            file_name = f"kernels-{name}-{machine['isa']}" + (f"-{settings.threads}t" if settings.threads > 1 else "")
            _write(folder / file_name, text, {"table": name, "notes": notes, "peers": done})
    else:
        print("\n".join([f"# Kernels: {name}", "", *(f"- {note}" for note in notes)]))
    return bool(done) and not wrong and not any(report.get("failed") for report in reports.values())


def work(job: dict[str, Any]) -> None:
    """What a peer's process does; the result goes into the file `job["result"]`."""
    settings, peer = Settings.from_dict(job["settings"]), job["peer"]
    try:
        module = load(peer)
    except ModuleNotFoundError as error:
        if error.name not in PACKAGES:
            raise
        report: dict[str, Any] = {"reason": f"not installed ({error}); pip install 'recurra[bench]'"}
    else:
        import torch

        torch.set_num_threads(settings.threads)
        clock = PEERS[peer].clock if settings.threads == 1 else "wall"
        machine = environment.describe(job["isa"])
        machine["peaks_gflops"] = environment.peaks(CLOCKS[clock], peer, module)
        rows = TABLES[job["table"]].measure(peer, settings, clock)
        report = {"rows": rows, "settings": job["settings"], "environment": machine, "background": background_share()}
    Path(job["result"]).write_text(json.dumps(report), encoding="utf-8")


def _spawn(job: dict[str, Any]) -> dict[str, Any]:
    """Run `work` in a process whose environment was set before any import."""
    peer = PEERS[job["peer"]]
    say(f"{job['table']}, {job['peer']}")
    given = {**os.environ, **environment.variables(job["settings"]["threads"], job["isa"]), **peer.environment}
    if job["isa"] == "avx2":
        given["XLA_FLAGS"] += f" {peer.avx2_flags}"
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "result.json")
        text = json.dumps({**job, "result": str(result)})
        code = subprocess.run([sys.executable, str(COMMAND), "--worker", text], env=given, check=False).returncode
        if code != 0 or not result.exists():
            return {"reason": f"its process failed with code {code}", "failed": True}
        found = json.loads(result.read_text(encoding="utf-8"))
    if "environment" in found:
        found["environment"]["command"] = environment.command()
    return found


def _merged(machines: list[dict[str, Any]]) -> dict[str, Any]:
    """The first process's, with the peaks of all: torch's is that of the first."""
    peaks: dict[str, float] = {}
    for machine in machines:
        peaks = machine["peaks_gflops"] | peaks
    return {**machines[0], "peaks_gflops": peaks}


def _write(path: Path, text: str, raw: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_name(path.name + ".md").write_text(text, encoding="utf-8")
    path.with_name(path.name + ".json").write_text(json.dumps(raw, indent=1) + "\n", encoding="utf-8")
    say(f"written: {path}.md and .json")
