"""Numbers from documents of others, and by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recurra import metrics

CASES = json.loads((Path(__file__).parents[1] / "golden" / "metrics.json").read_text(encoding="utf-8"))


def macro_f1(predictions: list[int], references: list[int]) -> float:
    confusion = metrics.confusion_matrix(predictions, references, num_classes=max(*predictions, *references) + 1)
    return float(metrics.precision_recall_f1(confusion).f1.mean())


def function_of(name: str) -> Callable[..., Any]:
    return macro_f1 if name == "macro_f1" else getattr(metrics, name)  # type: ignore[no-any-return]


@pytest.mark.parametrize("case", CASES, ids=[f"{case['metric']}-{n}" for n, case in enumerate(CASES)])
def test_golden(case: dict[str, Any]) -> None:
    np.testing.assert_allclose(function_of(case["metric"])(**case["inputs"]), case["expected"], rtol=1e-12)
