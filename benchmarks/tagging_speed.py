"""Sentences a second at inference: recurra's tagger against Flair's SequenceTagger of the same sizes.

    python -m venv peers
    peers/bin/pip install torch==2.13.0 . flair==0.15.1
    RECURRA_DATA=... OMP_NUM_THREADS=1 peers/bin/python benchmarks/tagging_speed.py [--rounds 3] [--budget 30]
    RECURRA_DATA=... OMP_NUM_THREADS=2 peers/bin/python benchmarks/tagging_speed.py --threads 2

Both tag the test sentences of UD English-EWT with parts of speech, in one process and in turns; one thread by CPU time,
two by wall time, which wants a quiet machine. Word vectors, a biLSTM over characters, a biLSTM over words and a CRF,
with random weights. Before the clock starts, Flair's tagger gets recurra's weights, and the tags must be the same.
Three rows: words in and tags out, as a user has it; sentences that are encoded already; and their vectors, which leaves
the biLSTM over words, the scores and Viterbi's algorithm.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable
from pathlib import Path

import flair
import torch
from flair.data import Dictionary, Sentence
from flair.embeddings import CharacterEmbeddings, OneHotEmbeddings, StackedEmbeddings
from flair.models import SequenceTagger
from kernel_bench.clock import say
from kernel_bench.markdown import table
from peer_report import data, head, run_race, write
from torch import nn

from recurra.core.sequences import Sequences
from recurra.data import DataConfig, VocabularyConfig
from recurra.layers import TagScores
from recurra.models import Tagger, TaggerConfig
from recurra.runs import RunConfig, SavedModel
from recurra.tasks import Tagging, TaggingConfig
from recurra.tasks.base import Preparation
from recurra.training import TrainingConfig
from recurra.training.evaluation import run_over

EMBEDDING, CHARACTER, CHARACTER_HIDDEN = 100, 25, 25
CASES = ((256, 32), (128, 32), (256, 1))  # units each way, sentences at once; 256 is Flair's default
TOLERANCE = 1e-3  # nats
_NEVER = -1e4


class Taggers:
    """Both taggers with their sentences.

    Attributes:
        words: the test sentences.
        ours: recurra's saved model.
        theirs: Flair's tagger.
    """

    def __init__(self, hidden_size: int, batch_size: int) -> None:
        torch.manual_seed(0)
        self.batch_size = batch_size
        folder = ("sequence_labelling", "ud_english_ewt")
        files = {part: data(*folder, f"en_ewt-ud-{part}.conllu.gz") for part in ("train", "test")}
        config = TaggingConfig(vocabulary=VocabularyConfig(kind="word", min_frequency=2))
        source = DataConfig(**files, valid_fraction=0.0)
        task = Tagging.prepare(config, Preparation(data=source, seed=0, cache=Path("unused"))).task
        sizes = TaggerConfig(
            embedding_dim=EMBEDDING,
            character_dim=CHARACTER,
            character_hidden_size=CHARACTER_HIDDEN,
            hidden_size=hidden_size,
            bidirectional=True,
        )
        run = RunConfig(task=config, model=sizes, training=TrainingConfig(batch_size=batch_size))
        self.words = list(task.items(files["test"], DataConfig()))
        self.task, self.model = task, Tagger(sizes, task.spec).eval()
        self.ours = SavedModel(run, task, self.model, {})
        self.theirs = build_flair(task, hidden_size)
        self._copy_weights()

    def _copy_weights(self) -> None:
        """Give Flair recurra's weights, blown up so that tags differ from word to word."""
        with torch.no_grad():
            for weight in self.model.parameters():
                weight.mul_(2)
            vectors, theirs = self.model.encoder.vectors, self.theirs
            words, characters = theirs.embeddings.embeddings
            words.embedding_layer.weight.copy_(vectors.embedding.weight)
            characters.char_embedding.weight.copy_(vectors.characters.embedding.weight)
            _copy_lstm(characters.char_rnn, vectors.characters.recurrent)
            _copy_lstm(theirs.rnn, self.model.encoder.recurrent)
            count = self.task.spec.output_size
            theirs.linear.weight.zero_()[:count] = self.model.output.weight
            theirs.linear.bias.fill_(_NEVER)[:count] = self.model.output.bias
            chain, (start, stop) = self.model.crf.weights(), (count, count + 1)
            theirs.crf.transitions[:count, :count] = chain.transitions.T
            theirs.crf.transitions[:count, start] = chain.start
            theirs.crf.transitions[stop, :count] = chain.end

    def differing(self) -> tuple[int, int]:
        """In how many sentences the tags are not equally good, and of how many.

        The characters' backward direction is silenced meanwhile: Flair reads its output after the word's last character
        alone. Left out are sentences that say a word twice, where Flair gives all but one of the two another word's
        vector, and those with words so long that recurra leaves out their middle.
        """
        kept = {}
        for lstm in (self.theirs.embeddings.embeddings[1].char_rnn, self.model.encoder.vectors.characters.recurrent):
            for name, weight in lstm.named_parameters():
                if name.endswith("_reverse") or name.startswith("cells.1."):
                    kept[weight] = weight.detach().clone()
                    weight.detach().zero_()
        longest = self.task.config.max_spelling
        words = [one for one in self.words if len(set(one)) == len(one) and max(map(len, one)) <= longest]
        found = tag_with_flair(self.theirs, words, self.batch_size)
        differ = sum(map(self._is_worse, words, found, self.ours.predict(words)))
        for weight, values in kept.items():
            weight.detach().copy_(values)
        return differ, len(words)

    @torch.no_grad()
    def _is_worse(self, words: list[str], found: list[str], best: list[str]) -> bool:
        """Whether tags are less likely than the best ones by more than rounding; two rows of tags may be as good."""
        if list(found) == list(best):
            return False
        batch = self.task.collate(self.task.encode_labelled([words, words], [found, best]))
        other, own = self.model(batch.inputs).prediction.log_likelihood(batch.targets).tolist()
        return own - other > TOLERANCE


