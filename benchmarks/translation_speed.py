"""Target words a second in training: recurra's encoder-decoder against JoeyNMT's recurrent model of the same sizes.

    python -m venv peers
    peers/bin/pip install torch==2.13.0 .[text] sentencepiece subword-nmt matplotlib tensorboard importlib_metadata
    peers/bin/pip install --no-deps joeynmt==2.3.0
    RECURRA_DATA=... OMP_NUM_THREADS=1 peers/bin/python benchmarks/translation_speed.py [--rounds 3] [--budget 30]

(Of JoeyNMT's own requirements that is what it imports here; all of them would want an old protobuf.) Both train on the
same batches of Multi30k de-en, in one process and in turns; one thread, CPU time. A training step is forward, backward,
clipping and Adam: `TrainStep` as recurra's loop calls it, and `TrainManager._train_step` with the lines round it that
JoeyNMT's loop has. Before the clock starts, JoeyNMT's model gets recurra's weights, and the losses and all gradients
must agree.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import torch
from joeynmt.batch import Batch as JoeyBatch
from joeynmt.builders import build_optimizer
from joeynmt.model import Model as JoeyModel
from joeynmt.model import build_model
from joeynmt.training import TrainManager
from joeynmt.vocabulary import Vocabulary
from kernel_bench.clock import say
from kernel_bench.markdown import table
from peer_report import data, head, run_race, write
from torch import Tensor, nn

from recurra.core.batch import Batch, TaskSpec
from recurra.core.inputs import Pair
from recurra.data import DataConfig, VocabularyConfig
from recurra.models import EncoderDecoder, EncoderDecoderConfig
from recurra.tasks import Translation, TranslationConfig
from recurra.tasks.base import Preparation, StreamOptions
from recurra.training import start_world
from recurra.training.optimizer import AdamConfig
from recurra.training.step import TrainStep

UNK, PAD, BOS, EOS = range(4)
RATE, CLIP = 1e-3, 1.0
TOLERANCE = 1e-4
_NEGLIGIBLE = 1e-4


@dataclass(frozen=True)
class Case:
    """One architecture.

    Attributes:
        cell: gru or lstm.
        attention: bahdanau or luong, as JoeyNMT calls them; recurra's additive and general.
        feeding: whether the attention's output enters the next step.
        dropout: of the embeddings and of what the attention's layer sees.
        embedding, hidden: sizes; the encoder has `hidden` units each way, the decoder `hidden`.
    """

    cell: str
    attention: str
    feeding: bool
    dropout: float = 0.2
    embedding: int = 256
    hidden: int = 256

    @property
    def name(self) -> str:
        """For a row."""
        return f"{self.cell.upper()}, {self.attention}, {'input feeding' if self.feeding else 'no feeding'}"


CASES = tuple(
    Case(cell, attention, feeding)
    for feeding in (True, False)
    for cell in ("gru", "lstm")
    for attention in ("bahdanau", "luong")
)


class Problem:
    """Batches of Multi30k in JoeyNMT's numbering, which has two special words more, so that all sizes are the same."""

    def __init__(self, num_batches: int, batch_size: int) -> None:
        words = VocabularyConfig(kind="word", min_frequency=2, lowercase=True)
        files = [data("machine_translation", "multi30k_de_en", f"train.{side}.gz") for side in ("de", "en")]
        prepared = Translation.prepare(
            TranslationConfig(vocabulary=words), Preparation(data=DataConfig(train=files), seed=0, cache=Path("unused"))
        )
        self.task = prepared.task
        stream = self.task.stream(
            prepared.splits.train, StreamOptions(batch_size=batch_size, length=0, seed=0, shuffle=True)
        )
        self.batches = [_renumbered(stream.next_batch()) for _ in range(num_batches)]
        given = self.task.spec
        self.spec = replace(
            given,
            input_size=given.input_size + 2,
            output_size=given.output_size + 2,
            output_prior=None,
            eos_index=EOS,
        )
        self.num_words = sum(batch.inputs.target.num_real_steps() for batch in self.batches)


def _renumbered(batch: Batch) -> Batch:
    """Words move up by two; the target begins with BOS."""
    source, target = batch.inputs.source, batch.inputs.target
    shown = _move(target.data)
    shown[:, 0] = BOS
    inputs = Pair(source.with_data(_move(source.data)), target.with_data(shown))
    return Batch(inputs, _move(batch.targets), batch.ids)


def _move(tokens: Tensor) -> Tensor:
    tokens = tokens.long()
    return torch.where(tokens == 0, UNK, torch.where(tokens == 1, EOS, tokens + 2))


def _joey_batch(batch: Batch) -> JoeyBatch:
    source, target = batch.inputs.source, batch.inputs.target
    shown = torch.where(source.mask, source.data, PAD)
    wanted = torch.where(target.mask, batch.targets, PAD)
    wanted = torch.cat([torch.full_like(wanted[:, :1], BOS), wanted], 1)
    rows = torch.arange(len(wanted))
    return JoeyBatch(shown, source.mask.sum(1), None, wanted, None, rows, torch.device("cpu"), PAD, EOS)


