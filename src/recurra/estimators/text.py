"""Estimators for text."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from recurra.core.errors import DataError
from recurra.estimators.base import Estimator
from recurra.recipes import finetune_recipe
from recurra.runs import load
from recurra.tasks import require_texts


class TextClassifier(Estimator):
    """A text classifier: `TextClassifier().fit(texts, labels).predict(texts)`.

    Attributes:
        model_: the trained SavedModel, once fitted.
        classes_: (num_labels,) label names, once fitted, as they were given.
    """

    _estimator_type = "classifier"

    def __init__(
        self,
        recipe: str = "text-classifier",
        start: str | None = None,
        epochs: int | None = None,
        seed: int = 0,
        options: dict[str, Any] | None = None,
        verbose: bool = False,
    ) -> None:
        """Choose how to train.

        Args:
            recipe: a text classification recipe; not used with `start`.
            start: folder of a saved language model to fine-tune.
            epochs: overrides the recipe's.
            seed: same seed, same numbers.
            options: further dotted options, for example {"model.hidden_size": 64}.
            verbose: print what happens.
        """
        super().__init__(recipe, epochs, seed, options, verbose)
        self.start = start

    def fit(self, texts: Sequence[str], labels: Sequence[Any]) -> Self:
        """Train; a tenth of the rows is held out to choose the best epoch.

        Args:
            texts: the texts.
            labels: one a text; a list of labels a text makes a multi-label classifier.
        """
        if len(texts) != len(labels):
            raise DataError(f"fit got {len(texts)} texts and {len(labels)} labels: one label a text is wanted.")
        require_texts(texts)
        for number, label in enumerate(labels):
            if label is None or isinstance(label, np.ndarray) or (isinstance(label, float) and math.isnan(label)):
                raise DataError(f"label {number} is {label!r}: a name or number, or a list of them, is wanted.")
        several = any(isinstance(label, list | tuple | set) for label in labels)
        self._types = {} if several else {str(label): label for label in labels}
        rows = "".join(
            json.dumps({"text": text, "label": "\n".join(map(str, label)) if several else str(label)}) + "\n"
            for text, label in zip(texts, labels, strict=True)
        )
        config = None
        if self.start is not None:
            config = finetune_recipe(self.start, load(self.start).config, "text-classification", {})
        overrides: dict[str, Any] = {"data.text_column": "text", "data.label_column": "label"}
        if several:
            overrides |= {"task.multi_label": True, "task.label_separator": "\n"}
        self._fit(rows, ".jsonl", overrides, config=config)
        self.classes_ = np.array([self._types.get(name, name) for name in self.model_.labels])
        return self

    def predict(self, texts: Sequence[str]) -> np.ndarray | list[list[str]]:
        """The labels, of the type that was given to `fit`; lists of labels for a multi-label classifier."""
        found = self._fitted().predict(texts)
        return np.array([self._types[name] for name in found]) if self._types else found

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        """(N, num_labels) probabilities, in the order of `classes_`."""
        return self._fitted().predict_proba(texts)

    def score(self, texts: Sequence[str], labels: Sequence[Any]) -> float:
        """Accuracy (for several labels a text: of the whole set)."""
        return self._fitted().evaluate_items(list(texts), list(labels))["accuracy"]


class LanguageModel(Estimator):
    """A language model: `LanguageModel().fit(text).generate("Once")`.

    Attributes:
        model_: the trained SavedModel, once fitted.
    """

    def __init__(
        self,
        recipe: str = "char-lm",
        epochs: int | None = None,
        seed: int = 0,
        options: dict[str, Any] | None = None,
        verbose: bool = False,
    ) -> None:
        """Choose how to train.

        Args:
            recipe: a language model recipe.
            epochs: overrides the recipe's.
            seed: same seed, same numbers.
            options: further dotted options.
            verbose: print what happens.
        """
        super().__init__(recipe, epochs, seed, options, verbose)

    def fit(self, text: str | Sequence[str], y: None = None) -> Self:
        """Train on one text, or on several documents; the last tenth is held out to choose the best epoch.

        Args:
            text: running text, or documents (none of which may hold a blank line).
            y: nothing; scikit-learn passes it.
        """
        documents = [text] if isinstance(text, str) else list(text)
        require_texts(documents)
        overrides = {"data.documents": "paragraph"} if len(documents) > 1 else {}
        return self._fit("\n\n".join(documents), ".txt", overrides)

    def generate(self, prompt: str = "", **sampling: Any) -> str:
        """Continue a prompt; see `SavedModel.generate`."""
        return self._fitted().generate(prompt, **sampling)

    def score(self, texts: str | Sequence[str], y: None = None) -> float:
        """Mean log-probability of a token, in nats: greater is better."""
        documents = [texts] if isinstance(texts, str) else list(texts)
        return -self._fitted().evaluate_items(documents)["nats"]