def _copy_lstm(theirs: nn.LSTM, ours: nn.Module) -> None:
    for cell, ending in zip(ours.cells, ("", "_reverse"), strict=True):
        for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
            getattr(theirs, f"{part}_l0{ending}").copy_(getattr(cell, part))


def build_flair(task: Tagging, hidden_size: int) -> SequenceTagger:
    """Flair's tagger with as many words, characters and tags; it adds two tags for the ends of a sentence."""
    words, characters, tags = Dictionary(add_unk=True), Dictionary(add_unk=True), Dictionary(add_unk=False)
    for known, vocabulary in ((words, task.lexicon.words), (characters, task.lexicon.characters)):
        for index in range(1, vocabulary.size):
            known.add_item(vocabulary.token(index) or "the end")
        assert len(known) == vocabulary.size, "each entry once"
    for name in task.labels.names:
        tags.add_item(name)
    embeddings = [
        OneHotEmbeddings(words, embedding_length=EMBEDDING),
        CharacterEmbeddings(characters, CHARACTER, CHARACTER_HIDDEN),
    ]
    tagger = SequenceTagger(
        StackedEmbeddings(embeddings),
        tags,
        "upos",
        hidden_size=hidden_size,
        reproject_embeddings=False,
        word_dropout=0.0,
        locked_dropout=0.0,
    )
    return tagger.eval()


def tag_with_flair(tagger: SequenceTagger, words: list[list[str]], batch_size: int) -> list[list[str]]:
    """Words in, tags out."""
    sentences = [Sentence(sentence) for sentence in words]
    tagger.predict(sentences, mini_batch_size=batch_size, embedding_storage_mode="none")
    return [[token.get_label("upos").value for token in sentence] for sentence in sentences]


Work = Callable[[], object]


def rows(taggers: Taggers) -> dict[str, tuple[Work, Work]]:
    """Of the table: recurra's work and Flair's."""
    return {
        "words to tags": (
            lambda: taggers.ours.predict(taggers.words),
            lambda: tag_with_flair(taggers.theirs, taggers.words, taggers.batch_size),
        ),
        "encoded sentences to tags": (_ours_encoded(taggers), _flair_encoded(taggers)),
        "vectors to tags": (_ours_vectors(taggers), _flair_vectors(taggers)),
    }


def _ours_encoded(taggers: Taggers) -> Work:
    batches = _batches(taggers)

    @torch.no_grad()
    def work() -> None:
        for batch in batches:
            taggers.model(batch.inputs).prediction.best()

    return work


def _ours_vectors(taggers: Taggers) -> Work:
    model = taggers.model
    with torch.no_grad():
        vectors = [model.encoder.vectors(batch.inputs) for batch in _batches(taggers)]

    @torch.no_grad()
    def work() -> None:
        for inputs in vectors:
            encoded: Sequences = model.encoder.recurrent(inputs).outputs
            TagScores(encoded.with_data(model.output(encoded.data)), model.crf.weights()).best()

    return work


