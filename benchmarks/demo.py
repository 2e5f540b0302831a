"""The demo over several seeds: does fine-tuning beat scratch and naive Bayes on average?

python benchmarks/demo.py [--seeds 0 1 2] [--out runs/demo-seeds]
"""

from __future__ import annotations

import argparse
import importlib
import json
import statistics
import sys
from pathlib import Path


def main() -> None:
    """Run the demo once a seed and print means and deviations; the last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("runs/demo-seeds"))
    given = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "examples"))
    demo = importlib.import_module("demo")
    rows = [row for seed in given.seeds for row in demo.run(given.out / str(seed), seed)]
    found = {}
    for name in ("naive-bayes", "scratch", "finetuned"):
        own = [row for row in rows if row["name"] == name]
        found[name] = {
            tag: [round(statistics.mean(row[tag] for row in own), 4), round(_deviation([row[tag] for row in own]), 4)]
            for tag in ("accuracy", "macro_f1", "seconds")
        }
        print(f"{name:<12} " + "  ".join(f"{tag} {mean} +- {dev}" for tag, (mean, dev) in found[name].items()))
    print(json.dumps({"seeds": given.seeds, "rows": rows, "mean_and_deviation": found}))


def _deviation(values: list[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0


if __name__ == "__main__":
    main()