def build_ours(case: Case, spec: TaskSpec) -> EncoderDecoder:
    """recurra's model."""
    attention = {"kind": "general"}
    if case.attention == "bahdanau":
        attention = {"kind": "additive", "attention_size": case.hidden}
    config = EncoderDecoderConfig.model_validate(
        {
            "cell": {"kind": case.cell},
            "embedding_dim": case.embedding,
            "hidden_size": case.hidden,
            "bidirectional": True,
            "tied": "none",
            "dropout": {"input": case.dropout, "output": case.dropout},
            "decoder": {
                "attention": attention,
                "input_feeding": "output" if case.feeding else "none",
                "readout_size": case.hidden,
                "bridge": case.cell == "gru",
            },
        }
    )
    return EncoderDecoder(config, spec)


def build_joey(case: Case, spec: TaskSpec) -> JoeyModel:
    """JoeyNMT's model, as its configuration files describe it."""
    sizes = {"rnn_type": case.cell, "hidden_size": case.hidden, "num_layers": 1, "type": "recurrent"}
    embeddings = {"embedding_dim": case.embedding, "scale": False, "dropout": case.dropout}
    described = {
        "encoder": {**sizes, "embeddings": embeddings, "bidirectional": True},
        "decoder": {
            **sizes,
            "embeddings": embeddings,
            "hidden_dropout": case.dropout,
            "attention": case.attention,
            "input_feeding": case.feeding,
            # an LSTM's bridge is another thing in either library
            "init_hidden": "bridge" if case.cell == "gru" else "zero",
        },
    }
    model = build_model(described, _vocabulary(spec.input_size), _vocabulary(spec.output_size))
    model.loss_function = ("crossentropy", 0.0)
    return model


def _vocabulary(size: int) -> Vocabulary:
    names = {"unk": UNK, "pad": PAD, "bos": BOS, "eos": EOS}
    special = {f"{name}_token": f"<{name}>" for name in names} | {f"{name}_id": index for name, index in names.items()}
    empty = Vocabulary([], SimpleNamespace(**special, sep_token=None, sep_id=None, lang_tags=[]))
    words = [f"w{index}" for index in range(len(empty), size)]
    # `add_tokens` looks through the whole list for each word
    empty._itos += words
    empty._stoi |= {word: index for index, word in enumerate(words, len(names))}
    return empty


def twins(ours: EncoderDecoder) -> dict[str, Callable[[dict[str, Tensor]], Tensor]]:
    """JoeyNMT's name of a weight -> the same out of recurra's, or out of their gradients."""
    width = ours.target_decoder.attention.context_size

    def same(name: str) -> Callable[[dict[str, Tensor]], Tensor]:
        return lambda found: found[name]

    def turned(found: dict[str, Tensor]) -> Tensor:
        readout = found["target_decoder.readout.weight"]
        return torch.cat([readout[:, width:], readout[:, :width]], 1)

    names = {
        "src_embed.lut.weight": same("encoder.embedding.weight"),
        "trg_embed.lut.weight": same("embedding.weight"),
        "decoder.output_layer.weight": same("head.weight"),
        "decoder.att_vector_layer.bias": same("target_decoder.readout.bias"),
        "decoder.att_vector_layer.weight": turned,
    }
    for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        names[f"encoder.rnn.{part}_l0"] = same(f"encoder.recurrent.cells.0.{part}")
        names[f"encoder.rnn.{part}_l0_reverse"] = same(f"encoder.recurrent.cells.1.{part}")
        names[f"decoder.rnn.{part}_l0"] = same(f"target_decoder.recurrent.cells.0.{part}")
    if ours.bridge is not None:
        names |= {f"decoder.bridge_layer.{part}": same(f"bridge.layers.0.{part}") for part in ("weight", "bias")}
    attention = "target_decoder.attention"
    if f"{attention}.value" in dict(ours.named_parameters()):
        names["decoder.attention.key_layer.weight"] = same(f"{attention}.key.weight")
        names["decoder.attention.query_layer.weight"] = same(f"{attention}.query.weight")
        names["decoder.attention.energy_layer.weight"] = lambda found: found[f"{attention}.value"][None]
    else:
        names["decoder.attention.key_layer.weight"] = lambda found: found[f"{attention}.query.weight"].T
    return names


def difference(case: Case, problem: Problem) -> float:
    """The largest norm-relative difference of loss and gradients on the same weights, without dropout."""
    plain = replace(case, dropout=0.0)
    ours, joey = build_ours(plain, problem.spec), build_joey(plain, problem.spec)
    with torch.no_grad():
        for name, weight in ours.named_parameters():
            if name in ("head.bias", "target_decoder.attention.query.bias"):
                weight.zero_()  # JoeyNMT has none
        weights = dict(ours.named_parameters())
        mapped = twins(ours)
        for name, weight in joey.named_parameters():
            weight.copy_(mapped[name](weights))
    batch = problem.batches[0]
    loss = problem.task.loss(ours(batch.inputs).prediction, batch).mean()
    loss.backward()
    other = _joey_backward(joey, _joey_batch(batch))
    slopes = {name: weight.grad for name, weight in weights.items()}
    pairs = [(weight.grad, mapped[name](slopes)) for name, weight in joey.named_parameters()]
    # The additive attention's query has next to no gradient at the start: rounding alone.
    least = _NEGLIGIBLE * max(float(wanted.norm()) for _, wanted in pairs)
    errors = [float((grad - wanted).norm()) / max(float(wanted.norm()), least) for grad, wanted in pairs]
    return max(abs(other - float(loss)) / float(loss), *errors)


