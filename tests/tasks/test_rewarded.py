"""Sequence-level training: its gradient is that of the expected reward, and the reward rises."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from recurra.core.batch import Batch
from recurra.core.errors import ConfigError
from recurra.data import DataConfig
from recurra.metrics import rouge_l, sentence_bleu
from recurra.models import EncoderDecoder, EncoderDecoderConfig
from recurra.tasks import Preparation, Translation, TranslationConfig
from recurra.tasks.pair_coding import PairBatch
from recurra.tasks.rewards import advantages, reward_of, risk_weights

from .pair_files import numerals, train, write_parallel

LIMIT = 3
REWARD = """
def share_of_b(text, reference):
    words = text.split()
    return words.count("b") / (1 + len(words)) + 0.3 * (words[-1:] == ["a"])

def nothing(text, reference):
    return None
"""


@pytest.fixture
def rewards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "my_rewards.py").write_text(REWARD)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "my_rewards:share_of_b"


def toy(tmp_path: Path, **objective: Any) -> tuple[Translation, EncoderDecoder, PairBatch]:
    """A task of two words, a model in double precision without dropout, and a batch of two sources."""
    files = write_parallel(tmp_path, "train", [("x", "a b"), ("y x", "b")])
    config = TranslationConfig(
        search={"max_length": LIMIT},  # type: ignore[arg-type]
        vocabulary={"kind": "word"},  # type: ignore[arg-type]
        objective=objective,  # type: ignore[arg-type]
    )
    given = Preparation(data=DataConfig(train=files, valid_fraction=0.0), seed=0, cache=tmp_path)
    prepared = Translation.prepare(config, given)
    task = prepared.task
    assert isinstance(task, Translation)
    torch.manual_seed(4)
    model = EncoderDecoder(EncoderDecoderConfig(embedding_dim=5, hidden_size=5, tied="none"), task.spec).train()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    return task, model, task.coder.collate(prepared.splits.train)


def gradient(model: EncoderDecoder, loss: Tensor) -> Tensor:
    model.zero_grad()
    loss.backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def update_gradient(task: Translation, model: EncoderDecoder, batch: PairBatch) -> tuple[Tensor, Batch]:
    with torch.no_grad():
        made = task.act(model, batch)
    return gradient(model, task.loss(model(made.inputs).prediction, made).mean()), made


def log_prob(task: Translation, model: EncoderDecoder, batch: PairBatch, row: int, tokens: list[int]) -> Tensor:
    """Of a target, with its end where it is not cut."""
    ended = len(tokens) < LIMIT
    example = batch.rows[row]._replace(target=np.array(tokens, dtype=np.int32), ended=ended)
    one = task.coder.collate([example])
    found: Tensor = model(one.inputs).prediction
    if not isinstance(found, Tensor):
        found = found.log_probs()
    return found.log_softmax(-1)[0].gather(1, one.targets[0][:, None]).sum()


def value(task: Translation, batch: PairBatch, row: int, tokens: list[int], name: str) -> float:
    words = task.coder.words(tokens, batch.rows[row])
    return reward_of(name)(task.coder.text(tokens, words), batch.rows[row].reference or "")


def every_target(size: int) -> list[list[int]]:
    content = [token for token in range(size) if token != 1]
    return [list(body) for length in range(LIMIT + 1) for body in itertools.product(content, repeat=length)]


def test_the_mean_update_is_the_analytic_policy_gradient(tmp_path: Path, rewards: str) -> None:
    task, model, batch = toy(tmp_path, kind="self-critical", reward=rewards, num_samples=6000, likelihood_share=0.0)
    found, made = update_gradient(task, model, batch)
    assert len(made.targets) == 12000
    model.eval()
    expected: Any = 0.0
    for row in (0, 1):
        total: Any = 0.0
        for tokens in every_target(task.spec.output_size):
            probability = log_prob(task, model, batch, row, tokens).exp()
            expected = expected - probability * value(task, batch, row, tokens, rewards) / 2
            total = total + probability.detach()
        assert float(total) == pytest.approx(1.0, abs=1e-4)
    exact = gradient(model, expected)
    assert float(torch.nn.functional.cosine_similarity(found, exact, dim=0)) > 0.99
    assert float(found.norm() / exact.norm()) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("with_reference", [False, True])
def test_minimum_risk_is_the_gradient_of_the_risk(tmp_path: Path, rewards: str, with_reference: bool) -> None:
    options = {"num_samples": 9, "sharpness": 0.7, "likelihood_share": 0.0, "with_reference": with_reference}
    task, model, batch = toy(tmp_path, kind="minimum-risk", reward=rewards, **options)
    found, made = update_gradient(task, model, batch)
    assert isinstance(made, PairBatch)
    risk: Any = 0.0
    for row in (0, 1):
        targets = [r.target.tolist() for r in made.rows if r.source == batch.rows[row].source]
        assert len({tuple(t) for t in targets}) == len(targets)
        assert not with_reference or batch.rows[row].target.tolist() in targets
        scores = torch.stack([log_prob(task, model, batch, row, tokens) for tokens in targets])
        values = torch.tensor([value(task, batch, row, tokens, rewards) for tokens in targets])
        risk = risk - ((0.7 * scores).softmax(0) * values).sum() / 2 / 0.7
    torch.testing.assert_close(found, gradient(model, risk), rtol=1e-3, atol=1e-5)


def test_a_share_of_likelihood(tmp_path: Path, rewards: str) -> None:
    task, model, batch = toy(tmp_path, kind="self-critical", reward=rewards, likelihood_share=1.0)
    found, _ = update_gradient(task, model, batch)
    plain, plain_model, _ = toy(tmp_path, kind="likelihood")
    assert plain.act(plain_model, batch) is batch
    expected = gradient(plain_model, plain.loss(plain_model(batch.inputs).prediction, batch).mean())
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["self-critical", "minimum-risk"])
def test_the_reward_rises(tmp_path: Path, rewards: str, kind: str) -> None:
    task, model, batch = toy(tmp_path, kind=kind, reward=rewards, num_samples=20, likelihood_share=0.0)
    optimizer = torch.optim.Adam(model.parameters(), 0.03)
    earned = []
    for _ in range(40):
        with torch.no_grad():
            made = task.act(model, batch)
        assert isinstance(made, PairBatch)
        earned.append(np.mean([value(task, made, i, r.target.tolist(), rewards) for i, r in enumerate(made.rows)]))
        optimizer.zero_grad()
        task.loss(model(made.inputs).prediction, made).mean().backward()
        optimizer.step()
    assert model.training
    best = max(value(task, batch, 0, tokens, rewards) for tokens in every_target(task.spec.output_size))
    assert np.mean(earned[-5:]) > np.mean(earned[:2]) + 0.5 * (best - np.mean(earned[:2]))


def test_a_run_from_a_trained_model(tmp_path: Path) -> None:
    files = {
        f"data.{n}": write_parallel(tmp_path, n, numerals(c, i))
        for i, (n, c) in enumerate([("train", 600), ("valid", 60)])
    }
    first = train(tmp_path / "first", files | {"training.epochs": 3})
    options = {"task.objective": {"kind": "minimum-risk", "reward": "chrf"}, "finetune.start": str(tmp_path / "first")}
    second = train(tmp_path / "second", files | options | {"training.epochs": 2, "optimizer.learning_rate": 0.003})
    pairs = numerals(60, 1)
    said = second.predict([source for source, _ in pairs])
    values = [reward_of("chrf")(text, wanted) for text, (_, wanted) in zip(said, pairs, strict=True)]
    assert second.metrics["valid"]["reward"] == pytest.approx(np.mean(values), abs=1e-6)
    assert second.task.monitor == ("reward", "max")
    assert second.metrics["valid"]["chrf"] > first.metrics["valid"]["chrf"] + 3


def test_rewards_by_name(rewards: str) -> None:
    assert reward_of("bleu") is sentence_bleu
    assert reward_of("rouge-l") is rouge_l
    assert reward_of("chrf")("a dog", "a dog") == pytest.approx(1.0)
    assert reward_of(rewards)("b b", "") == pytest.approx(2 / 3)
    for name, message in (
        ("bleurt", "no reward `bleurt`. Known: bleu, rouge-l, chrf"),
        ("no.such.module:f", "can't import no.such.module"),
        ("my_rewards:missing", "no function `missing`"),
        ("my_rewards:", "no reward"),
    ):
        with pytest.raises(ConfigError, match=message):
            reward_of(name)
    with pytest.raises(ConfigError, match="gave None"):
        reward_of("my_rewards:nothing")("a", "b")


def test_a_saved_model_needs_its_reward_no_more(tmp_path: Path, rewards: str) -> None:
    task, model, batch = toy(tmp_path, kind="self-critical", reward=rewards)
    files = task.files()
    away = task.config.model_copy(update={"objective": task.config.objective.model_copy(update={"reward": "gone:f"})})
    other = Translation.from_files(away, files)
    found = other.search(model.eval(), batch, quick=True).prediction
    metrics = other.metrics()
    metrics.update(other.predict(found, batch), other.references(batch))
    assert "reward" not in metrics.compute()
    assert "reward" in task.metrics().compute()


def test_weights() -> None:
    np.testing.assert_allclose(advantages([1.0, 0.5], [0.5, 0.5]), [0.25, 0.0])
    weights = risk_weights([0, 0, 1], [-1.0, -2.0, -3.0], [1.0, 0.0, 5.0], 1.0)
    share = np.exp(-1) / (np.exp(-1) + np.exp(-2))
    np.testing.assert_allclose(weights, np.array([share * (1 - share), -share * (1 - share), 0.0]) / 2, atol=1e-12)
