"""A saved model: a folder of JSON and safetensors that `recurra.load` turns into an object that predicts.

    config.json  model.safetensors  vocabulary.json  [labels.json]  metrics.json  README.md

Nothing is unpickled; every file is checked, and a damaged one is named.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

import recurra
from recurra.core import state as states
from recurra.core.config import parse
from recurra.core.errors import ConfigError, DataError, OutputError
from recurra.core.files import write_folder
from recurra.data import DataConfig, Vocabulary
from recurra.decoding import SamplingConfig, SearchConfig, beam_search, sample
from recurra.runs.card import model_card
from recurra.runs.config import RunConfig
from recurra.runs.model_files import FORMAT, digest_of, sizes_of
from recurra.runs.stage import for_evaluation
from recurra.tasks import Backtesting, Classifying, FileTask, LanguageModelling, Streaming, StreamOptions
from recurra.tasks.judging import Judged
from recurra.training.checkpoint import model_tensors, save_tensors
from recurra.training.evaluation import run_over


class Evaluation(NamedTuple):
    """What `evaluate_split` finds: figures by tag, and a prediction and a reference an item."""

    metrics: dict[str, float]
    predictions: list[Any]
    references: list[Any]


class SavedModel:
    """A trained model with all that it needs to take files and texts.

    Attributes:
        config: of the run that made it.
        task: with vocabulary and labels.
        model: the network, in evaluation mode.
        metrics: as they were measured when it was made: {"valid": {...}, "test": {...}, "baselines": {...}}.
        sha256: of the file of its weights; None while it is in no folder.
    """

    def __init__(
        self,
        config: RunConfig,
        task: FileTask,
        model: nn.Module,
        metrics: dict[str, Any],
        sha256: str | None = None,
    ) -> None:
        self.config, self.task, self.model, self.metrics = config, task, model.eval(), metrics
        self.sha256 = sha256

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.model.parameters()).device

    def predict(self, items: Sequence[Any]) -> list[Any]:
        """What the task says of each item, in short: a label, tags, a translation, an answer, how likely a text is.

        Args:
            items: texts, or what else the task takes (words, a question with its passage); an empty text is allowed.
        """
        return [self.task.brief(prediction) for prediction in self.predictions(items)]

    def predict_proba(self, items: Sequence[Any]) -> np.ndarray:
        """(N, num_labels) probabilities, in the order of `labels`."""
        if not isinstance(self.task, Classifying):
            raise ConfigError(f"a {self.config.task.kind} model has no classes; use predict.")
        return np.array([prediction.probs for prediction in self.predictions(items)]).reshape(
            len(items), len(self.labels)
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names; empty where a task has no classes."""
        return self.task.labels.names if isinstance(self.task, Classifying) else ()

    def predict_readable(self, items: Sequence[Any]) -> list[dict[str, Any]]:
        """Predictions as JSON values, with probabilities."""
        return [self.task.readable(prediction) for prediction in self.predictions(items)]

    def predictions(self, items: Sequence[Any]) -> list[Any]:
        """The task's own predictions, one an item."""
        if isinstance(items, str):
            raise DataError("predict takes a list, and got one text: write predict([text]).")
        if not len(items):
            return []
        split = self.task.encode(list(items))
        if isinstance(self.task, LanguageModelling):
            return [self._likelihoods(text) for text in items]
        ordered: list[Any] = [None] * len(items)
        stream = self.task.stream(split, for_evaluation(self.config))
        for batch, output in run_over(self.model, self.task, stream, self.device):
            for position, row in zip(batch.ids, self.task.predict(output.prediction, batch), strict=True):
                ordered[int(position)] = row
        return ordered

    def items(self, paths: str | Path | list[str], **options: Any) -> list[Any]:
        """What the files hold, as `predict` takes it.

        Args:
            paths: a file, or a list of them.
            options: fields of DataConfig, such as encoding.
        """
        return list(self.task.items(_given(paths), parse(DataConfig, options)))

    def asked_for(
        self, horizon: int | None = None, levels: Sequence[float] | float | None = None, paths: int | None = None
    ) -> SavedModel:
        """The same model with other wishes for its forecasts.

        Args:
            horizon: how many steps ahead.
            levels: of the intervals, in per cent: 80 is the interval that holds 80 of 100 values.
            paths: how many of the drawn paths `predict_readable` gives, of a model that goes step by step.
        Raises:
            ConfigError: it makes no forecasts, or can't look so far.
        """
        if isinstance(levels, int | float):
            levels = (levels,)
        task = self.task.asked_for(horizon, None if levels is None else tuple(levels), paths)
        return SavedModel(self.config, task, self.model, self.metrics)

    def live(self, item: Any) -> Any:
        """What goes on with each new observation of an item: `LiveForecast` for a series.

        Args:
            item: the history so far, as `predict` takes it.
        """
        if not isinstance(self.task, Streaming):
            raise ConfigError(f"a {self.config.task.kind} model can't go on with new observations.")
        return self.task.live(self.model, item)

    def backtest(self, paths: str | Path | list[str], stride: int = 1, **options: Any) -> dict[str, float]:
        """Metrics of forecasts from one origin after another, all of them after the time of training.

        Args:
            paths: a file, or a list of them.
            stride: steps from one origin to the next.
            options: fields of DataConfig.
        """
        if not isinstance(self.task, Backtesting):
            raise ConfigError(f"a {self.config.task.kind} model makes no forecasts, so that it can't be backtested.")
        if stride < 1:
            raise ConfigError(f"stride is {stride}: at least 1 is wanted.")
        split = self.task.read_backtest(_given(paths), parse(DataConfig, options), stride)
        return self.evaluate_split(split)[0]

    def evaluate(self, paths: str | Path | list[str], **options: Any) -> dict[str, float]:
        """Metrics on files.

        Args:
            paths: a file, a folder, or a list of them.
            options: fields of DataConfig, such as text_column or encoding.
        """
        return self.evaluate_split(self.task.read(_given(paths), parse(DataConfig, options)))[0]

    def evaluate_items(self, items: Sequence[Any], targets: Sequence[Any] | None = None) -> dict[str, float]:
        """Metrics on items at hand.

        Args:
            items: texts, or what else the task takes.
            targets: one an item: a label (or several), tags, a translation, an answer; none for a language model.
        """
        wanted = [] if targets is None else list(targets)
        return self.evaluate_split(self.task.encode_labelled(list(items), wanted))[0]

    def evaluate_split(self, split: Any) -> Evaluation:
        """Metrics of an encoded split, with its predictions and references in the order of the split."""
        metrics = self.task.metrics()
        stream = self.task.stream(split, for_evaluation(self.config))
        rows: list[tuple[int, Any, Any]] = []
        for batch, output in run_over(self.model, self.task, stream, self.device):
            predictions, references = self.task.predict(output.prediction, batch), self.task.references(batch)
            metrics.update(predictions, references)
            rows += zip(stream.last_indices, predictions, references, strict=True)
        rows.sort(key=itemgetter(0))
        return Evaluation(metrics.compute(), [row[1] for row in rows], [row[2] for row in rows])

    def judge(self, split: Any) -> Judged:
        """How each item of an encoded split is answered."""
        found = self.evaluate_split(split)
        return self.task.judge(split, found.predictions, found.references)

    def generate(self, prompt: str = "", **sampling: Any) -> str:
        """Continue a prompt; the result starts with it.

        Args:
            prompt: may be empty: the start of a document.
            sampling: fields of SamplingConfig: max_length, temperature, top_k, top_p, repetition_penalty, seed.
        """
        return prompt + "".join(self.generate_stream(prompt, **sampling))

    def generate_stream(self, prompt: str = "", **sampling: Any) -> Iterator[str]:
        """Continue a prompt, yielding text as it comes."""
        config = parse(SamplingConfig, sampling)
        vocabulary, start, never = self._prompt(prompt)
        drawn = sample(
            self.model.stream(),  # type: ignore[operator]
            start,
            config,
            stop=vocabulary.eos_index,
            never=never,
            device=self.device,
        )
        tokens = start[1:]
        shown = len(vocabulary.decode(tokens))
        for token in drawn:
            tokens.append(token)
            text = vocabulary.decode(tokens)
            if text.endswith("\ufffd"):
                continue  # a character that needs further bytes
            if len(text) > shown:
                yield text[shown:]
                shown = len(text)

    @torch.no_grad()
    def complete(self, prompt: str = "", **search: Any) -> list[tuple[str, float]]:
        """The likeliest continuations of a prompt, by beam search.

        Args:
            prompt: may be empty: the start of a document.
            search: fields of SearchConfig: beam_size, num_best, max_length, length_penalty, no_repeat_ngram, ...
        Returns:
            Texts that start with the prompt, and their scores, best first.
        """
        vocabulary, prompt_tokens, never = self._prompt(prompt)
        config = parse(SearchConfig, search)
        state = None
        for token in prompt_tokens[:-1]:
            _, state = self.model.step(torch.tensor([token], device=self.device), state)  # type: ignore[operator]
        rows = torch.zeros(config.beam_size, dtype=torch.int64, device=self.device)
        (found,) = beam_search(
            self.model,  # type: ignore[arg-type]
            None if state is None else states.select(state, rows),
            config,
            start=prompt_tokens[-1],
            eos=vocabulary.eos_index,
            limits=torch.tensor([config.max_length], device=self.device),
            never=never,
        )
        return [(vocabulary.decode([*prompt_tokens[1:], *best.tokens]), best.score) for best in found]

    def save(self, folder: str | Path) -> None:
        """Write the folder; it appears whole or not at all.

        Raises:
            OutputError: the folder can't be written, or holds something else than a saved model.
        """
        path = Path(folder)
        if path.exists() and not (path / "model.safetensors").is_file() and not _is_empty_folder(path):
            raise OutputError(f"{path}: holds something else than a saved model, and nothing is overwritten.")

        def fill(building: Path) -> None:
            tensors = {name: t.detach().cpu().contiguous().clone() for name, t in model_tensors(self.model).items()}
            save_tensors(building / "model.safetensors", tensors)
            self.sha256 = digest_of(building / "model.safetensors")
            described = {
                "format": FORMAT,
                "recurra": recurra.__version__,
                "run": self.config.model_dump(mode="json"),
                "spec": sizes_of(self.task.spec),
                "sha256": self.sha256,
            }
            for name, value in {"config.json": described, "metrics.json": self.metrics, **self.task.files()}.items():
                text = json.dumps(value, ensure_ascii=False, indent=None if "vocabulary" in name else 1)
                (building / name).write_text(text + "\n", encoding="utf-8")
            (building / "README.md").write_text(model_card(self.config, self.task, self.metrics), encoding="utf-8")

        write_folder(path, fill)

    def _prompt(self, prompt: str) -> tuple[Vocabulary, list[int], list[int]]:
        """The vocabulary, the tokens to start from, and those that are never generated."""
        task = self.task
        if not isinstance(task, LanguageModelling):
            raise ConfigError(f"a {self.config.task.kind} model can't generate; train a language model for that.")
        never = [] if task.vocabulary.unk_index is None else [task.vocabulary.unk_index]
        return task.vocabulary, task.encode_prompt(prompt), never

    def _likelihoods(self, text: str) -> Any:
        """The log-probabilities of one text's tokens, in one piece."""
        split = self.task.encode([text])
        stream = self.task.stream(split, StreamOptions(batch_size=1, length=1 << 16, seed=0, shuffle=False))
        rows = [
            row
            for batch, output in run_over(self.model, self.task, stream, self.device)
            for row in self.task.predict(output.prediction, batch)
        ]
        return torch.cat(rows)


def _given(paths: str | Path | list[str]) -> str | list[str]:
    return list(map(str, paths)) if isinstance(paths, list) else str(paths)


def _is_empty_folder(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())
