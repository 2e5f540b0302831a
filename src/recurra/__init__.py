"""recurra: recurrent neural networks on PyTorch, from equations to deployment.

Names are loaded when first used, so that `import recurra` is quick and needs no optional package.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_WHERE = {
    "AnomalyDetector": "recurra.estimators",
    "Batch": "recurra.core.batch",
    "Cell": "recurra.cells",
    "ElmanCell": "recurra.cells",
    "Forecaster": "recurra.estimators",
    "GRUCell": "recurra.cells",
    "LSTMCell": "recurra.cells",
    "LanguageModel": "recurra.estimators",
    "Recurrent": "recurra.layers",
    "RecurrentConfig": "recurra.layers",
    "RecurraError": "recurra.core.errors",
    "RunConfig": "recurra.runs",
    "SavedModel": "recurra.runs",
    "Sequences": "recurra.core.sequences",
    "SeriesClassifier": "recurra.estimators",
    "SeriesRegressor": "recurra.estimators",
    "TextClassifier": "recurra.estimators",
    "from_keras": "recurra.convert",
    "from_torch": "recurra.convert",
    "load": "recurra.runs",
    "recipe": "recurra.recipes",
    "train": "recurra.estimators",
}

if TYPE_CHECKING:
    from recurra.cells import Cell as Cell
    from recurra.cells import ElmanCell as ElmanCell
    from recurra.cells import GRUCell as GRUCell
    from recurra.cells import LSTMCell as LSTMCell
    from recurra.convert import from_keras as from_keras
    from recurra.convert import from_torch as from_torch
    from recurra.core.batch import Batch as Batch
    from recurra.core.errors import RecurraError as RecurraError
    from recurra.core.sequences import Sequences as Sequences
    from recurra.estimators import AnomalyDetector as AnomalyDetector
    from recurra.estimators import Forecaster as Forecaster
    from recurra.estimators import LanguageModel as LanguageModel
    from recurra.estimators import SeriesClassifier as SeriesClassifier
    from recurra.estimators import SeriesRegressor as SeriesRegressor
    from recurra.estimators import TextClassifier as TextClassifier
    from recurra.estimators import train as train
    from recurra.layers import Recurrent as Recurrent
    from recurra.layers import RecurrentConfig as RecurrentConfig
    from recurra.recipes import recipe as recipe
    from recurra.runs import RunConfig as RunConfig
    from recurra.runs import SavedModel as SavedModel
    from recurra.runs import load as load

__all__ = ["__version__", *_WHERE]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'recurra' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_WHERE})