def _batches(taggers: Taggers) -> list:
    """The batches that `SavedModel.predict` makes."""
    stream = taggers.ours._stream(taggers.task.encode(taggers.words))
    return [batch for batch, _ in run_over(taggers.model, taggers.task, stream, torch.device("cpu"))]


def _flair_encoded(taggers: Taggers) -> Work:
    tagger = taggers.theirs
    batches = _flair_batches(taggers)

    @torch.no_grad()
    def work() -> None:
        for batch in batches:
            vectors, lengths = tagger._prepare_tensors(batch)
            tagger.viterbi_decoder.decode(tagger.forward(vectors, lengths), False, batch)
            for sentence in batch:
                sentence.clear_embeddings()

    return work


def _flair_vectors(taggers: Taggers) -> Work:
    tagger = taggers.theirs
    batches = _flair_batches(taggers)
    with torch.no_grad():
        prepared = [tagger._prepare_tensors(batch) for batch in batches]

    @torch.no_grad()
    def work() -> None:
        for (vectors, lengths), batch in zip(prepared, batches, strict=True):
            tagger.viterbi_decoder.decode(tagger.forward(vectors, lengths), False, batch)

    return work


def _flair_batches(taggers: Taggers) -> list[list[Sentence]]:
    """As `SequenceTagger.predict` makes them: the longest first."""
    ordered = [Sentence(words) for words in sorted(taggers.words, key=len, reverse=True)]
    size = taggers.batch_size
    return [ordered[start : start + size] for start in range(0, len(ordered), size)]


def main() -> int:
    """Measure, print and write; 1 where tags differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--budget", type=float, default=30.0, help="seconds of a row in a round")
    parser.add_argument("--cases", type=int, nargs="+", default=range(len(CASES)), help="of CASES, narrows the run")
    given = parser.parse_args()
    logging.getLogger("flair").setLevel(logging.ERROR)
    torch.set_num_threads(given.threads)
    flair.device = torch.device("cpu")
    clock = "process" if given.threads == 1 else "wall"
    lines, good, top = [], True, None
    for hidden_size, batch_size in (CASES[index] for index in given.cases):
        taggers = Taggers(hidden_size, batch_size)
        differ, compared = taggers.differing()
        good = good and differ == 0
        top = top or head("Tagging speed: recurra and Flair", ("flair",), _notes(given, taggers, compared))
        for name, works in rows(taggers).items():
            race = run_race(f"{name}, {hidden_size}, {batch_size}", works, given.rounds, given.budget, clock)
            speeds = [f"{len(taggers.words) / race.seconds(index):,.0f}" for index in range(2)]
            sizes = [f"{sum(p.numel() for p in model.parameters()):,}" for model in (taggers.model, taggers.theirs)]
            lines.append([name, str(hidden_size), str(batch_size), *sizes, str(differ), *speeds, race.ratio(1)])
    columns = ["from", "units", "at once", "weights", "Flair's", "differ", "recurra, sentences/s", "Flair", "ratio"]
    text = f"{top}\n{table(columns, lines)}\n"
    print(text)
    if list(given.cases) == list(range(len(CASES))):
        write("tagging_speed.md" if given.threads == 1 else f"tagging_speed-{given.threads}t.md", text)
    if not good:
        say("tags differ")
    return 0 if good else 1


def _notes(given: argparse.Namespace, taggers: Taggers, compared: int) -> list[str]:
    spec = taggers.task.spec
    timed = "1 thread, CPU time of the process" if given.threads == 1 else f"{given.threads} threads, wall time"
    return [
        f"{timed}, in turns; medians, geometric mean over {given.rounds} rounds (and between which ratios they lie); "
        "above 1 recurra is faster",
        f"UD English-EWT test, {len(taggers.words):,} sentences of {sum(map(len, taggers.words)):,} words; "
        f"{spec.input_size:,} words of {EMBEDDING} numbers, {spec.character_size} characters of {CHARACTER} and "
        f"{CHARACTER_HIDDEN} units each way, a biLSTM, {spec.output_size} tags, CRF; Flair has two tags more, for the "
        "ends of a sentence",
        f"differ: sentences whose tags are not equally good, of {compared:,} that say no word twice and none of over "
        f"{taggers.task.config.max_spelling} characters (recurra reads so many of a word), same weights",
        "recurra's tags come with probabilities from the CRF's forward and backward pass, Flair's with a softmax over "
        "Viterbi's scores; Flair's embeddings are not kept (embedding_storage_mode none)",
    ]


if __name__ == "__main__":
    sys.exit(main())
