"""The generative classifier against brute force: normalised words, naive Bayes as its special case."""

import math

import pytest
import torch

from recurra.core.batch import InputKind, Resolution, TaskSpec
from recurra.core.errors import ConfigError
from recurra.core.sequences import Sequences
from recurra.models import GenerativeClassifier, GenerativeClassifierConfig

WORDS, LABELS = 7, 3


def make(prior: tuple[float, ...] | None = (0.5, 0.3, 0.2), **options) -> GenerativeClassifier:
    spec = TaskSpec(InputKind.TOKENS, WORDS, LABELS, Resolution.SEQUENCE, prior)
    config = GenerativeClassifierConfig(embedding_dim=4, hidden_size=5, **options)
    model = GenerativeClassifier(config, spec).double()
    with torch.no_grad():
        model.class_vectors.normal_()
        model.class_scores.normal_()
    return model.eval()


def test_logits_are_the_joint_probability_step_by_step():
    model = make()
    text = torch.tensor([[1, 4, 2, 6, 1]])
    logits = model(Sequences(text)).prediction[0]
    hidden = model.encoder(Sequences(text)).outputs.data
    tilt = model.class_scores + model.class_vectors @ model.encoder.embedding.weight.T
    scores = model.head(hidden)[0]
    for label, prior in enumerate((0.5, 0.3, 0.2)):
        expected = math.log(prior)
        for step, word in enumerate(text[0, 1:].tolist()):
            expected += (scores[step] + tilt[label]).log_softmax(-1)[word].item()
        assert logits[label].item() == pytest.approx(expected, abs=1e-6)


def test_texts_of_all_kinds_together_have_probability_one():
    model = make()
    pairs = torch.cartesian_prod(torch.arange(WORDS), torch.arange(WORDS))
    texts = torch.cat([torch.ones(len(pairs), 1, dtype=torch.int64), pairs], 1)
    joint = model(Sequences(texts)).prediction
    assert joint.exp().sum().item() == pytest.approx(1.0, abs=1e-6)


def test_without_context_it_is_multinomial_naive_bayes():
    model = make()
    with torch.no_grad():
        model.head.bias.zero_()
        model.encoder.embedding.weight.zero_()
    text = torch.tensor([[1, 4, 2, 2]])
    logits = model(Sequences(text)).prediction[0]
    word_log_probs = model.class_scores.log_softmax(-1)
    expected = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64).log() + word_log_probs[:, [4, 2, 2]].sum(1)
    torch.testing.assert_close(logits, expected, atol=1e-6, rtol=0)


def test_cross_entropy_and_penalty_make_the_joint_likelihood():
    model = make().train()
    text, target = torch.tensor([[1, 4, 2], [1, 5, 5]]), torch.tensor([2, 0])
    output = model(Sequences(text))
    objective = torch.nn.functional.cross_entropy(output.prediction, target) + output.penalty
    joint = output.prediction.gather(1, target[:, None])
    torch.testing.assert_close(objective, -joint.mean())
    assert make(generative=0.0).train()(Sequences(text)).penalty is None


def test_padding_changes_nothing_and_an_empty_text_gets_the_prior():
    model = make()
    padded = Sequences(torch.tensor([[1, 4, 2, 0, 0], [1, 0, 0, 0, 0]]), torch.tensor([3, 1]))
    logits = model(padded).prediction
    alone = model(Sequences(torch.tensor([[1, 4, 2]]))).prediction
    torch.testing.assert_close(logits[:1], alone)
    torch.testing.assert_close(logits[1].exp(), torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64), atol=1e-6, rtol=0)


def test_what_it_can_not_do_is_refused():
    with pytest.raises(ConfigError, match="bidirectional"):
        make(bidirectional=True)
    with pytest.raises(ConfigError, match="multi_label"):
        make(prior=None)
