"""Floor 8: named starting points; a recipe is a function that returns a RunConfig."""

from collections.abc import Callable
from typing import Any

from recurra.core.errors import ConfigError, did_you_mean
from recurra.recipes.classification import text_classifier, text_classifier_small
from recurra.recipes.finetuning import finetune_classifier, finetune_language_model
from recurra.recipes.language import char_lm, char_lm_large, word_lm
from recurra.runs import RunConfig, override

RECIPES: dict[str, Callable[[], RunConfig]] = {
    "char-lm": char_lm,
    "char-lm-large": char_lm_large,
    "word-lm": word_lm,
    "text-classifier": text_classifier,
    "text-classifier-small": text_classifier_small,
}
FINETUNE_RECIPES: dict[str, Callable[[str, RunConfig], RunConfig]] = {
    "text-classification": finetune_classifier,
    "language-modelling": finetune_language_model,
}



def recipe(name: str, **overrides: Any) -> RunConfig:
    """The config of a recipe, with dotted options changed: recipe("char-lm", **{"model.hidden_size": 512}).

    Raises:
        ConfigError: no such recipe or option.
    """
    if name not in RECIPES:
        raise ConfigError(f"no recipe `{name}`.{did_you_mean(name, RECIPES)}")
    return override(RECIPES[name](), overrides)


__all__ = ["FINETUNE_RECIPES", "RECIPES", "recipe"]
