"""The loop: state, evaluation, best weights, stopping, errors, determinism."""

from __future__ import annotations

import itertools
import json
import math
import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from recurra.core.batch import Batch, ModelOutput
from recurra.core.errors import ConfigError, DataError, NonFiniteError
from recurra.data import TokenCorpus
from recurra.tasks import LanguageModelling, StreamOptions
from recurra.training import InterruptedRun, Job, Loop, read_metrics
from recurra.training.checkpoint import list_checkpoints, read_checkpoint
from recurra.training.optimizer import AdamWConfig, SGDConfig
from recurra.training.schedule import CosineConfig, CyclicConfig, PlateauConfig

MakeJob = Callable[..., Job]
Corpora = tuple[LanguageModelling, TokenCorpus, TokenCorpus]
BATCHES = 15
"""In an epoch of the job that `make_job` makes."""


def losses(job: Job) -> list[float]:
    return [row["loss"] for row in read_metrics(job.folder / "metrics.jsonl") if row["kind"] == "train"]


def rows_of(job: Job, kind: str) -> list[dict[str, Any]]:
    return [row for row in read_metrics(job.folder / "metrics.jsonl") if row["kind"] == kind]


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


class Scripted(LanguageModelling):
    """Language modelling whose metrics are written down beforehand, one entry an evaluation."""

    script: Iterator[dict[str, float]]

    def metrics(self) -> Any:
        return self

    def update(self, predictions: list[Any], references: list[Any]) -> None:
        pass

    def compute(self) -> dict[str, float]:
        return next(self.script)


@pytest.fixture
def scripted(corpora: Corpora) -> Callable[..., Scripted]:
    def make(**script: list[float]) -> Scripted:
        task = Scripted(corpora[0].config, corpora[0].vocabulary)
        task.script = iter([dict(zip(script, row, strict=True)) for row in zip(*script.values(), strict=True)])
        return task

    return make


class Spy(nn.Module):
    """Passes on to a model and calls `look(inputs, state)` before each training batch."""

    def __init__(self, inner: nn.Module, look: Callable[[Any, Any], None]) -> None:
        super().__init__()
        self.inner, self.look = inner, look

    def forward(self, inputs: Any, state: Any = None) -> ModelOutput:
        if self.training:
            self.look(inputs, state)
        output: ModelOutput = self.inner(inputs, state)
        return output


def spied(job: Job, look: Callable[[Any, Any], None]) -> Job:
    return Job(**{**vars(job), "model": Spy(job.model, look)})


# -- learning and state ---------------------------------------------------------------------------------------------


def test_the_loss_falls_towards_the_entropy_of_the_text(make_job: MakeJob) -> None:
    job = make_job(training={"epochs": 8}, optimizer=AdamWConfig(learning_rate=0.02, clip_norm=1.0))
    progress = Loop(job).run()
    found = losses(job)
    assert len(found) == 8 * BATCHES == progress.update
    assert found[0] == pytest.approx(math.log(6), abs=0.2)  # six letters, all alike
    assert progress.best_value is not None and progress.best_value < math.log(2) + 0.15  # each has two followers


def test_state_is_carried_between_batches_and_starts_afresh_with_each_epoch(make_job: MakeJob) -> None:
    seen: list[Any] = []
    ends: list[Any] = []
    job = make_job()
    job = spied(job, lambda inputs, state: seen.append(state))
    job.model.register_forward_hook(lambda module, _, output: ends.append(output.state) if module.training else None)
    Loop(job).run()
    assert [index for index, state in enumerate(seen) if state is None] == [0, BATCHES]
    for before, after in zip(ends[: BATCHES - 1], seen[1:BATCHES], strict=True):
        for (h, c), (next_h, next_c) in zip(before, after, strict=True):
            assert torch.equal(h, next_h) and torch.equal(c, next_c)
            assert not next_h.requires_grad


def test_jittered_windows_fill_every_epoch(make_job: MakeJob, corpora: Corpora) -> None:
    config = corpora[0].config.model_copy(update={"length_jitter": 4})
    task = LanguageModelling(config, corpora[0].vocabulary)
    widths: list[int] = []
    job = make_job(task=task, training={"epochs": 3})
    Loop(spied(job, lambda inputs, state: widths.append(inputs.num_steps))).run()
    assert len(widths) == 3 * BATCHES
    assert {sum(widths[start : start + BATCHES]) for start in (0, BATCHES, 2 * BATCHES)} == {150}
    assert len(set(widths)) > 3 and widths[:BATCHES] != widths[BATCHES : 2 * BATCHES]