def _joey_backward(model: JoeyModel, batch: JoeyBatch) -> float:
    """JoeyNMT's own training step up to the gradients; the mean loss."""
    manager = SimpleNamespace(
        model=model,
        args=SimpleNamespace(normalization="tokens", batch_multiplier=1),
        autocast={"device_type": "cpu", "enabled": False},
        n_gpu=0,
        scaler=None,
    )
    loss, _ = TrainManager._train_step(manager, batch)
    return loss


def make_ours(case: Case, problem: Problem) -> tuple[nn.Module, Callable[[], None]]:
    """The model, and one pass over all batches."""
    torch.manual_seed(0)
    model = build_ours(case, problem.spec).train()
    config = AdamConfig(learning_rate=RATE, clip_norm=CLIP)
    optimizer = config.build([list(model.parameters())])
    step = TrainStep(model, problem.task, optimizer, config, start_world("cpu"), "float32", carries_state=False)

    def run() -> None:
        for batch in problem.batches:
            step([batch], None, 1.0)
            step.apply()

    return model, run


def make_joey(case: Case, problem: Problem, fused: bool = False) -> tuple[nn.Module, Callable[[], None]]:
    """The same of JoeyNMT; `fused` gives it an Adam that its configuration can't ask for."""
    torch.manual_seed(0)
    model = build_joey(case, problem.spec)
    optimizer = build_optimizer({"optimizer": "adam", "learning_rate": RATE}, model.parameters())
    if fused:
        optimizer = torch.optim.Adam(model.parameters(), lr=RATE, fused=True)
    batches = [_joey_batch(batch) for batch in problem.batches]

    def run() -> None:
        for batch in batches:
            _joey_backward(model, batch)
            nn.utils.clip_grad_norm_(parameters=model.parameters(), max_norm=CLIP)
            optimizer.step()
            model.zero_grad()

    return model, run


def main() -> int:
    """Measure, print and write; 1 where the two models' numbers differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--budget", type=float, default=30.0, help="seconds of a row in a round")
    parser.add_argument("--batches", type=int, default=6, help="of a pass")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--cases", type=int, nargs="+", default=range(len(CASES)), help="rows, narrows the run")
    given = parser.parse_args()
    logging.disable(logging.INFO)
    torch.set_num_threads(1)
    problem = Problem(given.batches, given.batch_size)
    rows, good = [], True
    notes = _notes(given, problem)
    top = head("Training speed of translation: recurra and JoeyNMT", ("joeynmt",), notes)
    for case in (CASES[index] for index in given.cases):
        error = difference(case, problem)
        good = good and error <= TOLERANCE
        made = [make_ours(case, problem), make_joey(case, problem), make_joey(case, problem, fused=True)]
        race = run_race(case.name, [run for _, run in made], given.rounds, given.budget)
        speeds = [f"{problem.num_words / race.seconds(index):,.0f}" for index in range(3)]
        sizes = [f"{sum(p.numel() for p in model.parameters()):,}" for model, _ in made[:2]]
        rows.append([case.name, *sizes, f"{error:.0e}", *speeds, race.ratio(1), race.ratio(2)])
    columns = ["model", "weights", "JoeyNMT's", "differ by", "words/s", "JoeyNMT", "JoeyNMT, fused Adam"]
    text = top + "\n" + table([*columns, "ratio", "ratio to fused"], rows) + "\n"
    print(text)
    if list(given.cases) == list(range(len(CASES))):
        write("translation_speed.md", text)
    if not good:
        say(f"loss or gradients differ by more than {TOLERANCE}")
    return 0 if good else 1


def _notes(given: argparse.Namespace, problem: Problem) -> list[str]:
    spec, case = problem.spec, CASES[0]
    return [
        f"1 thread, CPU time of the process, in turns; medians, geometric mean over {given.rounds} rounds (and between "
        "which ratios they lie); above 1 recurra is faster",
        f"Multi30k de-en, {given.batches} batches of {given.batch_size} pairs of similar length, {problem.num_words:,} "
        f"target words with the ends; vocabularies {spec.input_size:,} and {spec.output_size:,}; embeddings "
        f"{case.embedding}, encoder {case.hidden} each way, decoder {case.hidden}, dropout {case.dropout}, Adam, "
        f"clipping at norm {CLIP}",
        "weights: recurra has a bias in the softmax and in the additive attention's query, JoeyNMT has none",
        "differ by: largest norm-relative difference of the loss and of every gradient, same weights, no dropout",
    ]


if __name__ == "__main__":
    sys.exit(main())
