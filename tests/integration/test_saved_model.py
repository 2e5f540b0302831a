"""Train, save, load: the same numbers; prediction, generation, evaluation, estimators, fine-tuning, the run folder."""

from __future__ import annotations

import io
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import recurra
from recurra.core.errors import ConfigError, DataError, ModelFileError, OutputError
from recurra.runs import RunConfig, SavedModel
from recurra.training import read_metrics

Call = Callable[..., Any]
QUICK = {"model.hidden_size": 8, "model.embedding_dim": 6, "training.batch_size": 8, "optimizer.learning_rate": 0.02}
TEXTS = ["good cat", "", "a very long text " * 40, "bad dog", "ünknown 文 words", "fine " * 500, "x"]


@pytest.fixture(scope="module")
def classifier(classifier_run: Path) -> SavedModel:
    return recurra.load(classifier_run)


@pytest.fixture(scope="module")
def language(language_run: Path) -> SavedModel:
    return recurra.load(language_run)


def columns(path: Path) -> tuple[list[str], list[str]]:
    rows = [line.rsplit(",", 1) for line in path.read_text().splitlines()[1:]]
    return [text for text, _ in rows], [label for _, label in rows]


# -- the same numbers -----------------------------------------------------------------------------------------------


def test_what_was_trained_is_what_is_loaded(texts: Path, tmp_path: Path) -> None:
    options = {**QUICK, "data.train": str(texts / "reviews.csv"), "training.epochs": 3, "training.tensorboard": "never"}
    trained = recurra.train("text-classifier-small", tmp_path / "run", options, quiet=True)
    for folder in (tmp_path / "run", tmp_path / "run" / "model", str(tmp_path / "run")):
        loaded = recurra.load(folder)
        assert np.array_equal(loaded.predict_proba(TEXTS), trained.predict_proba(TEXTS))
        assert loaded.predict(TEXTS) == trained.predict(TEXTS)
        assert loaded.labels == trained.labels == ("neg", "pos")
        assert loaded.config == trained.config and loaded.metrics == trained.metrics
        assert not loaded.model.training


def test_saving_again_gives_the_same_files(classifier: SavedModel, classifier_run: Path, tmp_path: Path) -> None:
    classifier.save(tmp_path / "copy")
    for path in (classifier_run / "model").iterdir():
        assert (tmp_path / "copy" / path.name).read_bytes() == path.read_bytes(), path.name
    classifier.save(tmp_path / "copy")  # over a saved model, which it is
    assert recurra.load(tmp_path / "copy").predict(TEXTS) == classifier.predict(TEXTS)