def test_accumulation_makes_fewer_updates_and_ends_with_the_epoch(make_job: MakeJob) -> None:
    job = make_job(optimizer=SGDConfig(learning_rate=0.5, accumulate=4))
    assert Loop(job).run().update == 2 * 4  # 15 batches: 4 + 4 + 4 + 3
    counts = [row["epoch"] for row in rows_of(job, "train")]
    assert counts[3] == 1.0 and counts[7] == 2.0


def test_max_updates_stops_within_an_epoch_and_evaluates(make_job: MakeJob) -> None:
    job = make_job(training={"epochs": 100, "max_updates": 20})
    assert Loop(job).run().update == 20
    assert [row["update"] for row in rows_of(job, "valid")] == [15, 20]


def test_few_data_are_read_until_there_are_enough_updates(make_job: MakeJob) -> None:
    job = make_job(training={"epochs": 1, "min_updates": 100 * BATCHES})
    assert Loop(job).run().update == 100 * BATCHES
    evaluated = [row["update"] for row in read_metrics(job.folder / "metrics.jsonl") if row["kind"] == "valid"]
    assert len(evaluated) <= 40 and evaluated[:2] == [3 * BATCHES, 6 * BATCHES] and evaluated[-1] == 100 * BATCHES


def test_evaluate_every_counts_updates(make_job: MakeJob) -> None:
    job = make_job(training={"evaluate_every": 7})
    Loop(job).run()
    assert [row["update"] for row in rows_of(job, "valid")] == [7, 14, 21, 28, 30]


def test_an_empty_training_split_is_an_error(make_job: MakeJob) -> None:
    class NoBatches:
        carries_state = False

        def batches_per_epoch(self) -> int:
            return 0

    with pytest.raises(DataError, match="empty"):
        Loop(make_job(train=NoBatches()))


# -- best weights and stopping --------------------------------------------------------------------------------------


def test_the_best_weights_are_left_in_the_model(make_job: MakeJob, scripted: Callable[..., Scripted]) -> None:
    history: list[dict[str, Tensor]] = []
    task = scripted(nats=[3.0, 1.0, 2.0])
    job = make_job(task=task, training={"epochs": 3})
    real = task.compute
    task.compute = lambda: (history.append(weights(job.model)), real())[1]  # type: ignore[method-assign]
    progress = Loop(job).run()
    assert (progress.best_update, progress.best_value) == (2 * BATCHES, 1.0)
    torch.testing.assert_close(weights(job.model), history[1], rtol=0, atol=0)
    assert not torch.equal(history[2]["head.weight"], history[1]["head.weight"])
    names = [path.name for path in sorted((job.folder / "checkpoints").iterdir())]
    assert names == ["best-00000030", "update-00000045"]


@pytest.mark.parametrize(("monitor", "best"), [("auto", 3), ("perplexity", 2), ("gain", 1)])
def test_another_monitor_chooses_others(
    monitor: str, best: int, make_job: MakeJob, scripted: Callable[..., Scripted]
) -> None:
    # The first row answers the look at one batch before the training, which only a named monitor needs.
    look = [] if monitor == "auto" else [0.0]
    task = scripted(nats=[*look, 3.0, 2.0, 1.0], perplexity=[*look, 9.0, 1.0, 2.0], gain=[*look, 9.0, 8.0, 7.0])
    job = make_job(task=task, training={"epochs": 3, "monitor": monitor})
    progress = Loop(job).run()
    assert progress.best_update == best * BATCHES
    assert progress.tag == ("nats" if monitor == "auto" else monitor)


def test_the_weights_of_the_end_can_be_kept(make_job: MakeJob, scripted: Callable[..., Scripted]) -> None:
    job = make_job(task=scripted(nats=[3.0, 1.0, 2.0]), training={"epochs": 3, "monitor": "last"})
    history: list[dict[str, Tensor]] = []
    loop = Loop(job)
    real = loop._keep_best
    loop._keep_best = lambda found: (history.append(weights(job.model)), real(found))[1]  # type: ignore[method-assign]
    progress = loop.run()
    assert (progress.best_update, progress.best_value, progress.tag) == (3 * BATCHES, 2.0, "nats")
    torch.testing.assert_close(weights(job.model), history[-1], rtol=0, atol=0)
    assert progress.history == [3.0, 1.0, 2.0]


