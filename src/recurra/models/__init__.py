"""Floor 5: architectures. A new model is one file and one line of MODELS."""

from typing import Any

from recurra.core.config import by_kind
from recurra.models.generative_classifier import GenerativeClassifier, GenerativeClassifierConfig
from recurra.models.language_model import LanguageModel, LanguageModelConfig
from recurra.models.text_classifier import TextClassifier, TextClassifierConfig

MODELS: dict[str, Any] = {
    "language-model": LanguageModel,
    "text-classifier": TextClassifier,
    "generative-classifier": GenerativeClassifier,
}
ModelConfig = by_kind(model.Config for model in MODELS.values())

__all__ = [
    "MODELS",
    "GenerativeClassifier",
    "GenerativeClassifierConfig",
    "LanguageModel",
    "LanguageModelConfig",
    "ModelConfig",
    "TextClassifier",
    "TextClassifierConfig",
]
