"""What `find-rate` does."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from recurra.cli.app import RunFlags
from recurra.cli.finding_rate import RateFlags
from recurra.cli.running import collect, finetuning_config, named_config, speaker
from recurra.core.errors import ConfigError
from recurra.core.files import require_new, write_text
from recurra.runs import Run, pictures
from recurra.runs.rates import find_rate, rate_page


def run_find_rate(name: str, task: str | None, overrides: Sequence[str], rates: RateFlags, flags: RunFlags) -> None:
    """Find the rate, draw the curve, print the rate, and what to type next."""
    given = collect(overrides, flags)
    saved = Path(name).is_dir()
    if task is not None and not saved:
        raise ConfigError("--task is for a saved model that is to be fine-tuned: name its folder.")
    config = finetuning_config(name, task, None, given) if saved else named_config(name, given)
    path = Path(rates.plot or f"runs/{Path(name).stem}-rate.html")
    if rates.plot is not None:
        require_new(path, "--plot")
    page = path.suffix.lower() in (".html", ".htm")
    if not page:
        pictures.require_drawing(path)

    say = speaker(flags.quiet)
    run = Run(config=config, out=Path("."), quiet=flags.quiet, say=say)
    curve = find_rate(run, rates.updates, (rates.lowest, rates.highest))
    if page:
        write_text(path, rate_page(curve, f"{Path(name).stem}: {config.optimizer.kind}", rates.lang))
    else:
        pictures.draw_rates(curve, path)
    say(f"loss at each rate: {path}")
    words = ["recurra", "finetune" if saved else "train", name, *([] if task is None else ["--task", task])]
    files = [
        f"--data.{part} {shlex.quote(str(value))}" for part, value in vars(flags.data).items() if value is not None
    ]
    say(f"next: {shlex.join([*words, *overrides])} {' '.join([*files, ''])}optimizer.learning_rate={curve.suggested:g}")
    if flags.json:
        print(json.dumps({"suggested": curve.suggested, "plot": str(path), **asdict(curve)}))
    else:
        print(f"{curve.suggested:g}")