def test_saving_over_something_else_is_refused(classifier: SavedModel, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("precious")
    for place in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(OutputError, match="holds something else than a saved model"):
            classifier.save(place)
    assert (tmp_path / "notes.txt").read_text() == "precious"
    (tmp_path / "empty").mkdir()
    classifier.save(tmp_path / "empty")
    assert recurra.load(tmp_path / "empty").labels == classifier.labels


def test_a_language_model_scores_the_same_after_loading(
    language: SavedModel, language_run: Path, tmp_path: Path
) -> None:
    language.save(tmp_path / "copy")
    loaded = recurra.load(tmp_path / "copy")
    assert loaded.predict(TEXTS) == language.predict(TEXTS)
    assert loaded.generate("the", seed=3, max_length=50) == language.generate("the", seed=3, max_length=50)


def test_loading_leaves_the_random_state_alone_of_what_follows(language_run: Path) -> None:
    torch.manual_seed(0)
    recurra.load(language_run).generate("the", seed=1, max_length=5)
    first = recurra.load(language_run).generate("the", seed=1, max_length=30)
    assert first == recurra.load(language_run).generate("the", seed=1, max_length=30)


# -- prediction -----------------------------------------------------------------------------------------------------


def test_predictions_keep_the_order_of_the_texts(classifier: SavedModel) -> None:
    together = classifier.predict_proba(TEXTS)
    alone = np.concatenate([classifier.predict_proba([text]) for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    backwards = classifier.predict_proba(TEXTS[::-1])
    np.testing.assert_allclose(backwards[::-1], together, atol=1e-6)


def test_probabilities_sum_to_one_and_choose_the_label(classifier: SavedModel) -> None:
    probs = classifier.predict_proba(TEXTS)
    assert probs.shape == (len(TEXTS), 2)
    np.testing.assert_allclose(probs.sum(1), 1, atol=1e-6)
    assert classifier.predict(TEXTS) == [classifier.labels[row.argmax()] for row in probs]
    for row, readable in zip(probs, classifier.predict_readable(TEXTS), strict=True):
        assert readable["probabilities"] == dict(zip(classifier.labels, map(float, row), strict=True))
        assert readable["probability"] == max(readable["probabilities"].values())


def test_no_texts_give_no_predictions(classifier: SavedModel, language: SavedModel) -> None:
    assert classifier.predict([]) == [] and classifier.predict_proba([]).shape == (0, 2)
    assert language.predict([]) == []


def test_one_text_instead_of_a_list_is_an_error(classifier: SavedModel) -> None:
    with pytest.raises(DataError, match="text 1 is None, of type NoneType: a string is wanted"):
        classifier.predict(["good cat", None])  # type: ignore[list-item]
    with pytest.raises(DataError, match=r"write predict\(\[text\]\)"):
        classifier.predict("good cat")


def test_a_language_model_has_no_classes_and_a_classifier_no_continuation(
    language: SavedModel, classifier: SavedModel
) -> None:
    with pytest.raises(ConfigError, match="has no classes; use predict"):
        language.predict_proba(["x"])
    with pytest.raises(ConfigError, match="can't generate"):
        classifier.generate("x")
    assert language.labels == ()


def test_a_language_model_says_how_likely_a_text_is(language: SavedModel) -> None:
    likely, empty, odd = language.predict(["the cat sat on a mat", "", "zzq xxv"])
    assert likely["nats"] < odd["nats"] and empty["tokens"] == 1
    assert likely["perplexity"] == pytest.approx(np.exp(likely["nats"]))
    assert likely["tokens"] == len("the cat sat on a mat") + 1  # the end of the document too


# -- generation -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("prompt", ["", "the c", "文 unknown"])
def test_generation_with_a_seed_is_reproducible_and_streams_the_same(prompt: str, language: SavedModel) -> None:
    options = {"max_length": 60, "temperature": 0.9, "top_k": 5, "top_p": 0.95, "repetition_penalty": 1.1}
    whole = language.generate(prompt, seed=5, **options)
    assert whole.startswith(prompt)
    assert whole == language.generate(prompt, seed=5, **options)
    pieces = list(language.generate_stream(prompt, seed=5, **options))
    assert prompt + "".join(pieces) == whole and len(pieces) > 1
    assert whole != language.generate(prompt, seed=6, **options)


def test_temperature_zero_needs_no_seed(language: SavedModel) -> None:
    assert language.generate("the", temperature=0, max_length=30) == language.generate(
        "the", temperature=0, max_length=30
    )


def test_generation_on_the_command_line(call: Call, language_run: Path, language: SavedModel) -> None:
    given = ("generate", language_run, "the ", "--max-length", "20", "--temperature", "0.7")
    once = call(*given, "--seed", "4")
    assert once.out == language.generate("the ", max_length=20, temperature=0.7, seed=4) + "\n"
    several = call(*given, "--seed", "4", "--samples", "3").out.split("\n" + "-" * 40 + "\n")
    assert len(several) == 3 and several[0] + "\n" == once.out
    assert several[1] == language.generate("the ", max_length=20, temperature=0.7, seed=5)


@pytest.mark.parametrize("kind", ["char", "byte", "word", "bpe"])
def test_every_vocabulary_streams_what_it_generates(kind: str, texts: Path, tmp_path: Path) -> None:
    if kind == "bpe":
        pytest.importorskip("tokenizers")
    (tmp_path / "text.txt").write_text((texts / "text.txt").read_text() + 'Früher: 文本 ("zitat").\n' * 20)
    options = {
        **QUICK,
        "data.train": str(tmp_path / "text.txt"),
        "task.vocabulary.kind": kind,
        "task.vocabulary.max_size": 300,
        "training.max_updates": 3,
        "training.tensorboard": "never",
    }
    model = recurra.train("char-lm", tmp_path / "run", options, quiet=True)
    for seed in range(3):
        pieces = list(model.generate_stream("Früher", seed=seed, max_length=40, temperature=1.5))
        assert "Früher" + "".join(pieces) == model.generate("Früher", seed=seed, max_length=40, temperature=1.5)


# -- evaluation -----------------------------------------------------------------------------------------------------


def test_files_and_texts_are_evaluated_alike(
    classifier: SavedModel, texts: Path, call: Call, classifier_run: Path
) -> None:
    from_file = classifier.evaluate(texts / "more.csv")
    assert from_file == classifier.evaluate_items(*columns(texts / "more.csv"))
    assert from_file == classifier.evaluate([str(texts / "more.csv")])
    printed = json.loads(call("evaluate", classifier_run, "--data.test", texts / "more.csv", "--json").out)
    assert printed == from_file
    right = np.equal(classifier.predict(columns(texts / "more.csv")[0]), columns(texts / "more.csv")[1])
    assert from_file["accuracy"] == right.mean()


def test_a_language_model_is_evaluated_alike(language: SavedModel, texts: Path, call: Call, language_run: Path) -> None:
    found = language.evaluate(texts / "text.txt")
    assert found == language.evaluate_items([(texts / "text.txt").read_text()])
    printed = json.loads(call("evaluate", language_run, "--data.test", texts / "text.txt", "--json").out)
    assert printed == found and set(found) == {"nats", "perplexity", "tokens", "bpc"}
    text = call("evaluate", language_run, "--data.test", texts / "text.txt").out
    assert f"nats        {found['nats']:.4f}" in text


def test_wrong_labels_for_evaluation(classifier: SavedModel) -> None:
    with pytest.raises(DataError, match="2 texts and 1 labels"):
        classifier.evaluate_items(["a", "b"], ["pos"])
    with pytest.raises(DataError, match="text 1: label 'nge' is not one"):
        classifier.evaluate_items(["a", "b"], ["pos", "nge"])


def test_prediction_on_the_command_line(
    call: Call,
    classifier: SavedModel,
    classifier_run: Path,
    texts: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = columns(texts / "more.csv")[0]
    wanted = classifier.predict_readable(given)
    table = call("predict", classifier_run, texts / "more.csv").out.splitlines()
    assert table == [
        f"{row['label']}\t{row['probability']:.4f}\t{text}" for row, text in zip(wanted, given, strict=True)
    ]
    lines = call("predict", classifier_run, texts / "more.csv", "--json").out.splitlines()
    assert [json.loads(line) for line in lines] == [{"text": t, **row} for t, row in zip(given, wanted, strict=True)]
    assert call("predict", classifier_run, texts / "more.csv", "--out", tmp_path / "a" / "new.tsv").out == ""
    assert (tmp_path / "a" / "new.tsv").read_text().splitlines() == table
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("\n".join(given).encode())))
    assert call("predict", classifier_run).out.splitlines() == table


# -- estimators -----------------------------------------------------------------------------------------------------


def small_classifier(**changes: Any) -> recurra.TextClassifier:
    options = {"options": QUICK, "epochs": 4, "recipe": "text-classifier-small", **changes}
    return recurra.TextClassifier(**options)


def test_an_estimator_learns_and_predicts_what_it_was_given(texts: Path) -> None:
    said, labels = columns(texts / "reviews.csv")
    numbers = [7 if label == "pos" else -1 for label in labels]
    model = small_classifier(epochs=12).fit(said, numbers)
    assert model.classes_.tolist() == [-1, 7]
    found = model.predict(said)
    assert found.dtype == np.int64 and set(found.tolist()) <= {-1, 7}
    assert model.score(said, numbers) == np.equal(found, numbers).mean() > 0.8
    assert np.array_equal(model.classes_[model.predict_proba(said).argmax(1)], found)
    again = small_classifier(epochs=12).fit(said, numbers)
    assert np.array_equal(again.predict_proba(said), model.predict_proba(said))
    other = small_classifier(epochs=12, seed=1).fit(said, numbers)
    assert not np.array_equal(other.predict_proba(said), model.predict_proba(said))


def test_an_estimator_saves_a_model_that_loads(texts: Path, tmp_path: Path) -> None:
    said, labels = columns(texts / "reviews.csv")
    model = small_classifier().fit(said, labels)
    model.save(tmp_path / "model")
    assert recurra.load(tmp_path / "model").predict(said) == model.predict(said).tolist()


def test_several_labels_a_text(texts: Path) -> None:
    said, labels = columns(texts / "reviews.csv")
    sets = [[label, "long"] if len(text) > 20 else [label] for text, label in zip(said, labels, strict=True)]
    model = small_classifier().fit(said, sets)
    assert model.classes_.tolist() == ["long", "neg", "pos"]
    assert all(set(found) <= {"long", "neg", "pos"} for found in model.predict(said))
    assert model.predict_proba(said).shape == (60, 3)
    assert 0 <= model.score(said, sets) <= 1


def test_parameters_are_got_and_set() -> None:
    model = small_classifier()
    wanted = {
        "recipe": "text-classifier-small",
        "start": None,
        "epochs": 4,
        "seed": 0,
        "options": QUICK,
        "verbose": False,
    }
    assert model.get_params() == wanted
    assert model.set_params(epochs=2, seed=5) is model and model.epochs == 2
    assert repr(recurra.TextClassifier(epochs=3)) == "TextClassifier(epochs=3)"
    with pytest.raises(ConfigError, match=r"has no parameter `epoch`. Did you mean `epochs`\?"):
        model.set_params(epoch=3)
    with pytest.raises(ModelFileError, match="not fitted yet: call fit first"):
        model.predict(["x"])
    with pytest.raises(DataError, match="fit got 2 texts and 1 labels"):
        model.fit(["a", "b"], ["c"])
    with pytest.raises(DataError, match=r"text 1 is nan, of type float: a string is wanted"):
        model.fit(["a", float("nan")], ["c", "d"])  # type: ignore[list-item]
    with pytest.raises(DataError, match="label 1 is nan: a name or number"):
        model.fit(["a", "b"], ["c", float("nan")])
    with pytest.raises(ConfigError, match="no recipe `foo`"):
        small_classifier(recipe="foo").fit(["a", "b"], ["c", "d"])
    with pytest.raises(ConfigError, match=r"no option `model\.hidden`"):
        small_classifier(options={"model.hidden": 3}).fit(["a", "b"], ["c", "d"])


def test_a_language_model_estimator(texts: Path) -> None:
    text = (texts / "text.txt").read_text()
    model = recurra.LanguageModel(options=QUICK, epochs=1).fit(text)
    assert model.generate("the", seed=1, max_length=9).startswith("the")
    assert -3 < model.score(text) < 0
    assert model.get_params()["recipe"] == "char-lm"
    several = recurra.LanguageModel(options=QUICK, epochs=1).fit(text.splitlines())
    assert several.score(["the cat", "a dog"]) < 0


def test_scikit_learn_takes_an_estimator_for_its_own(texts: Path) -> None:
    pytest.importorskip("sklearn")
    from sklearn.base import clone
    from sklearn.model_selection import GridSearchCV, cross_val_score

    said, labels = columns(texts / "reviews.csv")
    model = small_classifier(epochs=1)
    assert clone(model).get_params() == model.get_params()
    assert cross_val_score(model, said, labels, cv=2).shape == (2,)
    search = GridSearchCV(model, {"seed": [0, 1]}, cv=2).fit(said, labels)
    assert search.best_params_["seed"] in (0, 1) and len(search.predict(said)) == 60
    assert cross_val_score(recurra.LanguageModel(options=QUICK, epochs=1), said * 3, cv=2).shape == (2,)


# -- fine-tuning ----------------------------------------------------------------------------------------------------

FINETUNE = ("--quiet", "training.epochs=1", "training.batch_size=16", "training.tensorboard=never")


def test_fine_tuning_takes_the_encoder_and_the_vocabulary_over(
    call: Call, texts: Path, language_run: Path, language: SavedModel, tmp_path: Path
) -> None:
    given = ("finetune", language_run, "--data.train", texts / "reviews.csv", "--out", tmp_path / "tuned")
    # A rate so small that nothing moves shows what the weights start from.
    done = call(*given, *FINETUNE, "optimizer.learning_rate=1e-30", "optimizer.weight_decay=0")
    assert done.code == 0, done.err
    tuned = recurra.load(tmp_path / "tuned")
    before, after = language.model.state_dict(), tuned.model.state_dict()
    encoder = [name for name in before if name.startswith("encoder.")]
    assert len(encoder) == 5
    for name in encoder:
        assert torch.equal(before[name], after[name]), name
    vocabularies = [run / "model" / "vocabulary.json" for run in (language_run, tmp_path / "tuned")]
    assert vocabularies[0].read_bytes() == vocabularies[1].read_bytes()
    assert tuned.labels == ("neg", "pos")


def test_adaptation_changes_the_encoder_first(call: Call, texts: Path, language_run: Path, tmp_path: Path) -> None:
    given = ("finetune", language_run, "--data.train", texts / "reviews.csv", "--out", tmp_path / "tuned")
    still = ("optimizer.learning_rate=1e-30", "optimizer.weight_decay=0")
    done = call(*given, *FINETUNE[1:], *still, "finetune.adapt_epochs=2", "finetune.adapt_learning_rate=0.01")
    assert done.code == 0 and "language model adapted to the texts: nats" in done.err, done.err
    tuned = recurra.load(tmp_path / "tuned").model.state_dict()
    before = recurra.load(language_run).model.state_dict()
    assert not torch.allclose(tuned["encoder.embedding.weight"], before["encoder.embedding.weight"])
    rows = [row for row in read_metrics(tmp_path / "tuned" / "adapt" / "metrics.jsonl") if row["kind"] == "valid"]
    assert len(rows) == 2 and rows[1]["nats"] < rows[0]["nats"]


def test_adaptation_without_validation_texts(call: Call, texts: Path, language_run: Path, tmp_path: Path) -> None:
    given = ("finetune", language_run, "--data.train", texts / "reviews.csv", "--out", tmp_path / "tuned", *FINETUNE)
    done = call(*given, "finetune.adapt_epochs=1", "data.valid_fraction=0")
    assert done.code == 0, done.err


def test_a_language_model_can_be_trained_further(
    call: Call, texts: Path, language_run: Path, language: SavedModel, tmp_path: Path
) -> None:
    given = ("finetune", language_run, "--task", "language-modelling", "--data.train", texts / "text.txt")
    done = call(*given, "--out", tmp_path / "further", *FINETUNE)
    assert done.code == 0, done.err
    further = recurra.load(tmp_path / "further")
    assert further.evaluate(texts / "text.txt")["nats"] < language.evaluate(texts / "text.txt")["nats"]


def test_beam_search_completes_a_prompt(call: Call, language_run: Path, language: SavedModel) -> None:
    (greedy,) = language.complete("the c", max_length=12)
    assert greedy[0] == language.generate("the c", max_length=12, temperature=0)
    found = language.complete("the c", beam_size=4, num_best=3, max_length=12)
    scores = [score for _, score in found]
    assert scores == sorted(scores, reverse=True) and scores[0] >= greedy[1] - 1e-5
    assert len({text for text, _ in found}) == 3 and all(text.startswith("the c") for text, _ in found)
    shown = call("generate", language_run, "the c", "--beam-size", "4", "--samples", "3", "--max-length", "12")
    assert shown.code == 0 and [text for text, _ in found] == shown.out.removesuffix("\n").split(f"\n{'-' * 40}\n")
    refused = call("generate", language_run, "x", "--beam-size", "2", "--samples", "3")
    assert refused.code == 2 and "num_best=3" in refused.err


def test_a_backward_language_model_says_how_likely_a_text_is_but_writes_none(call: Call, backward_run: Path) -> None:
    model = recurra.load(backward_run)
    (found,) = model.predict(["the cat"])
    assert found["tokens"] == len("the cat") + 1 and found["nats"] > 0
    assert model.predict(["tac eht"]) != [found]
    refused = call("generate", backward_run, "x")
    assert refused.code == 2 and "reads backward" in refused.err


def test_fine_tuning_joins_both_directions(
    call: Call, texts: Path, language_run: Path, backward_run: Path, tmp_path: Path
) -> None:
    given = ("finetune", language_run, "--data.train", texts / "reviews.csv", f"finetune.backward={backward_run}")
    done = call(*given, "--out", tmp_path / "both", *FINETUNE, "optimizer.learning_rate=1e-30")
    assert done.code == 0, done.err
    tuned = recurra.load(tmp_path / "both").model.state_dict()
    for run, prefix in ((language_run, "encoder."), (backward_run, "backward_encoder.")):
        for name, tensor in recurra.load(run).model.state_dict().items():
            if name.startswith("encoder."):
                torch.testing.assert_close(tuned[prefix + name.removeprefix("encoder.")], tensor)


def test_a_classifier_goes_on_with_other_rows(call: Call, texts: Path, classifier_run: Path, tmp_path: Path) -> None:
    rows = "text,label\n" + "bad poor day,neg\nfine great day,pos\n" * 10
    (tmp_path / "rows.csv").write_text(rows)
    done = call("finetune", classifier_run, "--data.train", tmp_path / "rows.csv", "--out", tmp_path / "on", *FINETUNE)
    assert done.code == 0, done.err
    before, after = recurra.load(classifier_run), recurra.load(tmp_path / "on")
    assert after.labels == before.labels and after.config.finetune is not None
    assert after.task.vocabulary.to_json() == before.task.vocabulary.to_json()  # type: ignore[attr-defined]


def test_an_estimator_fine_tunes(texts: Path, language_run: Path) -> None:
    said, labels = columns(texts / "reviews.csv")
    model = recurra.TextClassifier(start=str(language_run), epochs=1, options={"training.batch_size": 16})
    assert model.fit(said, labels).score(said, labels) >= 0


# -- the folder of a run --------------------------------------------------------------------------------------------


def test_a_run_folder_holds_everything(language_run: Path, classifier_run: Path) -> None:
    for run, own in ((language_run, set()), (classifier_run, {"labels.json"})):
        wanted = {"config.yaml", "environment.json", "metrics.jsonl", "results.json", "report.html", "checkpoints"}
        assert wanted <= {path.name for path in run.iterdir()}
        files = {path.name for path in (run / "model").iterdir()}
        assert files == {"config.json", "model.safetensors", "vocabulary.json", "metrics.json", "README.md"} | own
        card = (run / "model" / "README.md").read_text()
        assert "## Results" in card and "## Use" in card and "| baseline: " in card
        environment = json.loads((run / "environment.json").read_text())
        assert environment["torch"] == torch.__version__ and environment["recurra"] == recurra.__version__


def test_the_config_of_a_run_can_be_run_again(classifier_run: Path, call: Call, tmp_path: Path) -> None:
    shutil.copy(classifier_run / "config.yaml", tmp_path / "again.yaml")
    assert call("train", tmp_path / "again.yaml", "--out", tmp_path / "run", "--quiet").code == 0
    first, second = ((run / "model" / "model.safetensors").read_bytes() for run in (classifier_run, tmp_path / "run"))
    assert first == second


def test_results_are_printed_as_json(call: Call, texts: Path, tmp_path: Path) -> None:
    given = ("train", "text-classifier-small", "--data.train", texts / "reviews.csv", "--out", tmp_path / "run")
    done = call(*given, "--data.test", texts / "more.csv", "--json", "--quiet", "training.max_updates=2")
    printed = json.loads(done.out)
    assert done.err == "" and set(printed) == {"out", "valid", "test", "baselines", "training"}
    assert printed["out"] == str(tmp_path / "run") and printed["training"]["updates"] == 2
    assert {"majority", "naive-bayes", "logistic-regression"} <= set(printed["baselines"])
    assert printed["test"] == recurra.load(tmp_path / "run").evaluate(texts / "more.csv")


def test_a_config_object_is_taken_as_well(texts: Path, tmp_path: Path) -> None:
    config = recurra.recipe("text-classifier-small", **{**QUICK, "data.train": str(texts / "reviews.csv")})
    assert isinstance(config, RunConfig)
    model = recurra.train(config, tmp_path / "run", {"training.max_updates": 2}, quiet=True)
    assert model.config.training.max_updates == 2 and model.config.model.hidden_size == 8
    with pytest.raises(OutputError, match="holds a run already"):
        recurra.train(config, tmp_path / "run", quiet=True)
    with pytest.raises(ConfigError, match=r"no recipe `text-clasifier`\. Did you mean `text-classifier`"):
        recurra.train("text-clasifier", tmp_path / "other", quiet=True)
