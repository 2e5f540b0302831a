"""Ways to fine-tune: what is trained, adapters on a shared base, new words, what is remembered."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import recurra
from recurra.cli import main
from recurra.finetuning import own_tensors

from ..conftest import Call
from .conftest import SMALL, WORDS

METHODS: dict[str, tuple[str, ...]] = {
    "frozen": (),
    "bias": (),
    "adapters": ("model.adapter_size=3",),
    "lora": ("finetune.method.rank=2",),
    "dora": ("finetune.method.rank=2", "finetune.method.per_gate=true", "finetune.method.dropout=0.2"),
}
QUICK = (*SMALL, "training.epochs=2", "training.batch_size=16", "optimizer.learning_rate=0.02")
SAID = ["bad poor day", "a fine great cat", ""]


@pytest.fixture(scope="module")
def words(texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of a language model of words."""
    out = tmp_path_factory.mktemp("words") / "run"
    options = ("model.hidden_size=10", "model.embedding_dim=10", "training.batch_size=4", "training.epochs=3")
    main(["train", "word-lm", "--data.train", str(texts / "text.txt"), "--out", str(out), *options, *SMALL])
    return out


@pytest.fixture(scope="module")
def runs(texts: Path, words: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A fine-tuned classifier a method."""
    found = {}
    for method, options in METHODS.items():
        found[method] = tmp_path_factory.mktemp(method) / "run"
        main(
            [
                *("finetune", str(words), "--data.train", str(texts / "reviews.csv"), "--out", str(found[method])),
                *(f"finetune.method={method}", *options, *QUICK, "optimizer.unfreeze_epochs=0"),
            ]
        )
    return found


def state(run: Path) -> dict[str, Tensor]:
    return own_tensors(recurra.load(run).model)


def results(run: Path) -> dict[str, Any]:
    return dict(json.loads((run / "results.json").read_text())["finetuning"])


@pytest.mark.parametrize("method", METHODS)
def test_a_method_moves_what_is_its_own(method: str, words: Path, runs: dict[str, Path]) -> None:
    before, after = state(words), state(runs[method])
    moved = {name for name, tensor in after.items() if name in before and not torch.equal(tensor, before[name])}
    encoder = {name for name in before if name.startswith("encoder.")}
    biases = {name for name in encoder if "bias" in name}
    wanted = {"frozen": set(), "adapters": set(), "bias": biases, "lora": encoder - biases, "dora": encoder - biases}
    assert moved == wanted[method]
    facts = results(runs[method])
    assert facts["method"] == method and facts["trained"] < facts["parameters"]
    assert facts["forgetting"]["metric"] == "perplexity"
    kept = facts["forgetting"]["before"] == facts["forgetting"]["after"]
    assert kept == (method in ("frozen", "adapters"))


@pytest.mark.parametrize("method", METHODS)
def test_an_adapter_on_its_base_is_the_model(
    method: str, call: Call, words: Path, runs: dict[str, Path], tmp_path: Path
) -> None:
    whole, adapter = recurra.load(runs[method]), runs[method] / "adapter"
    base = recurra.load(words)
    put_on = recurra.load(adapter, base=base)
    assert put_on.metrics == whole.metrics
    assert put_on.predict_proba(SAID).tolist() == whole.predict_proba(SAID).tolist()
    done = call("merge", adapter, "--base", words, "--out", tmp_path / "merged")
    assert done.code == 0, done.err
    merged = recurra.load(tmp_path / "merged")
    for name, tensor in own_tensors(whole.model).items():
        assert torch.equal(own_tensors(merged.model)[name], tensor), name
    stored = sum(tensor.numel() for tensor in own_tensors(whole.model).values())
    assert results(runs[method])["trained"] < stored
    assert call("predict", adapter, "--json", tmp_path / "merged" / "README.md").code == 0


def test_adapters_share_what_they_leave_as_it_is(words: Path, runs: dict[str, Path]) -> None:
    base = recurra.load(words)
    before = {name: tensor.clone() for name, tensor in own_tensors(base.model).items()}
    frozen, bias = (recurra.load(runs[method] / "adapter", base=base) for method in ("frozen", "bias"))
    for saved in (frozen, bias):
        for name, weight in saved.model.named_parameters():
            if name.startswith("encoder.") and (saved is frozen or "bias" not in name):
                assert weight is base.model.get_parameter(name), name
    assert frozen.predict_proba(SAID).tolist() == recurra.load(runs["frozen"]).predict_proba(SAID).tolist()
    assert bias.predict_proba(SAID).tolist() == recurra.load(runs["bias"]).predict_proba(SAID).tolist()
    assert all(torch.equal(tensor, before[name]) for name, tensor in own_tensors(base.model).items())


def test_an_adapter_on_another_base_is_refused(
    call: Call, words: Path, language_run: Path, runs: dict[str, Path], tmp_path: Path
) -> None:
    adapter = runs["lora"] / "adapter"
    digest = recurra.load(words).sha256
    assert digest is not None
    refused = call("merge", adapter, "--base", language_run, "--out", tmp_path / "merged")
    assert refused.code == 2 and digest in refused.err and str(language_run) in refused.err
    assert not (tmp_path / "merged").exists()
    refused = call("merge", words, "--base", words, "--out", tmp_path / "merged")
    assert refused.code == 2 and "no adapter there" in refused.err
    refused = call("merge", words, "--out", tmp_path / "merged")
    assert refused.code == 2 and "no adapter there" in refused.err
    refused = call("merge", adapter, "--base", tmp_path / "gone", "--out", tmp_path / "merged")
    assert refused.code == 2 and "gone: no such folder" in refused.err and "damaged" not in refused.err
    refused = call("merge", adapter, "--base", words, "--backward", words, "--out", tmp_path / "merged")
    assert refused.code == 2 and "an adapter on 1 models, got 2" in refused.err
    copy = Path(shutil.copytree(adapter, tmp_path / "adapter"))
    described = json.loads((copy / "adapter.json").read_text())
    described["base"][0]["folder"] = "nowhere"
    (copy / "adapter.json").write_text(json.dumps(described))
    refused = call("predict", copy, tmp_path / "none.txt")
    assert refused.code == 2 and digest in refused.err and "--base" in refused.err


def _of_no_finetuning(described: bytes) -> bytes:
    found = json.loads(described)
    found["run"]["finetune"] = None
    return json.dumps(found).encode()


def test_merging_overwrites_nothing(call: Call, words: Path, runs: dict[str, Path]) -> None:
    before = recurra.load(words).sha256
    for taken in (words, words / "model", words / "config.yaml"):
        refused = call("merge", runs["lora"] / "adapter", "--base", words, "--out", taken)
        assert refused.code == 2 and "--out" in refused.err
    assert recurra.load(words).sha256 == before
    assert call("merge", runs["lora"] / "adapter", "--base", words, "--out", "").code == 2


@pytest.mark.parametrize(
    ("file", "spoil", "message"),
    [
        ("adapter.safetensors", lambda found: found[:-3], "checksum is not the one in adapter.json"),
        ("adapter.safetensors", lambda found: b"", "checksum is not the one in adapter.json"),
        ("adapter.json", lambda found: found[:40], "not valid JSON"),
        ("adapter.json", lambda found: found.replace(b'"format": 1', b'"format": 9'), "format 9"),
        ("adapter.json", lambda found: found.replace(b'"rank": 2', b'"rank": 3'), "does not fit"),
        ("adapter.json", lambda found: found.replace(b'"kind": "lora"', b'"kind": "lore"'), "adapter"),
        ("adapter.json", lambda found: _of_no_finetuning(found), "no fine-tuning"),
        ("adapter.json", lambda found: b"{}", "Copy the folder again"),
        ("labels.json", lambda found: found.replace(b'"neg", ', b""), "labels"),
    ],
)
def test_a_damaged_adapter_is_named(
    file: str, spoil: Any, message: str, call: Call, words: Path, runs: dict[str, Path], tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(runs["lora"] / "adapter", tmp_path / "adapter"))
    content = (copy / file).read_bytes()
    (copy / file).write_bytes(spoil(content))
    refused = call("merge", copy, "--base", words, "--out", tmp_path / "merged")
    assert refused.code == 2 and message in refused.err and "Traceback" not in refused.err, refused.err


def test_adapters_on_models_of_both_directions(
    call: Call, texts: Path, language_run: Path, backward_run: Path, tmp_path: Path
) -> None:
    given = ("finetune", language_run, f"finetune.backward={backward_run}", "--data.train", texts / "reviews.csv")
    done = call(*given, "--out", tmp_path / "both", "finetune.method=lora", *QUICK)
    assert done.code == 0, done.err
    whole = recurra.load(tmp_path / "both")
    put_on = recurra.load(tmp_path / "both" / "adapter", base=[language_run, recurra.load(backward_run)])
    assert put_on.predict_proba(SAID).tolist() == whole.predict_proba(SAID).tolist()


@pytest.mark.parametrize("method", ["lora", "adapters", "bias"])
def test_any_model_goes_on_with_its_own_task_by_a_method(
    method: str, call: Call, texts: Path, classifier_run: Path, tmp_path: Path
) -> None:
    given = ("finetune", classifier_run, "--data.train", texts / "more.csv", f"finetune.method={method}")
    done = call(*given, "--out", tmp_path / "on", *QUICK)
    assert done.code == 0, done.err
    put_on = recurra.load(tmp_path / "on" / "adapter", base=classifier_run)
    assert put_on.predict_proba(SAID).tolist() == recurra.load(tmp_path / "on").predict_proba(SAID).tolist()
    assert results(tmp_path / "on")["forgetting"]["metric"] == "accuracy"


def test_new_words_take_the_mean_of_the_known_ones(call: Call, texts: Path, words: Path, tmp_path: Path) -> None:
    given = ("finetune", words, "--data.train", texts / "reviews.csv", "finetune.new_words=4")
    still = (*QUICK, "optimizer.learning_rate=1e-30", "optimizer.weight_decay=0")
    done = call(*given, "--out", tmp_path / "longer", *still, "finetune.method=lora")
    assert done.code == 0, done.err
    known = recurra.load(words).task.vocabulary.size  # type: ignore[attr-defined]
    longer = recurra.load(tmp_path / "longer").task.vocabulary  # type: ignore[attr-defined]
    assert longer.size == known + 4 and {longer.token(known + i) for i in range(4)} <= set(
        ["bad", "poor", "awful", "good", "fine", "great"]
    )
    before, after = (state(run)["encoder.embedding.weight"] for run in (words, tmp_path / "longer"))
    assert torch.equal(after[:known], before)
    torch.testing.assert_close(after[known:], before[2:].mean(0).expand(4, -1))
    put_on = recurra.load(tmp_path / "longer" / "adapter", base=words)
    assert put_on.predict_proba(SAID).tolist() == recurra.load(tmp_path / "longer").predict_proba(SAID).tolist()
    assert results(tmp_path / "longer")["new_words"] == 4


def test_low_rank_learns_what_only_new_words_tell(call: Call, texts: Path, words: Path, tmp_path: Path) -> None:
    given = ("finetune", words, "--data.train", texts / "reviews.csv", "--data.test", texts / "more.csv", *QUICK)
    longer = ("training.epochs=15", "training.min_updates=0", "model.naive_bayes=0", "optimizer.discriminative=1")
    reached = {}
    for most in (0, 6):
        out = tmp_path / str(most)
        done = call(*given, *longer, f"finetune.new_words={most}", "finetune.method=lora", "--out", out)
        assert done.code == 0, done.err
        reached[most] = json.loads((out / "results.json").read_text())["test"]["accuracy"]
    assert reached[0] < 0.75 and reached[6] >= 0.9, reached  # without them, each text's telling word is unknown


def test_a_language_model_with_new_words_scores_them(call: Call, texts: Path, words: Path, tmp_path: Path) -> None:
    (tmp_path / "new.txt").write_text("zig zag went the cat\n" * 60)
    given = ("finetune", words, "--task", "language-modelling", "--data.train", tmp_path / "new.txt")
    done = call(*given, "--out", tmp_path / "plain", *QUICK)
    assert done.code == 0, done.err
    done = call(*given, "--out", tmp_path / "longer", *QUICK, "finetune.new_words=10", "finetune.replay=0.5")
    assert done.code == 0, done.err
    plain, longer = (recurra.load(tmp_path / name) for name in ("plain", "longer"))
    sizes = [saved.task.spec.input_size for saved in (plain, longer)]
    assert sizes[1] == sizes[0] + 3  # zig, zag, went
    assert state(tmp_path / "longer")["head.bias"].shape == (sizes[1],)


def test_adaptation_leaves_no_small_adapter(call: Call, texts: Path, words: Path, tmp_path: Path) -> None:
    given = ("finetune", words, "--data.train", texts / "reviews.csv", "--out", tmp_path / "run", *QUICK[1:])
    done = call(*given, "finetune.adapt_epochs=1", "finetune.method=lora", "finetune.new_words=4")
    assert done.code == 0 and "No adapter is written" in done.err, done.err
    assert not (tmp_path / "run" / "adapter").exists()
    facts = results(tmp_path / "run")["forgetting"]
    assert facts["before"] == pytest.approx(recurra.load(words).evaluate(texts / "text.txt")["perplexity"])
    assert facts["after"] != facts["before"]
    assert recurra.load(tmp_path / "run").task.spec.input_size == recurra.load(words).task.spec.input_size + 4


def test_new_words_need_a_vocabulary_of_words(call: Call, texts: Path, language_run: Path, tmp_path: Path) -> None:
    given = ("finetune", language_run, "--data.train", texts / "reviews.csv", "finetune.new_words=4")
    refused = call(*given, "--out", tmp_path / "longer", *QUICK)
    assert refused.code == 2 and "vocabularies of words" in refused.err and not (tmp_path / "longer").exists()


def test_replay_and_a_pull_keep_what_was_known(call: Call, tmp_path: Path) -> None:
    for name, order in (("source", 1), ("other", -1)):
        (tmp_path / f"{name}.txt").write_text((" ".join(WORDS[::order]) + "\n") * 150)
    learnt = ("optimizer.learning_rate=0.02", "training.epochs=4", "training.batch_size=4", "schedule.warmup_updates=0")
    sizes = ("model.hidden_size=16", "model.embedding_dim=16")
    source = ("--data.train", tmp_path / "source.txt", "--out", tmp_path / "source")
    assert call("train", "word-lm", *source, *sizes, *learnt, *SMALL).code == 0
    given = ("finetune", tmp_path / "source", "--task", "language-modelling", "--data.train", tmp_path / "other.txt")
    after = {}
    for name, options in {"plain": (), "replay": ("finetune.replay=1",), "pull": ("finetune.pull=3",)}.items():
        done = call(*given, "--out", tmp_path / name, *learnt, *SMALL, *options)
        assert done.code == 0, done.err
        facts = results(tmp_path / name)["forgetting"]
        assert facts["source"] == str(tmp_path / "source.txt") and facts["before"] < 2
        after[name] = facts["after"]
        assert "On its source" in (tmp_path / name / "report.html").read_text()
    assert after["plain"] > 1.3 * facts["before"]
    assert after["replay"] < 0.85 * after["plain"] and after["pull"] < 0.85 * after["plain"]


def test_an_adapter_can_be_started_from(call: Call, texts: Path, runs: dict[str, Path], tmp_path: Path) -> None:
    given = ("finetune", runs["bias"] / "adapter", "--data.train", texts / "more.csv", "--out", tmp_path / "on")
    done = call(*given, *QUICK[1:], "finetune.method=bias")
    assert done.code == 0 and "recurra merge" in done.err and not (tmp_path / "on" / "adapter").exists(), done.err


def test_replay_beside_another_task_keeps_the_encoder(call: Call, texts: Path, words: Path, tmp_path: Path) -> None:
    given = ("finetune", words, "--data.train", texts / "reviews.csv", "optimizer.unfreeze_epochs=0", *QUICK)
    after = {}
    for name, options in {"plain": (), "replay": ("finetune.replay=1",)}.items():
        done = call(*given, "--out", tmp_path / name, *options, "training.epochs=6", "optimizer.discriminative=1")
        assert done.code == 0, done.err
        after[name] = results(tmp_path / name)["forgetting"]["after"]
    assert after["replay"] < after["plain"]


def test_what_is_gone_can_not_be_replayed(call: Call, texts: Path, words: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(words, tmp_path / "words"))
    described = json.loads((copy / "model" / "config.json").read_text())
    described["run"]["data"]["train"] = str(tmp_path / "gone.txt")
    (copy / "model" / "config.json").write_text(json.dumps(described))
    given = ("finetune", copy, "--data.train", texts / "reviews.csv", *QUICK, "--out", tmp_path / "run")
    refused = call(*given, "finetune.replay=0.5")
    assert refused.code == 2 and "finetune.source" in refused.err
    refused = call(*given, f"finetune.source={tmp_path / 'gone.txt'}")
    assert refused.code == 2 and "gone.txt" in refused.err
    done = call(*given)
    assert done.code == 0 and "forgetting" not in results(tmp_path / "run"), done.err
    named = call(*given[:-1], tmp_path / "named", f"finetune.source={texts / 'text.txt'}", "finetune.replay=0.5")
    assert named.code == 0 and results(tmp_path / "named")["forgetting"]["source"] == str(texts / "text.txt")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("finetune.method=lroa",), "`lora`"),
        (("finetune.method=lora", "finetune.method.rank=0"), "finetune.method.rank"),
        (("finetune.method=lora", "finetune.method.targets=[gates]"), "recurrent"),
        (("finetune.method=adapters", "model.adapter_size=-1"), "model.adapter_size"),
        (("finetune.replay=2",), "finetune.replay"),
    ],
)
def test_wrong_options_are_named(
    options: tuple[str, ...], message: str, call: Call, texts: Path, words: Path, tmp_path: Path
) -> None:
    refused = call("finetune", words, "--data.train", texts / "reviews.csv", "--out", tmp_path / "run", *options)
    assert refused.code == 2 and message in refused.err, refused.err


def test_low_rank_in_half_precision(call: Call, texts: Path, words: Path, tmp_path: Path) -> None:
    given = ("finetune", words, "--data.train", texts / "reviews.csv", "--out", tmp_path / "run", *QUICK)
    done = call(*given, "finetune.method=dora", "training.precision=bfloat16")
    assert done.code == 0 and "training in float32" not in done.err, done.err
    assert all(
        tensor.dtype == torch.float32 for tensor in state(tmp_path / "run").values() if tensor.is_floating_point()
    )


def test_a_plain_model_is_what_is_left(runs: dict[str, Path]) -> None:
    model: nn.Module = recurra.load(runs["lora"]).model
    assert all(weight.requires_grad for weight in model.parameters())
    assert not any("change" in name for name, _ in model.named_parameters())