def test_a_wrong_monitor_is_told_of_before_the_training(make_job: MakeJob) -> None:
    job = make_job(training={"monitor": "perplexitty"})
    job = spied(job, lambda *_: pytest.fail("it trained"))
    with pytest.raises(ConfigError, match=r"`training.monitor`: the task gives no metric `perplexitty`.*`perplexity`"):
        Loop(job).run()
    assert not (job.folder / "metrics.jsonl").exists()


def test_early_stopping_waits_for_its_patience(make_job: MakeJob, scripted: Callable[..., Scripted]) -> None:
    task = scripted(nats=[3.0, 2.0, 2.5, 2.0, 2.1, 1.0])
    job = make_job(task=task, training={"epochs": 6, "patience": 3})
    progress = Loop(job).run()
    assert progress.stopped_early and progress.update == 5 * BATCHES
    assert progress.best_update == 2 * BATCHES


@pytest.mark.parametrize(
    ("changes", "option"),
    [
        ({"training": {"patience": 2}}, "training.patience"),
        ({"training": {"monitor": "nats"}}, "training.monitor"),
        ({"training": {"evaluate_every": 5}}, "training.evaluate_every"),
        ({"schedule": PlateauConfig()}, "schedule.kind=plateau"),
        ({"training": {"average": "non-monotone"}}, "training.average=non-monotone"),
    ],
)
def test_what_waits_for_evaluations_needs_validation_data(changes: Any, option: str, make_job: MakeJob) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"`{option}` needs validation data")):
        Loop(make_job(valid=False, **changes))


def test_without_validation_the_last_weights_are_kept(make_job: MakeJob) -> None:
    job = make_job(valid=False)
    progress = Loop(job).run()
    assert (progress.best_update, progress.best_value) == (30, None)
    stored = read_checkpoint(list_checkpoints(job.folder / "checkpoints", "best")[-1])
    torch.testing.assert_close(dict(stored.tensors), weights(job.model), rtol=0, atol=0)
    assert progress.core_seconds > 0 and progress.seconds > 0


# -- schedules and optimizers at work -------------------------------------------------------------------------------


def test_the_rate_follows_the_schedule(make_job: MakeJob) -> None:
    job = make_job(schedule=CosineConfig(warmup_updates=3))
    Loop(job).run()
    rates = [row["learning_rate"] for row in rows_of(job, "train")]
    assert rates[:4] == pytest.approx([0.5 / 3, 1 / 3, 0.5, 0.5])
    assert rates[16] == pytest.approx(0.25 * (1 + math.cos(math.pi * 13 / 27)))


def test_plateau_lowers_the_rate(make_job: MakeJob, scripted: Callable[..., Scripted]) -> None:
    task = scripted(nats=[3.0, 3.1, 3.2, 1.0])
    job = make_job(task=task, training={"epochs": 4}, schedule=PlateauConfig(gamma=0.1, patience=2))
    Loop(job).run()
    rates = [row["learning_rate"] for row in rows_of(job, "train")]
    assert rates[: 3 * BATCHES] == [0.5] * 3 * BATCHES
    assert rates[3 * BATCHES :] == pytest.approx([0.05] * BATCHES)


def test_averaging_starts_when_validation_stops_improving_and_is_what_is_evaluated(
    make_job: MakeJob, scripted: Callable[..., Scripted]
) -> None:
    task = scripted(nats=[2.0, 3.0, 2.5, 2.2, 1.0])
    average = {"kind": "non-monotone", "evaluations": 2}
    job = make_job(task=task, training={"epochs": 5, "average": average}, optimizer=SGDConfig(learning_rate=0.5))
    loop = Loop(job)
    after: list[dict[str, Tensor]] = []
    apply = loop.step.apply
    loop.step.apply = lambda: (apply(), after.append(weights(job.model)))[0]  # type: ignore[method-assign]
    loop.run()
    # Evaluation 4 (2.2) is worse than the best of those more than two evaluations back (2.0).
    assert loop.notes == ["weights averaged from update 60 on"]
    mean = {name: torch.stack([w[name] for w in after[4 * BATCHES - 1 :]]).mean(0) for name in after[0]}
    torch.testing.assert_close(weights(job.model), mean, rtol=1e-5, atol=1e-6)
    assert not torch.allclose(mean["head.weight"], after[-1]["head.weight"], atol=1e-3)


