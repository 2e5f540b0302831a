"""Whole layers at seven shapes, against every peer: peer's time / ours."""

from __future__ import annotations

from ..cases import Problem, Settings, cases
from ..contest import Race, milliseconds, ratio, run_races
from ..markdown import number, table
from ..peers import PEERS, load, torch_layers


def measure(peer: str, settings: Settings, clock: str) -> list[dict]:
    """Ours, torch.nn and the peer, alternating."""
    module = load(peer)
    modes = [mode for mode in settings.modes if mode == "inference" or PEERS[peer].trains]
    races = []
    for case in cases(settings):
        problem = Problem(case)
        contestants = [torch_layers.build_ours(problem), torch_layers.build(problem, settings)]
        if peer != "torch":
            contestants.append(module.build(problem, settings))
        races += [Race(case.labels, mode, contestants, case.flops(mode)) for mode in modes]
    return run_races(races, settings, clock)


def render(results: dict[str, list[dict]], environment: dict) -> str:
    """The row by row comparison with torch.nn, then one line of ratios for each peer."""
    parts = []
    if results.get("torch"):
        peak = environment["peaks_gflops"]["torch"]
        parts += ["## torch.nn / recurra", "", _against_torch(results["torch"], peak), ""]
    lines = [line for peer, rows in results.items() for line in _lines(peer, rows)]
    shapes = list(dict.fromkeys(row["labels"]["shape"] for rows in results.values() for row in rows))
    parts += ["## Every peer's time / recurra's, each in its own process", ""]
    parts.append(table(["peer", "cell", "mode", *shapes], [_cells(line, shapes) for line in lines]))
    return "\n".join(parts)


def _against_torch(rows: list[dict], peak: float) -> str:
    head = [
        "cell",
        "(T,B,I,H)",
        "mode",
        "torch ms",
        "recurra ms",
        "ratio",
        "of minima",
        "rounds",
        "GF/s",
        "of torch's product",
    ]
    lines = []
    for row in rows:
        ours, rounds = milliseconds(row, "recurra"), row["rounds"]
        speed = None if ours is None else row["flops"] / ours / 1e6
        each = [samples["torch"]["median"] / samples["recurra"]["median"] for samples in rounds]
        lines.append(
            [
                row["labels"]["cell"],
                row["labels"]["shape"],
                row["mode"],
                number(milliseconds(row, "torch"), 3),
                number(ours, 3),
                number(ratio(row, "torch", "recurra"), 2),
                number(ratio(row, "torch", "recurra", "minimum"), 2),
                f"{min(each):.2f}-{max(each):.2f}" if each else row["complaint"],
                number(speed, 1),
                "" if speed is None else f"{100 * speed / peak:.0f} %",
                row["paths"]["recurra"],
            ]
        )
    return table([*head, "path"], lines)


def _lines(peer: str, rows: list[dict]) -> list[dict]:
    """One dict of shape -> ratio for each cell and mode, by name."""
    found: dict[tuple[str, str], dict] = {}
    for row in rows:
        key = row["labels"]["cell"], row["mode"]
        line = found.setdefault(key, {"peer": peer, "cell": key[0], "mode": key[1]})
        value = ratio(row, peer, "recurra")
        agreement = "disagrees" if row["complaint"] else "agrees"
        line[row["labels"]["shape"]] = agreement if value is None else number(value, 2)
    return list(found.values())


def _cells(line: dict, shapes: list[str]) -> list[str]:
    return [line["peer"], line["cell"], line["mode"], *(line.get(shape, "") for shape in shapes)]
