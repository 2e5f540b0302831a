"""Floor 9: named starting points; a recipe is a function that returns a RunConfig."""

from collections.abc import Callable, Mapping
from typing import Any

from recurra.core.errors import ConfigError, did_you_mean
from recurra.finetuning import FinetuneConfig, with_adapters
from recurra.recipes.anomaly import anomaly_alarms, anomaly_autoencoder, anomaly_detection
from recurra.recipes.classification import generative_classifier, text_classifier, text_classifier_small
from recurra.recipes.finetuning import (
    finetune_classifier,
    finetune_further,
    finetune_generative,
    with_language_models,
)
from recurra.recipes.forecasting import forecast, forecast_long, forecast_sampled, forecast_seasonal
from recurra.recipes.language import char_lm, char_lm_large, chinese_lm, word_lm
from recurra.recipes.problems import adding_problem, anbn, copy_memory, dyck, parity
from recurra.recipes.question_answering import question_answering
from recurra.recipes.series import crnn, lstm_fcn, series_classifier, series_ensemble, series_regressor
from recurra.recipes.story_questions import story_questions
from recurra.recipes.summarisation import summarisation
from recurra.recipes.tagging import ner, ner_zh, tagger
from recurra.recipes.translation import translation, translation_small
from recurra.runs import RunConfig, override

RECIPES: dict[str, Callable[[], RunConfig]] = {
    "char-lm": char_lm,
    "char-lm-large": char_lm_large,
    "word-lm": word_lm,
    "chinese-lm": chinese_lm,
    "text-classifier": text_classifier,
    "text-classifier-small": text_classifier_small,
    "generative-classifier": generative_classifier,
    "tagger": tagger,
    "ner": ner,
    "ner-zh": ner_zh,
    "question-answering": question_answering,
    "story-questions": story_questions,
    "translation": translation,
    "translation-small": translation_small,
    "summarisation": summarisation,
    "forecast": forecast,
    "forecast-long": forecast_long,
    "forecast-seasonal": forecast_seasonal,
    "forecast-sampled": forecast_sampled,
    "lstm-fcn": lstm_fcn,
    "series-ensemble": series_ensemble,
    "series-classifier": series_classifier,
    "crnn": crnn,
    "series-regressor": series_regressor,
    "anomaly-detection": anomaly_detection,
    "anomaly-alarms": anomaly_alarms,
    "anomaly-autoencoder": anomaly_autoencoder,
    "adding-problem": adding_problem,
    "copy-memory": copy_memory,
    "dyck": dyck,
    "parity": parity,
    "anbn": anbn,
}
FINETUNE_RECIPES: dict[str, dict[str, Callable[[FinetuneConfig, RunConfig, RunConfig | None], RunConfig]]] = {
    "text-classification": {"text-classifier": finetune_classifier, "generative-classifier": finetune_generative},
}
"""From a language model to another task, by task and model; a task's first model is its default."""
READING_RECIPES = {"tagging": "tagger", "question-answering": "question-answering"}
"""Tasks whose words language models can read along, with the recipe that is taken where none is named."""


def recipe(name: str, **overrides: Any) -> RunConfig:
    """The config of a recipe, with dotted options changed: recipe("char-lm", **{"model.hidden_size": 512}).

    Raises:
        ConfigError: no such recipe or option.
    """
    if name not in RECIPES:
        raise ConfigError(f"no recipe `{name}`.{did_you_mean(name, RECIPES)}")
    return override(RECIPES[name](), overrides)


def finetune_recipe(
    start: str,
    pretrained: RunConfig,
    task: str | None,
    overrides: Mapping[str, Any],
    *,
    backward: RunConfig | None = None,
    base: str | None = None,
) -> RunConfig:
    """The config that fine-tunes a saved model.

    Args:
        start: its folder.
        pretrained: its config.
        task: what the new model is to do; None: that of `base`, else text classification after a language model, else
            the model's own.
        overrides: dotted options; `model` or `model.kind` chooses among the task's models.
        backward: config of the language model at `finetune.backward`, if that is given.
        base: the recipe that language models join, for tagging and question answering.
    Raises:
        ConfigError: no such task, model, recipe or option.
    """
    own = pretrained.task.kind
    if task is None:
        fallback = "text-classification" if own == "language-modelling" else own
        task = fallback if base is None else recipe(base).task.kind
    config = _finetuned(start, pretrained, task, overrides, backward, base)
    if overrides.get("finetune.method.kind", overrides.get("finetune.method")) == "adapters":
        config = config.model_copy(update={"model": with_adapters(config.model)})
    if "training.epochs" in overrides:  # whoever says how many gets as many
        config = config.model_copy(update={"training": config.training.model_copy(update={"min_updates": 0})})
    return override(config, overrides)


def _finetuned(
    start: str,
    pretrained: RunConfig,
    task: str,
    overrides: Mapping[str, Any],
    backward: RunConfig | None,
    base: str | None,
) -> RunConfig:
    own = pretrained.task.kind
    paths = FinetuneConfig(start=start, backward=overrides.get("finetune.backward"))
    if base is not None and (task not in READING_RECIPES or recipe(base).task.kind != task):
        fitting = ", ".join(name for name, make in RECIPES.items() if make().task.kind in READING_RECIPES)
        raise ConfigError(f"--recipe {base}: a recipe of tagging or question answering is wanted there ({fitting}).")
    if task == own:
        return finetune_further(paths, pretrained)
    if own != "language-modelling":
        kind = pretrained.model.kind
        raise ConfigError(
            f"{start}: a model of {own} ({kind}), and fine-tuning for another task starts from a language model."
        )
    if task in READING_RECIPES:
        config = recipe(base or READING_RECIPES[task])
        return with_language_models(config, paths, pretrained, backward)
    if task not in FINETUNE_RECIPES:
        known = [*FINETUNE_RECIPES, *READING_RECIPES, own]
        raise ConfigError(f"no task `{task}` to fine-tune for.{did_you_mean(task, known)}")
    models = FINETUNE_RECIPES[task]
    kind = overrides.get("model.kind", overrides.get("model", next(iter(models))))
    if kind not in models:
        raise ConfigError(f"task {task} has no model `{kind}` to fine-tune.{did_you_mean(str(kind), models)}")
    return models[kind](paths, pretrained, backward)


__all__ = ["FINETUNE_RECIPES", "READING_RECIPES", "RECIPES", "finetune_recipe", "recipe"]
