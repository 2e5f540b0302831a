"""The learning-rate finder: the rate rises from update to update, and the loss shows what each rate is good for.

Source: Smith (2017), section 3.3, https://arxiv.org/abs/1506.01186. Where the loss falls, the suggestion is the rate at
which it falls fastest over the rate's logarithm, and at most a tenth of the rate at which it is lowest. Where so few
updates teach nothing, as with labels of whole texts, it is a tenth of the largest rate that does no harm.
"""

from __future__ import annotations

import contextlib
import math
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from recurra.core.errors import ConfigError, DataError, NonFiniteError
from recurra.data import Splits
from recurra.runs.axes import escape, smooth
from recurra.runs.charts import Series, line_chart
from recurra.runs.config import RunConfig, override
from recurra.runs.page import card, document, figure, section, table
from recurra.runs.stage import Run
from recurra.runs.train import prepare, rehearse
from recurra.training import read_metrics

_WINDOWS = 15
"""The smoothed loss is the mean over this part of the updates."""
_NOISE = 6.0
"""The lowest of many noisy means lies so many deviations below one of them at most."""
_LEAST = 20
_WORDS = {
    "en": {
        "html": "en",
        "rate": "learning rate",
        "loss": "Loss at rising learning rates",
        "batch": "of one batch",
        "smoothed": "smoothed",
        "suggested": "suggested",
        "lowest": "lowest loss",
        "note": "Left of the mark the weights move too little, right of it soon too much.",
    },
    "zh": {
        "html": "zh-CN",
        "rate": "学习率",
        "loss": "学习率逐步升高时的损失",
        "batch": "单个批次",
        "smoothed": "平滑后",
        "suggested": "建议值",
        "lowest": "损失最低处",
        "note": "虚线左侧权重变化太小，右侧很快就会变化过大。",
    },
}
_RANGES = {"sgd": (1e-3, 100.0)}
_RANGE = (1e-5, 1.0)


@dataclass(frozen=True)
class RateCurve:
    """What was found.

    Attributes:
        rates: of the topmost layers, rising.
        losses: of one batch each.
        smoothed: the same, a running mean.
        lowest: the rate with the lowest smoothed loss.
        suggested: the rate to train with.
    """

    rates: list[float]
    losses: list[float]
    smoothed: list[float]
    lowest: float
    suggested: float


def find_rate(run: Run, updates: int, bounds: tuple[float | None, float | None] = (None, None)) -> RateCurve:
    """Train with rising rates in a folder that is thrown away.

    Args:
        run: what is to be trained; its folder is not written to.
        updates: how many.
        bounds: lowest and highest rate; None is one that suits the optimizer.
    Raises:
        ConfigError: bounds that do not rise; too few updates.
        DataError: the loss is finite at too few rates.
    """
    kind = run.config.optimizer.kind
    low, high = (given or usual for given, usual in zip(bounds, _RANGES.get(kind, _RANGE), strict=True))
    if not 0 < low < high < math.inf:
        raise ConfigError(
            f"the rates are to rise from {low:g} to {high:g}: give --lowest below --highest, both positive and finite."
        )
    if updates < _LEAST:
        raise ConfigError(f"{updates} updates show nothing: at least {_LEAST} are wanted.")
    with tempfile.TemporaryDirectory(prefix="recurra-rates-") as folder:
        trial = replace(run, config=_rising(run.config, updates, low, high), out=Path(folder, "run"))
        prepared = prepare(replace(trial, out=Path(folder, "data")))
        alone = replace(prepared, splits=Splits(prepared.splits.train, None, None))
        with contextlib.suppress(NonFiniteError):  # the curve ends where the loss overflows
            rehearse(replace(trial, prepared=alone))
        rows = [row for row in read_metrics(Path(folder, "run", "metrics.jsonl")) if row["kind"] == "train"]
    return read_curve([row["learning_rate"] for row in rows], [row["loss"] for row in rows])


def read_curve(rates: list[float], losses: list[float]) -> RateCurve:
    """The suggestion that losses at rising rates make.

    Raises:
        DataError: there are too few of them.
    """
    if len(losses) < _LEAST:
        raise DataError(
            f"the loss became infinite after {len(losses)} updates, at a rate of {rates[-1] if rates else 0:g}. "
            "Give a smaller --lowest and --highest."
        )
    window = max(3, len(losses) // _WINDOWS)
    smoothed = np.array([y for _, y in smooth(list(enumerate(losses)), window)])
    # of the smoothed loss, if the single ones are normal; the median forgives those at rates that are far too high
    noise = 1.48 * float(np.median(np.abs(np.array(losses) - smoothed))) / window**0.5
    lowest = int(smoothed.argmin())
    fallen = float(smoothed[0] - smoothed[lowest])
    risen = smoothed > smoothed[lowest] + max(_NOISE * noise, fallen)
    end = next((at for at in range(lowest, len(losses)) if risen[at]), len(losses))
    if fallen > _NOISE * noise and lowest > 1:
        slopes = np.gradient(smoothed[: lowest + 1], np.log(rates[: lowest + 1]))
        suggested = min(rates[int(slopes.argmin())], rates[lowest] / 10)
    else:
        good = [at for at in range(end) if smoothed[at] <= smoothed[lowest] + _NOISE * noise]
        suggested = rates[max(good)] / 10
    shown = min(len(losses), end + window)
    return RateCurve(rates[:shown], losses[:shown], smoothed[:shown].tolist(), rates[lowest], _rounded(suggested))


def rate_page(curve: RateCurve, title: str, lang: str) -> str:
    """The curve as an HTML page that needs nothing else."""
    words = _WORDS[lang]
    pairs = [list(zip(curve.rates, values, strict=True)) for values in (curve.losses, curve.smoothed)]
    series = [Series(words["batch"], pairs[0], 1, "faint"), Series(words["smoothed"], pairs[1], 1)]
    chart = line_chart(series, words["rate"], words["loss"], mark=curve.suggested, log_x=True)
    legend = [(line.label, f"s1 {line.style}") for line in series] + [(words["suggested"], "mark")]
    rows = [(words["suggested"], f"{curve.suggested:g}"), (words["lowest"], f"{curve.lowest:.2g}")]
    drawn = figure("", "", chart, legend, words["note"])
    body = section(words["loss"], drawn) + section(words["rate"], card(table(("", ""), rows)))
    return document(title, words["html"], f"<header><h1>{escape(title)}</h1></header>{body}")


def _rounded(rate: float) -> float:
    """Two digits: more would claim too much."""
    return float(f"{rate:.1e}")


def _rising(config: RunConfig, updates: int, low: float, high: float) -> RunConfig:
    """The run, for so many updates whose rate rises from one to the other, and nothing else."""
    changes = {
        "optimizer.learning_rate": high,
        "optimizer.unfreeze_epochs": 0,
        "schedule": {"kind": "rising", "first": low / high},
        "training.max_updates": updates,
        "training.epochs": updates,
        "training.evaluate_every": 0,
        "training.patience": 0,
        "training.monitor": "auto",
        "training.average": "none",
        "training.tensorboard": "never",
    }
    return override(config, changes)