def test_without_validation_the_mean_is_what_is_kept(make_job: MakeJob) -> None:
    job = make_job(valid=False, training={"average": {"kind": "swa", "start": 0.9}})
    loop = Loop(job)
    after: list[dict[str, Tensor]] = []
    apply = loop.step.apply
    loop.step.apply = lambda: (apply(), after.append(weights(job.model)))[0]  # type: ignore[method-assign]
    loop.run()
    taken = after[math.ceil(0.9 * len(after)) - 1 :]
    mean = {name: torch.stack([w[name] for w in taken]).mean(0) for name in after[0]}
    torch.testing.assert_close(weights(job.model), mean, rtol=1e-5, atol=1e-6)


def test_snapshots_are_the_weights_at_the_end_of_each_part(make_job: MakeJob) -> None:
    job = make_job(training={"average": {"kind": "snapshots", "count": 3}}, schedule=CyclicConfig(cycles=3))
    loop = Loop(job)
    after: list[dict[str, Tensor]] = []
    apply = loop.step.apply
    loop.step.apply = lambda: (apply(), after.append(weights(job.model)))[0]  # type: ignore[method-assign]
    loop.run()
    kept = list_checkpoints(job.folder / "checkpoints", "snapshot")
    assert [int(path.name[-8:]) for path in kept] == [10, 20, 30]
    for path, update in zip(kept, (10, 20, 30), strict=True):
        torch.testing.assert_close(dict(read_checkpoint(path).tensors), after[update - 1], rtol=0, atol=0)


