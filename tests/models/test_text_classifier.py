"""The readers of a text classifier, and naive Bayes beside them."""

from typing import Any

import pytest
import torch

from recurra.core.batch import Batch, InputKind, OutputKind, Resolution, TaskSpec
from recurra.core.sequences import pad
from recurra.data import Labels, VocabularyConfig, fit_vocabulary
from recurra.models import TextClassifier, TextClassifierConfig
from recurra.tasks import TextClassification, TextClassificationConfig

V = 9
SPEC = TaskSpec(InputKind.TOKENS, V, 3, Resolution.SEQUENCE, (0.5, 0.25, 0.25))
SIZES = {"embedding_dim": 4, "hidden_size": 5}
INPUTS = pad([torch.tensor([1, 5, 2, 1]), torch.tensor([1, 7, 7, 8, 3, 1]), torch.tensor([1, 1])])
TARGETS = torch.tensor([0, 1, 2])


def built(**options: Any) -> TextClassifier:
    return TextClassifier(TextClassifierConfig.model_validate({**SIZES, **options}), SPEC)


def test_each_reader_answers_for_itself_in_training() -> None:
    model = built(backward_lm=SIZES)
    forward, backward = model(INPUTS).prediction.unbind(1)
    forward.sum().backward()
    assert model.backward_encoder is not None
    assert not any(weight.grad is not None and weight.grad.any() for weight in model.backward_encoder.parameters())
    assert all(weight.grad is not None and weight.grad.any() for weight in model.encoder.parameters())
    model.eval()
    torch.testing.assert_close(model(INPUTS).prediction, (forward + backward) / 2)


def test_the_backward_reader_reads_the_mirror() -> None:
    model = built(backward_lm=SIZES).eval()
    assert model.backward_encoder is not None
    model.backward_encoder.load_state_dict(model.encoder.state_dict())
    model.heads[1].load_state_dict(model.heads[0].state_dict())
    mirrored = pad([row.flip(0) for row in INPUTS.unpad()])
    torch.testing.assert_close(model(INPUTS).prediction, model(mirrored).prediction)


def test_loss_of_several_readers_is_the_mean_of_theirs() -> None:
    config = TextClassificationConfig()
    vocabulary = fit_vocabulary(VocabularyConfig(), ["a b"])
    task = TextClassification(config, vocabulary, Labels(["x", "y", "z"]), torch.ones(3).numpy(), {})
    batch = Batch(INPUTS, TARGETS)
    first, second = torch.randn(3, 3), torch.randn(3, 3)
    alone = [task.loss(logits, batch).mean() for logits in (first, second)]
    torch.testing.assert_close(task.loss(torch.stack([first, second], 1), batch).mean(), torch.stack(alone).mean())


def test_naive_bayes_is_silent_in_training_and_has_half_the_say_in_evaluation() -> None:
    model, batch = built(naive_bayes=2), Batch(INPUTS, TARGETS)
    read = model(INPUTS).prediction
    model.count([batch])
    torch.testing.assert_close(model(INPUTS).prediction, read)
    model.eval()
    assert model.naive_bayes is not None
    counted = model.naive_bayes(INPUTS)
    assert counted.abs().max() > 0
    torch.testing.assert_close(model(INPUTS).prediction, (read + counted) / 2)


def test_naive_bayes_is_no_parameter_but_is_saved() -> None:
    model = built(naive_bayes=1)
    assert not [name for name, _ in model.named_parameters() if "naive_bayes" in name]
    model.count([Batch(INPUTS, TARGETS)])
    other = built(naive_bayes=1)
    other.load_state_dict(model.state_dict())
    torch.testing.assert_close(other.eval()(INPUTS).prediction, model.eval()(INPUTS).prediction)


@pytest.mark.parametrize("kind", [OutputKind.CLASSES, OutputKind.LABELS])
def test_naive_bayes_of_one_label_or_several(kind: OutputKind) -> None:
    prior = SPEC.output_prior if kind is OutputKind.CLASSES else None
    spec = TaskSpec(InputKind.TOKENS, V, 3, Resolution.SEQUENCE, prior, output_kind=kind)
    model = TextClassifier(TextClassifierConfig.model_validate({**SIZES, "naive_bayes": 2}), spec).eval()
    targets = TARGETS if kind is OutputKind.CLASSES else torch.eye(3)
    model.count([Batch(INPUTS, targets)])
    assert model(INPUTS).prediction.shape == (3, 3)
    assert bool(model(INPUTS).prediction.isfinite().all())
