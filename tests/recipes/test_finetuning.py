"""Configs of fine-tuning: what is taken over from the pretrained run, and what is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from recurra.core.errors import ConfigError, DataError
from recurra.data import DataConfig
from recurra.recipes import RECIPES, finetune_recipe
from recurra.runs import override
from recurra.tasks import Preparation, TextClassification, TextClassificationConfig

DATA = {
    "data.train": "old.csv",
    "data.valid": "old-dev.csv",
    "data.test": "old-test.csv",
    "data.text_column": "review",
}


@pytest.mark.parametrize("name", ["word-lm", "text-classifier", "tagger", "question-answering", "crnn"])
def test_further_training_reads_files_in_the_same_way_but_not_the_same_files(name: str) -> None:
    pretrained = override(RECIPES[name](), DATA)
    given = {"data.train": "new.csv"}
    config = finetune_recipe("runs/old", pretrained, pretrained.task.kind, given)
    assert (config.data.train, config.data.valid, config.data.test) == ("new.csv", None, None)
    assert config.data.text_column == "review" and config.task == pretrained.task
    assert config.optimizer.learning_rate == pretrained.optimizer.learning_rate / 4
    named = finetune_recipe("runs/old", pretrained, pretrained.task.kind, {**given, "data.valid": "new-dev.csv"})
    assert named.data.valid == "new-dev.csv"


def test_who_names_the_epochs_gets_no_more() -> None:
    pretrained = RECIPES["word-lm"]()
    assert finetune_recipe("runs/lm", pretrained, None, {}).training.min_updates > 0
    training = finetune_recipe("runs/lm", pretrained, None, {"training.epochs": 2}).training
    assert (training.epochs, training.min_updates) == (2, 0)


@pytest.mark.parametrize(("name", "dropped", "grams"), [("word-lm", 0.2, 2), ("char-lm", 0.0, 4)])
def test_a_classifier_drops_words_but_no_characters(name: str, dropped: float, grams: int) -> None:
    config = finetune_recipe("runs/lm", RECIPES[name](), None, {})
    assert config.task.augmentation.word_dropout == dropped
    assert config.model.naive_bayes == grams


def test_another_task_starts_from_a_language_model() -> None:
    with pytest.raises(ConfigError, match=r"runs/old: a model of tagging .*starts from a language model"):
        finetune_recipe("runs/old", RECIPES["tagger"](), "text-classification", {"data.train": "new.csv"})


def test_labels_that_the_model_does_not_know_are_named_with_their_place(tmp_path: Path) -> None:
    def prepared(label: str, fitted: TextClassification | None) -> TextClassification:
        (tmp_path / f"{label}.csv").write_text("text,label\n" + "".join(f"a b {n},{label}\nc d,x\n" for n in range(20)))
        data = DataConfig(train=str(tmp_path / f"{label}.csv"))
        given = Preparation(data=data, seed=0, cache=tmp_path, fitted=fitted)
        task = TextClassification.prepare(TextClassificationConfig(), given).task
        assert isinstance(task, TextClassification)
        return task

    with pytest.raises(DataError, match=r"z\.csv:\d+: label 'z' is not one that the model was trained on"):
        prepared("z", prepared("y", None))
