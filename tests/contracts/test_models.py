"""The laws of a model, for every entry of MODELS."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from recurra.core.batch import Batch, InputKind, LossSum, Resolution, TaskSpec, WindowSpec
from recurra.core.inputs import Pair, Reading, Window, Words
from recurra.core.outputs import Forecast
from recurra.core.sequences import Sequences, pad
from recurra.data.stories import StoryExample, collate_stories
from recurra.finetuning import Tuned, tune
from recurra.finetuning.methods import DoRAConfig, LoRAConfig
from recurra.losses import cross_entropy
from recurra.models import MODELS
from recurra.training.checkpoint import load_model_tensors, model_tensors

V, LABELS = 11, 3
LENGTHS = (7, 2, 5, 4)
SIZES = {"embedding_dim": 8, "hidden_size": 9}


def harmonic(size: int) -> tuple[float, ...]:
    """A prior that is not even."""
    weights = [1 / (rank + 1) for rank in range(size)]
    return tuple(weight / sum(weights) for weight in weights)


@dataclass(frozen=True)
class Family:
    """What the laws must know of the models that read inputs of one type.

    Attributes:
        name: of the family.
        spec: of a task.
        examples: a few rows, of about the given lengths, as `collate` takes them; from the generator.
        collate: rows to a batch; of no rows, too.
        rows: a prediction in evaluation mode, to what belongs to each row of the batch, without padding.
        loss: of a prediction in either mode.
    """

    name: str
    spec: TaskSpec
    examples: Callable[[Sequence[int], torch.Generator], list[Any]]
    collate: Callable[[list[Any]], Batch]
    rows: Callable[[Any, Batch], list[Tensor]]
    loss: Callable[[Any, Batch], LossSum]

    def batch(self, lengths: Sequence[int] = LENGTHS) -> Batch:
        """Always the same rows of these lengths."""
        return self.collate(self.drawn(lengths))

    def drawn(self, lengths: Sequence[int] = LENGTHS) -> list[Any]:
        """The rows of `batch`."""
        return self.examples(lengths, torch.Generator().manual_seed(7))


def tokens(size: int, length: int, draw: torch.Generator) -> Tensor:
    return torch.randint(0, size, (length,), generator=draw)


def padded(rows: list[Tensor]) -> Sequences:
    return pad(rows) if rows else Sequences(torch.zeros(0, 1, dtype=torch.int64), torch.zeros(0, dtype=torch.int64))


def steps_of(prediction: Tensor, sequences: Sequences) -> list[Tensor]:
    return sequences.with_data(prediction).unpad()


def pair_of(rows: list[tuple[Tensor, Tensor, Tensor]]) -> Batch:
    """Every second source token is unknown to the target vocabulary, and the model may copy it."""
    source, inputs, targets = (padded([row[part] for row in rows]) for part in range(3))
    place = torch.arange(source.num_steps)
    unknown = torch.where(place % 2 == 0, source.data, V + place // 2).masked_fill(~source.mask, 0)
    return Batch(Pair(source, inputs, unknown, 4), targets.data)


def words_of(rows: list[Tensor]) -> Words:
    """Word w is spelt by the characters w % 5 and w // 5."""
    words = padded(rows)
    distinct, places = words.data.unique(return_inverse=True)
    return Words(words, Sequences(torch.stack([distinct % 5, distinct // 5], 1)), places.masked_fill(~words.mask, 0))


def reading_of(rows: list[tuple[Tensor, Tensor]]) -> Batch:
    """The answer goes from the middle word of the passage to the last; an empty passage holds none."""
    question, passage = (words_of([row[part] for row in rows]) for part in range(2))
    features = torch.stack([passage.words.data % 2, passage.words.data % 3], -1).float()
    ends = [((len(told) + 1) // 2, len(told)) for _, told in rows]
    return Batch(Reading(question, passage, features), torch.tensor(ends, dtype=torch.int64).reshape(-1, 2))


def columns_of(prediction: Tensor, batch: Batch) -> list[Tensor]:
    """Of "no answer", where the model has it, and of the real words."""
    lengths = batch.inputs.passage.words.mask.sum(1).tolist()
    rows = [row[:, : 1 + length] for row, length in zip(prediction, lengths, strict=True)]
    return [row if torch.isfinite(row[:, 0]).all() else row[:, 1:] for row in rows]


LANGUAGE = Family(
    "language",
    TaskSpec(InputKind.TOKENS, V, V, Resolution.STEP, harmonic(V)),
    lambda lengths, draw: [(tokens(V, length, draw), tokens(V, length, draw)) for length in lengths],
    lambda rows: Batch(padded([row for row, _ in rows]), padded([row for _, row in rows]).data),
    lambda prediction, batch: steps_of(prediction, batch.inputs),
    lambda prediction, batch: cross_entropy(prediction, batch.targets, batch.inputs.mask),
)
LABEL = Family(
    "label",
    TaskSpec(InputKind.TOKENS, V, LABELS, Resolution.SEQUENCE, harmonic(LABELS)),
    lambda lengths, draw: [(tokens(V, length, draw), number % LABELS) for number, length in enumerate(lengths)],
    lambda rows: Batch(padded([row for row, _ in rows]), torch.tensor([label for _, label in rows], dtype=torch.int64)),
    lambda prediction, batch: list(prediction),
    lambda prediction, batch: cross_entropy(prediction, batch.targets),
)
PAIR = Family(
    "pair",
    TaskSpec(InputKind.TOKENS, V, V, Resolution.TARGET, harmonic(V), eos_index=1),
    lambda lengths, draw: [
        (tokens(V, length, draw), tokens(V, (length + 1) // 2, draw), tokens(V, (length + 1) // 2, draw))
        for length in lengths
    ],
    pair_of,
    lambda prediction, batch: steps_of(prediction, batch.inputs.target),
    lambda prediction, batch: cross_entropy(prediction, batch.targets, batch.inputs.target.mask),
)


def story_of(length: int, number: int, draw: torch.Generator) -> StoryExample:
    """Sentences of one to three words, the first of which recurs; a question that may be empty, too."""
    sentences = [tuple(tokens(V, 1 + place % 3, draw).tolist()) for place in range(length)]
    story = tuple(sentences[0] if place % 4 == 3 else sentence for place, sentence in enumerate(sentences))
    return StoryExample(story, tuple(tokens(V, length % 4, draw).tolist()), number % LABELS, (), str(number))


STORY = Family(
    "story",
    TaskSpec(InputKind.TOKENS, V, LABELS, Resolution.SEQUENCE, harmonic(LABELS)),
    lambda lengths, draw: [story_of(length, number, draw) for number, length in enumerate(lengths)],
    collate_stories,
    lambda prediction, batch: list(prediction.logits),
    lambda prediction, batch: cross_entropy(prediction.logits, batch.targets),
)
READING = Family(
    "reading",
    TaskSpec(InputKind.TOKENS, V, 3, Resolution.SPAN, character_size=5, feature_size=2),
    lambda lengths, draw: [(tokens(V, (length + 1) // 2, draw), tokens(V, length, draw)) for length in lengths],
    reading_of,
    columns_of,
    lambda prediction, batch: cross_entropy(prediction, batch.targets),
)
ANSWERING = replace(
    READING,
    name="answering",
    spec=replace(READING.spec, output_size=2),
    loss=lambda prediction, batch: cross_entropy(prediction, batch.targets, batch.targets > 0),
)
TAGS = Family(
    "tags",
    TaskSpec(InputKind.TOKENS, V, LABELS, Resolution.STEP, harmonic(LABELS), character_size=5),
    lambda lengths, draw: [(tokens(V, length, draw), tokens(LABELS, length, draw)) for length in lengths],
    lambda rows: Batch(words_of([row for row, _ in rows]), padded([row for _, row in rows]).data),
    lambda prediction, batch: steps_of(prediction.emissions.data, batch.inputs.words),
    lambda prediction, batch: LossSum(-prediction.log_likelihood(batch.targets).sum(), batch.inputs.words.mask.sum()),
)
SERIES = Family(
    "series",
    TaskSpec(InputKind.VECTORS, 3, LABELS, Resolution.SEQUENCE, harmonic(LABELS)),
    lambda lengths, draw: [
        (torch.randn(length, 3, generator=draw), number % LABELS) for number, length in enumerate(lengths)
    ],
    lambda rows: Batch(
        pad([row for row, _ in rows]) if rows else Sequences(torch.zeros(0, 1, 3), torch.zeros(0, dtype=torch.int64)),
        torch.tensor([label for _, label in rows], dtype=torch.int64),
    ),
    lambda prediction, batch: list(prediction),
    lambda prediction, batch: cross_entropy(prediction, batch.targets),
)
WINDOW = WindowSpec(
    horizon=3,
    context_length=5,
    target_size=2,
    num_parameters=2,
    past_size=1,
    known_size=2,
    static_size=1,
    num_series=4,
    periods=(2, 4),
)


def window_of(rows: list[tuple[Tensor, int]]) -> Batch:
    """Rows of (length + horizon, 2 C + P + F) numbers and the series' number; every third value was not observed."""
    spec, size = WINDOW, WINDOW.target_size
    ahead = spec.horizon
    history = (
        padded([row[:-ahead] for row, _ in rows]) if rows else Sequences(torch.zeros(0, 1, 7), torch.zeros(0).long())
    )
    future = torch.stack([row[-ahead:] for row, _ in rows]) if rows else torch.zeros(0, ahead, 7)
    series = torch.tensor([number for _, number in rows], dtype=torch.int64)
    values = history.with_data(history.data[..., :size] + 3)
    targets = future[..., :size] / 2 + 3
    window = Window(
        values,
        observed=history.data[..., size : 2 * size] > -0.5,
        past_covariates=history.data[..., 4:5],
        past_known=history.data[..., 5:7],
        future_known=future[..., 5:7],
        static=series[:, None] / 4,
        series=torch.where(series == 3, -1, series),
        shifted=torch.cat([torch.full((len(rows), 1, size), 3.0), targets[:, :-1]], 1),
    )
    return Batch(window, targets)


def spread(forecast: Forecast) -> Tensor:
    """In the window's units: (B, H, C, K)."""
    return forecast.shift[..., None] + forecast.scale[..., None] * forecast.parameters


def distance(forecast: Forecast, batch: Batch) -> LossSum:
    """Each parameter has a target of its own."""
    apart = spread(forecast) - torch.stack([batch.targets, batch.targets + 1], -1)
    return LossSum(apart.square().sum(), torch.tensor(float(apart.numel())))


WINDOWS = Family(
    "windows",
    TaskSpec(InputKind.VECTORS, 2, 4, Resolution.HORIZON, window=WINDOW),
    lambda lengths, draw: [
        (torch.randn(length + WINDOW.horizon, 7, generator=draw), number) for number, length in enumerate(lengths)
    ],
    window_of,
    lambda prediction, batch: list(spread(prediction)),
    distance,
)
WALKS = replace(
    WINDOWS,
    name="walks",
    spec=replace(WINDOWS.spec, window=replace(WINDOW, past_size=0)),
    collate=lambda rows: replace(found := window_of(rows), inputs=replace(found.inputs, past_covariates=None)),
)


def stream_of(rows: list[Tensor]) -> Batch:
    """Two values and a feature a step; both values are wanted one and three steps later, or themselves."""
    inputs = padded(rows) if rows else Sequences(torch.zeros(0, 1, 3), torch.zeros(0, dtype=torch.int64))
    values = inputs.data[..., :2]
    later = [torch.cat([values[:, lead:], values[:, :lead]], 1) for lead in (1, 3)]
    return Batch(inputs, torch.stack(later, -1).flatten(-2) / 3)


def apart(prediction: Forecast, targets: Tensor, mask: Tensor) -> LossSum:
    """Each parameter has a target of its own, as of `distance`."""
    gaps = (spread(prediction) - torch.stack([targets, targets + 1], -1))[mask]
    return LossSum(gaps.square().sum(), torch.tensor(float(gaps.numel())))


STREAM = Family(
    "stream",
    TaskSpec(InputKind.VECTORS, 3, 8, Resolution.STEP, window=WindowSpec(3, 5, target_size=2, num_parameters=2)),
    lambda lengths, draw: [torch.randn(length, 3, generator=draw) for length in lengths],
    stream_of,
    lambda prediction, batch: steps_of(spread(prediction), batch.inputs),
    lambda prediction, batch: apart(prediction, batch.targets, batch.inputs.mask),
)
AGAIN = replace(
    STREAM,
    name="again",
    spec=replace(STREAM.spec, output_size=4, window=WindowSpec(0, 5, target_size=2, num_parameters=2)),
    loss=lambda prediction, batch: apart(prediction, batch.inputs.data[..., :2] / 3, batch.inputs.mask),
)
SEASONS = replace(WINDOWS, name="seasons", spec=replace(WINDOWS.spec, window=replace(WINDOW, context_length=16)))
ENSEMBLE = replace(
    SERIES,
    name="ensemble",
    loss=lambda prediction, batch: cross_entropy(prediction, batch.targets[:, None].expand(prediction.shape[:2])),
)


def members(kind: str, *options: dict[str, Any]) -> list[dict[str, Any]]:
    """Configs of an ensemble's members."""
    return [{"kind": kind, **SIZES, **one} for one in options]


CASES: list[tuple[str, Family, dict[str, Any]]] = [
    ("language-model", LANGUAGE, {}),
    ("language-model", LANGUAGE, {"tied": True, "num_layers": 2, "last_size": 8, "cell": "gru"}),
    ("language-model", LANGUAGE, {"softmax": {"kind": "sampled", "num_samples": 6}}),
    ("language-model", LANGUAGE, {"softmax": {"kind": "adaptive", "cutoffs": [4]}}),
    ("language-model", LANGUAGE, {"adapter_size": 3, "num_layers": 2, "residual": True, "embedding_dim": 9}),
    ("text-classifier", LABEL, {}),
    ("text-classifier", LABEL, {"adapter_size": 3, "bidirectional": True, "num_layers": 2}),
    ("text-classifier", LABEL, {"adapter_size": 3, "pooling": "last"}),
    ("text-classifier", LABEL, {"bidirectional": True, "num_layers": 2, "pooling": "attention", "head_size": 5}),
    ("text-classifier", LABEL, {"pooling": "last", "cell": "elman"}),
    ("text-classifier", LABEL, {"pooling": "mean", "cell": {"kind": "lstm", "layer_norm": True}}),
    ("text-classifier", LABEL, {"pooling": "max", "residual": True, "learn_initial_state": True}),
    ("generative-classifier", LABEL, {}),
    ("generative-classifier", LABEL, {"generative": 0.0, "tied": False}),
    ("encoder-decoder", PAIR, {}),
    ("encoder-decoder", PAIR, {"cell": "gru", "decoder": {"attention": "general", "num_layers": 2}, "tied": "all"}),
    ("encoder-decoder", PAIR, {"decoder": {"input_feeding": "context"}, "softmax": "full", "tied": "none"}),
    ("encoder-decoder", PAIR, {"decoder": {"input_feeding": "output", "attention": "multi-head"}, "hidden_size": 8}),
    ("encoder-decoder", PAIR, {"decoder": {"attention": None}, "num_layers": 2, "softmax": "adaptive"}),
    ("encoder-decoder", PAIR, {"decoder": {"attention": {"kind": "additive", "coverage": True}, "coverage_loss": 1.0}}),
    ("encoder-decoder", PAIR, {"decoder": {"copying": True}}),
    ("tagger", TAGS, {}),
    ("tagger", TAGS, {"bidirectional": True, "num_layers": 2, "cell": "gru", "head": "softmax"}),
    ("tagger", TAGS, {"character_dim": 0, "bidirectional": True}),
    ("reader", READING, {}),
    ("reader", READING, {"flow": True, "num_layers": 2, "cell": "gru"}),
    ("reader", ANSWERING, {"aligned": False, "bidirectional": False, "character_dim": 0}),
    ("story-reader", STORY, {"cell": "gru", "bidirectional": True}),
    ("story-reader", STORY, {"hops": 1, "pooling": "max"}),
    ("story-reader", STORY, {"hops": 2, "reading": "attention", "bidirectional": True}),
    ("story-reader", STORY, {"hops": 0, "reading": "attention", "num_layers": 2}),
    ("series-classifier", SERIES, {}),
    ("series-classifier", SERIES, {"bidirectional": False, "cell": "gru", "pooling": "last", "num_layers": 2}),
    ("lstm-fcn", SERIES, {"convolution": {"filters": [8, 6, 8]}}),
    ("lstm-fcn", SERIES, {"convolution": {"filters": [8], "kernel_sizes": [4]}, "bidirectional": True}),
    ("crnn", SERIES, {"convolution": {"filters": [8, 6], "kernel_sizes": [4, 3], "strides": [1, 2]}}),
    ("series-ensemble", ENSEMBLE, {"member": {"kind": "lstm-fcn", "hidden_size": 5}}),
    ("series-ensemble", ENSEMBLE, {"num_members": 2, "member": {"kind": "series-classifier", "hidden_size": 9}}),
    ("crnn", SERIES, {"convolution": {"filters": [8], "kernel_sizes": [3], "strides": [3]}, "cell": "elman"}),
    ("forecaster", WINDOWS, {}),
    ("forecaster", WINDOWS, {"history": {"patch_length": 2, "series_dim": 3}, "head": "segments"}),
    (
        "forecaster",
        WINDOWS,
        {"history": {"patch_length": 3, "patch_stride": 2, "normalisation": "window"}},
    ),
    (
        "forecaster",
        WINDOWS,
        {"history": {"carry": True, "normalisation": "running"}, "cell": "lstm", "num_layers": 2},
    ),
    (
        "forecaster",
        WINDOWS,
        {"history": {"normalisation": "scaled-last"}, "head": {"kind": "direct", "linear": True}, "cell": "elman"},
    ),
    ("forecaster", WINDOWS, {"history": {"normalisation": "mean"}, "bidirectional": True}),
    (
        "forecaster",
        WINDOWS,
        {"history": {"carry": True, "normalisation": "none"}, "head": "segments", "hidden_size": 16},
    ),
    ("seasonal-forecaster", SEASONS, {"dilations": [1, 3]}),
    ("seasonal-forecaster", SEASONS, {"dilations": [2], "num_layers": 2, "series_dim": 2, "cell": "gru"}),
    ("forecast-decoder", WINDOWS, {}),
    ("forecast-decoder", WINDOWS, {"history": {"patch_length": 2, "normalisation": "mean"}, "cell": "lstm"}),
    ("forecast-decoder", WINDOWS, {"history": {"carry": True, "normalisation": "running"}, "num_layers": 2}),
    ("autoregressive-forecaster", WALKS, {"series_dim": 3}),
    ("autoregressive-forecaster", WALKS, {"normalisation": "none", "carry": True, "hidden_size": 32}),
    ("autoregressive-forecaster", WALKS, {"normalisation": "window", "cell": "gru", "num_layers": 2}),
    ("series-predictor", STREAM, {"hidden_size": 24}),
    ("series-predictor", STREAM, {"hidden_size": 24, "cell": "lstm", "num_layers": 2, "from_last": False}),
    ("series-autoencoder", AGAIN, {"hidden_size": 24}),
    ("series-autoencoder", AGAIN, {"hidden_size": 24, "cell": "lstm", "latent_size": 12}),
    ("recurrent-network", LANGUAGE, {}),
    ("recurrent-network", LANGUAGE, {"cell": "gru", "num_layers": 2}),
    ("recurrent-network", SERIES, {"cell": "gru"}),
    ("recurrent-network", SERIES, {"bidirectional": True, "num_layers": 2}),
    ("ensemble", LANGUAGE, {"members": members("language-model", {}, {"cell": "gru", "hidden_size": 7})}),
    ("ensemble", LABEL, {"members": members("text-classifier", {}, {"pooling": "max"})}),
    ("ensemble", PAIR, {"members": members("encoder-decoder", {}, {"decoder": {"attention": "general"}})}),
    ("ensemble", TAGS, {"members": members("tagger", {"head": "softmax"}, {"head": "crf"}), "shares": [0.4, 0.6]}),
    ("ensemble", READING, {"members": members("reader", {}, {"flow": True})}),
]
EVERY = pytest.mark.parametrize(("kind", "family", "options"), CASES, ids=lambda part: getattr(part, "name", str(part)))


def build(kind: str, family: Family, options: dict[str, Any], seed: int = 1) -> nn.Module:
    torch.manual_seed(seed)
    cls = MODELS[kind]
    sizes = {name: size for name, size in SIZES.items() if name in cls.Config.model_fields}
    config = cls.Config.model_validate({"kind": kind, **sizes, **options})
    model: nn.Module = cls(config, family.spec)
    return model


def loss_of(model: nn.Module, family: Family, batch: Batch) -> Tensor:
    prediction, _, penalty = model(batch.inputs)
    found = family.loss(prediction, batch)
    return found.mean() if penalty is None else found.mean() + penalty


def rows_of(model: nn.Module, family: Family, batch: Batch) -> list[Tensor]:
    """The prediction of each row, without padding."""
    return family.rows(model(batch.inputs).prediction, batch)


def spoilt(inputs: Any) -> Any:
    """The same inputs with nonsense on the padding of every `Sequences` among them."""
    if isinstance(inputs, Sequences):
        filler = torch.nan if inputs.data.is_floating_point() else 10**9
        mask = inputs.mask.reshape(*inputs.mask.shape, *[1] * (inputs.data.dim() - 2))
        return Sequences(inputs.data.masked_fill(~mask, filler), inputs.lengths)
    if is_dataclass(inputs) and not isinstance(inputs, type):
        return replace(inputs, **{field.name: spoilt(getattr(inputs, field.name)) for field in fields(inputs)})
    return inputs


def test_every_model_has_a_case() -> None:
    assert {kind for kind, _, _ in CASES} == set(MODELS)


@EVERY
def test_a_row_alone_is_the_row_in_a_padded_batch(kind: str, family: Family, options: Any) -> None:
    model = build(kind, family, options).eval()
    together = rows_of(model, family, family.batch())
    for row, found in zip(family.drawn(), together, strict=True):
        (alone,) = rows_of(model, family, family.collate([row]))
        torch.testing.assert_close(found, alone, rtol=1e-5, atol=1e-6)


@EVERY
def test_padding_is_never_read(kind: str, family: Family, options: Any) -> None:
    model = build(kind, family, options).eval()
    batch = family.batch()
    found = rows_of(model, family, replace(batch, inputs=spoilt(batch.inputs)))
    for one, other in zip(found, rows_of(model, family, batch), strict=True):
        assert torch.equal(one, other)


@EVERY
def test_the_order_of_rows_does_not_matter(kind: str, family: Family, options: Any) -> None:
    model = build(kind, family, options).eval()
    order, examples = (2, 0, 3, 1), family.drawn()
    shuffled = rows_of(model, family, family.collate([examples[index] for index in order]))
    rows = rows_of(model, family, family.batch())
    for place, index in enumerate(order):
        torch.testing.assert_close(shuffled[place], rows[index], rtol=1e-5, atol=1e-6)


@EVERY
@pytest.mark.parametrize("lengths", [(0, 3), (0, 0), (1,), ()])
def test_empty_rows_and_no_rows_give_finite_numbers(
    lengths: tuple[int, ...], kind: str, family: Family, options: Any
) -> None:
    model = build(kind, family, options)
    batch = family.batch(lengths)
    loss = loss_of(model.train(), family, batch)
    assert torch.isfinite(loss)
    assert all(torch.isfinite(row).all() for row in rows_of(model.eval(), family, batch))


@EVERY
def test_every_parameter_learns(kind: str, family: Family, options: Any) -> None:
    model = build(kind, family, options).train()
    loss_of(model, family, family.batch()).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
        # An embedding row or class that does not occur may stay; a whole tensor may not.
        assert parameter.grad.abs().sum() > 0, name


@EVERY
def test_groups_hold_every_parameter_once(kind: str, family: Family, options: Any) -> None:
    model = build(kind, family, options)
    grouped = [id(parameter) for group in model.layer_groups() for parameter in group]  # type: ignore[operator]
    assert sorted(grouped) == sorted(id(parameter) for parameter in model.parameters())


@EVERY
def test_one_batch_can_be_learnt_by_heart(kind: str, family: Family, options: Any) -> None:
    model = build(kind, family, options).train()
    if options == {} and kind == "generative-classifier":
        pytest.skip("learns how likely the texts are, too")
    batch = family.batch()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    for _ in range(150):
        optimizer.zero_grad()
        loss_of(model, family, batch).backward()
        optimizer.step()
    assert family.loss(model.eval()(batch.inputs).prediction, batch).mean() < 0.1


@EVERY
def test_the_first_loss_is_the_entropy_of_the_prior(kind: str, family: Family, options: Any) -> None:
    if options.get("decoder", {}).get("copying"):
        pytest.skip("what is copied does not follow the prior")
    if family.spec.output_prior is None:
        pytest.skip("has no prior: its outputs are places")
    prior = torch.tensor(family.spec.output_prior)
    entropy = -(prior * prior.log()).sum()
    found = []
    for seed in range(5):
        log_probs = torch.cat(
            [
                row.reshape(-1, len(prior)).log_softmax(-1)
                for row in rows_of(build(kind, family, options, seed).eval(), family, family.batch())
            ]
        )
        found.append(-(log_probs @ prior).mean())
    assert torch.stack(found).mean().item() == pytest.approx(entropy.item(), rel=0.02)


@EVERY
def test_evaluation_is_the_same_each_time_and_weights_travel(kind: str, family: Family, options: Any) -> None:
    dropout = {"dropout": {"input": 0.5, "output": 0.5, "embedding": 0.3}}
    dropped = {**options, **dropout}
    if "member" in options:
        dropped = {"member": {**options["member"], **dropout}}
    elif "members" in options:
        dropped = {**options, "members": [{**member, **dropout} for member in options["members"]]}
    first = build(kind, family, dropped).eval()
    second = build(kind, family, dropped, seed=9).eval()
    batch = family.batch()
    wanted = rows_of(first, family, batch)
    load_model_tensors(second, model_tensors(first), "here")
    for one, again, other in zip(wanted, rows_of(first, family, batch), rows_of(second, family, batch), strict=True):
        assert torch.equal(one, again) and torch.equal(one, other)


@EVERY
@pytest.mark.parametrize("method", [LoRAConfig(rank=2), DoRAConfig(rank=2, per_gate=True, biases=True)])
def test_low_rank_changes_learn_alone_and_are_the_weights_they_are_merged_into(
    method: LoRAConfig, kind: str, family: Family, options: Any
) -> None:
    model = build(kind, family, options)
    before = {name: weight.clone() for name, weight in model.named_parameters()}
    tuned = tune(model, method, ())
    assert isinstance(tuned, Tuned)
    for name, weight in tuned.weights().items():
        torch.testing.assert_close(weight, before[name], rtol=1e-6, atol=1e-7)
    with torch.no_grad():
        for parameter in tuned.changes.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    batch = family.batch()
    torch.manual_seed(2)
    loss = loss_of(tuned.train(), family, batch)
    loss.backward()
    trained = {id(parameter) for group in tuned.layer_groups() for parameter in group}
    for name, parameter in tuned.named_parameters():
        assert parameter.requires_grad == (id(parameter) in trained), name
        assert (parameter.grad is not None and parameter.grad.abs().sum() > 0) == parameter.requires_grad, name
    plain = tuned.finish()
    assert plain is model and all(parameter.requires_grad for parameter in plain.parameters())
    torch.manual_seed(2)
    torch.testing.assert_close(loss_of(plain.train(), family, batch), loss)


@pytest.mark.parametrize("options", [options for kind, _, options in CASES if kind == "language-model"])
def test_a_language_model_goes_on_where_it_stopped(options: Any) -> None:
    model = build("language-model", LANGUAGE, options).eval()
    tokens = LANGUAGE.batch((9, 9, 9)).inputs.data
    whole, _, _ = model(Sequences(tokens))
    first, state, _ = model(Sequences(tokens[:, :4]))
    rest, state, _ = model(Sequences(tokens[:, 4:8]), state)
    last, _ = model.step(tokens[:, 8], state)  # type: ignore[operator]
    parts = torch.cat([first, rest, last[:, None]], dim=1)
    torch.testing.assert_close(parts, whole, rtol=1e-5, atol=1e-6)
    feed = model.stream(len(tokens))  # type: ignore[operator]
    streamed = torch.stack([feed(step) for step in tokens.unbind(1)], dim=1)
    torch.testing.assert_close(streamed, whole, rtol=1e-5, atol=1e-6)
