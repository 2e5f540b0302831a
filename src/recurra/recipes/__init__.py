"""Floor 8: named starting points; a recipe is a function that returns a RunConfig."""

from collections.abc import Callable

from recurra.recipes.classification import text_classifier, text_classifier_small
from recurra.recipes.finetuning import finetune_classifier, finetune_language_model
from recurra.recipes.language import char_lm, word_lm
from recurra.runs import RunConfig

RECIPES: dict[str, Callable[[], RunConfig]] = {
    "char-lm": char_lm,
    "word-lm": word_lm,
    "text-classifier": text_classifier,
    "text-classifier-small": text_classifier_small,
}
FINETUNE_RECIPES: dict[str, Callable[[str, RunConfig], RunConfig]] = {
    "text-classification": finetune_classifier,
    "language-modelling": finetune_language_model,
}

__all__ = ["FINETUNE_RECIPES", "RECIPES"]