def test_gradual_unfreezing_goes_from_the_top_down(make_job: MakeJob) -> None:
    job = make_job(
        model={"num_layers": 2},
        training={"epochs": 4},
        optimizer=AdamWConfig(learning_rate=0.01, unfreeze_epochs=1, weight_decay=0.1),
    )
    loop = Loop(job)
    snapshots = [weights(job.model)]
    end_epoch = loop._end_epoch
    loop._end_epoch = lambda: (snapshots.append(weights(job.model)), end_epoch())[1]  # type: ignore[method-assign]
    loop.run()
    moved = [
        {name.replace("encoder.", "") for name in first if not torch.equal(first[name], second[name])}
        for first, second in itertools.pairwise(snapshots)
    ]
    top = {"head.weight", "head.bias"}
    layers = [
        {f"recurrent.cells.{n}.{name}" for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")} for n in (0, 1)
    ]
    assert moved == [
        top,
        top | layers[1],
        top | layers[0] | layers[1],
        top | layers[0] | layers[1] | {"embedding.weight"},
    ]


# -- numbers that are not finite ------------------------------------------------------------------------------------


class Breaks(nn.Module):
    """A model whose logits are multiplied by `factor` from the given training batch on."""

    def __init__(self, inner: nn.Module, at: int, factor: float) -> None:
        super().__init__()
        self.inner, self.at, self.factor, self.count = inner, at, factor, 0

    def forward(self, inputs: Any, state: Any = None) -> ModelOutput:
        output: ModelOutput = self.inner(inputs, state)
        self.count += self.training
        return output._replace(prediction=output.prediction * self.factor) if self.count > self.at else output


def test_a_nan_loss_stops_the_run_and_keeps_the_last_good_checkpoint(make_job: MakeJob) -> None:
    job = make_job()
    job = Job(**{**vars(job), "model": Breaks(job.model, at=20, factor=math.nan)})
    with pytest.raises(NonFiniteError) as caught:
        Loop(job).run()
    message = str(caught.value)
    assert message.startswith("update 21: the loss is nan; first not finite: the loss; all weights are finite")
    assert "is in `inner." in message and "The batch (of a stream, targets of shape (4, 10)) may hold NaN" in message
    assert "optimizer.learning_rate (now 0.5)" in message and "another --out" in message
    kept = list_checkpoints(job.folder / "checkpoints", "update")
    assert [path.name for path in kept] == ["update-00000015"]
    assert all(torch.isfinite(t).all() for t in read_checkpoint(kept[0]).part("model").values())
    assert len(losses(job)) == 20


def test_an_exploded_gradient_names_its_layer_and_clipping(make_job: MakeJob) -> None:
    job = make_job()
    job.model.get_parameter("encoder.recurrent.cells.0.weight_ih").register_hook(lambda grad: grad * math.inf)
    with pytest.raises(
        NonFiniteError, match=r"the gradient of `encoder\.recurrent\.cells\.0\.weight_ih`.*set optimizer\.clip_norm"
    ):
        Loop(job).run()
    assert list_checkpoints(job.folder / "checkpoints", "update") == []


def test_weights_that_overflow_are_named(make_job: MakeJob) -> None:
    job = make_job(optimizer=SGDConfig(learning_rate=3e38), training={"epochs": 3})
    with pytest.raises(NonFiniteError, match=r"update \d+: .*grown too large: lower optimizer.learning_rate"):
        Loop(job).run()


def test_weights_that_overflow_in_the_last_step_are_not_saved(make_job: MakeJob) -> None:
    job = make_job()
    loop = Loop(job)
    apply = loop.step.apply

    def overflow() -> None:
        apply()
        if loop.progress.update == 2 * BATCHES - 1:
            with torch.no_grad():
                job.model.get_parameter("head.bias").fill_(math.inf)

    loop.step.apply = overflow  # type: ignore[method-assign]
    with pytest.raises(NonFiniteError, match=r"update 30: the weight `head.bias` is not finite any more"):
        loop.run()
    names = sorted(path.name for path in (job.folder / "checkpoints").iterdir())
    assert names == ["best-00000015", "update-00000015"]


def test_a_monitored_figure_that_is_not_defined_is_an_error(
    make_job: MakeJob, scripted: Callable[..., Scripted]
) -> None:
    task = scripted(nats=[1.0, 1.0], roc_auc=[0.5, math.nan])
    with pytest.raises(NonFiniteError, match="roc_auc of the validation split is nan"):
        Loop(make_job(task=task, training={"monitor": "roc_auc"})).run()


def test_other_undefined_figures_are_left_out(make_job: MakeJob, scripted: Callable[..., Scripted]) -> None:
    job = make_job(task=scripted(nats=[1.0, 1.0], roc_auc=[math.nan, 0.5]))
    Loop(job).run()
    text = (job.folder / "metrics.jsonl").read_text()
    assert "NaN" not in text
    assert [row.get("roc_auc") for row in rows_of(job, "valid")] == [None, 0.5]


# -- same numbers ---------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others(make_job: MakeJob, tmp_path: Path) -> None:
    found = []
    for number, seed in enumerate((0, 0, 1)):
        job = make_job(seed=seed, dropout=0.3, folder=tmp_path / str(number))
        Loop(job).run()
        found.append((losses(job), weights(job.model)))
    assert found[0][0] == found[1][0] != found[2][0]
    torch.testing.assert_close(found[0][1], found[1][1], rtol=0, atol=0)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"optimizer": SGDConfig(learning_rate=0.3, momentum=0.9, accumulate=2)},
        {"model": {"cell": "gru"}, "training": {"precision": "float16"}},
    ],
    ids=["adamw", "momentum", "float16"],
)
@pytest.mark.parametrize("stop_at", [1, 7, 15, 23, 30])
def test_an_interrupted_run_goes_on_as_if_nothing_had_been(
    stop_at: int, changes: Any, make_job: MakeJob, tmp_path: Path
) -> None:
    def job(folder: str, **more: Any) -> Job:
        options: dict[str, Any] = {"optimizer": AdamWConfig(learning_rate=0.01, clip_norm=1.0), **changes}
        return make_job(dropout=0.3, folder=tmp_path / folder, **options, **more)

    whole = job("whole")
    total = Loop(whole).run().update
    stop_at = min(stop_at, total)
    stopped = Loop(job("stopped"))
    log = stopped._log

    def interrupt(result: Any) -> None:
        log(result)
        if stopped.progress.update == stop_at:
            os.kill(os.getpid(), signal.SIGINT)

    stopped._log = interrupt  # type: ignore[method-assign]
    with pytest.raises(InterruptedRun, match=f"stopped at update {stop_at} of {total}"):
        stopped.run()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    resumed = job("stopped", resume=True)
    Loop(resumed).run()
    assert losses(resumed) == losses(whole)
    assert rows_without_time(resumed) == rows_without_time(whole)
    torch.testing.assert_close(weights(resumed.model), weights(whole.model), rtol=0, atol=0)


def rows_without_time(job: Job) -> list[dict[str, Any]]:
    timed = ("seconds", "tokens_per_second")
    return [{k: v for k, v in row.items() if k not in timed} for row in read_metrics(job.folder / "metrics.jsonl")]


def test_a_finished_run_can_be_resumed_and_stays_as_it_is(make_job: MakeJob) -> None:
    job = make_job()
    first = Loop(job).run()
    before = (job.folder / "metrics.jsonl").read_text()
    again = make_job(resume=True)
    second = Loop(again).run()
    assert (first.update, first.best_update) == (second.update, second.best_update)
    assert (job.folder / "metrics.jsonl").read_text() == before
    torch.testing.assert_close(weights(again.model), weights(job.model), rtol=0, atol=0)


def test_resuming_averaged_weights_goes_on_averaging(
    make_job: MakeJob, scripted: Callable[..., Scripted], tmp_path: Path
) -> None:
    script = [3.0, 4.0, 2.9, 2.8]
    average = {"kind": "non-monotone", "evaluations": 1}

    def job(folder: str, first: int, epochs: int, **more: Any) -> Job:
        return make_job(
            task=scripted(nats=script[first:]),
            optimizer=SGDConfig(learning_rate=0.5),
            training={"epochs": 4, "max_updates": epochs * BATCHES, "average": average},
            folder=tmp_path / folder,
            **more,
        )

    whole = job("whole", 0, 4)
    Loop(whole).run()
    Loop(job("parts", 0, 3)).run()
    rest = job("parts", 3, 4, resume=True)
    Loop(rest).run()
    torch.testing.assert_close(weights(rest.model), weights(whole.model), rtol=0, atol=0)


def test_resuming_without_a_checkpoint_starts_over(make_job: MakeJob, tmp_path: Path) -> None:
    whole = make_job(folder=tmp_path / "whole")
    Loop(whole).run()
    resumed = make_job(folder=tmp_path / "other", resume=True)
    (resumed.folder).mkdir()
    (resumed.folder / "metrics.jsonl").write_text(json.dumps({"kind": "train", "update": 1, "loss": 9.0}) + "\n")
    Loop(resumed).run()
    assert losses(resumed) == losses(whole)


def test_another_stream_position_is_refused(make_job: MakeJob, corpora: Corpora) -> None:
    Loop(make_job()).run()
    other = corpora[0].stream(corpora[1], StreamOptions(batch_size=5, length=10, seed=0, shuffle=True))
    with pytest.raises(ConfigError, match="batch_size 4 then, 5 now"):
        Loop(make_job(resume=True, train=other)).run()


def test_precision_that_fell_back_stays_so_after_resuming(make_job: MakeJob) -> None:
    def needs_float32(inputs: Any, state: Any) -> None:
        if torch.is_autocast_enabled("cpu"):
            raise RuntimeError("no such kernel")

    said: list[str] = []
    training = {"precision": "float16", "max_updates": 5}
    first = Loop(spied(make_job(training=training, say=said.append), needs_float32))
    first.run()
    assert first.notes == said == ["precision float16 can't run here (no such kernel); training in float32."]
    training = {"precision": "float16", "max_updates": 8}
    second = Loop(spied(make_job(training=training, resume=True), needs_float32))
    second.run()
    assert second.step.precision == "float32" and not second.step.scaler.is_enabled()
    assert second.notes == first.notes


def test_batches_reach_the_task_as_they_are(make_job: MakeJob) -> None:
    batches: list[Batch] = []
    job = make_job(training={"max_updates": 3})
    loss = job.task.loss
    job.task.loss = lambda prediction, batch: (batches.append(batch), loss(prediction, batch))[1]  # type: ignore[method-assign]
    Loop(job).run()
    fresh = make_job().train
    for batch in batches:
        wanted = fresh.next_batch()
        assert wanted is not None
        assert torch.equal(batch.inputs.data, wanted.inputs.data) and torch.equal(batch.targets, wanted.targets)
