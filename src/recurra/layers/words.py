"""Words to vectors and to outputs of every word: the text encoder of taggers and readers.

A word's vector is made of its own embedding, of its characters read both ways, and of what pretrained language models
hold after reading the text up to it.

Sources: characters: Lample et al. (2016), section 4.1, https://arxiv.org/abs/1603.01360; language models: Akbik et al.
(2018), section 2.3, https://aclanthology.org/C18-1139.
"""

from __future__ import annotations

import contextlib

import torch
from pydantic import Field
from torch import Tensor, nn

from recurra.core.batch import TaskSpec
from recurra.core.errors import ConfigError, ShapeError
from recurra.core.inputs import Words
from recurra.core.sequences import Sequences
from recurra.kernels.rows import clear_padding
from recurra.layers.embedding import TokenEmbedding
from recurra.layers.encoder import TokenEncoder, TokenEncoderConfig
from recurra.layers.pooling import Pooling
from recurra.layers.recurrent import Recurrent, RecurrentConfig


class WordEncoderConfig(RecurrentConfig):
    """Word vectors and a recurrent stack over them."""

    embedding_dim: int = Field(default=100, ge=1, description="size of a word's own vector")
    character_dim: int = Field(default=25, ge=0, description="size of a character's vector; 0 leaves characters out")
    character_hidden_size: int = Field(default=25, ge=1, description="units of each direction over the characters")
    forward_lm: TokenEncoderConfig | None = Field(default=None, description="encoder of a pretrained language model")
    backward_lm: TokenEncoderConfig | None = Field(default=None, description="the same of one that reads backward")
    lm_size: int = Field(default=0, ge=0, description="project what they hold to this; 0 takes it whole")
    train_lm: bool = Field(default=False, description="train them too, instead of leaving them as they are")


class WordEmbedding(nn.Module):
    """A vector for each word of a sentence.

    Attributes:
        output_size: features of a word: own vector, both ends of its spelling, language models' outputs.
        forward_lm, backward_lm: encoders of pretrained language models, or None; they stay in evaluation mode and get
            no gradient unless `train_lm`.
    """

    def __init__(self, config: WordEncoderConfig, spec: TaskSpec) -> None:
        super().__init__()
        self.config = config
        self.embedding = TokenEmbedding(spec.input_size, config.embedding_dim, config.dropout.embedding)
        self.output_size = config.embedding_dim
        self.characters: TokenEncoder | None = None
        if config.character_dim and spec.character_size:
            self.characters = TokenEncoder(spec.character_size, _character_config(config))
            self.last = Pooling("last", self.characters.output_size, bidirectional=True)
            self.output_size += self.characters.output_size
        self.forward_lm = _language_model("forward", config.forward_lm, spec)
        self.backward_lm = _language_model("backward", config.backward_lm, spec)
        size = sum(model.output_size for model in self.language_models)
        self.projection = nn.Linear(size, config.lm_size) if size and config.lm_size else None
        self.output_size += config.lm_size if self.projection is not None else size
        for model in self.language_models:
            model.requires_grad_(config.train_lm)

    @property
    def language_models(self) -> list[TokenEncoder]:
        """Those that there are, the forward one first."""
        return [model for model in (self.forward_lm, self.backward_lm) if model is not None]

    def forward(self, inputs: Words) -> Sequences:
        """Words (B, T) -> vectors (B, T, output_size), zero on padding.

        Raises:
            ShapeError: characters or text are wanted, and `inputs` holds none.
        """
        words = self.embedding(inputs.words)
        parts = [words.data]
        if self.characters is not None:
            if inputs.spellings is None or inputs.spelling_of is None:
                raise ShapeError("WordEmbedding reads characters, and got Words without spellings.")
            spelt = self.last(self.characters(inputs.spellings).outputs)
            parts.append(spelt[inputs.spelling_of])
        if self.language_models:
            parts.append(self._read_text(inputs))
        vectors: Sequences = inputs.words.with_data(clear_padding(torch.cat(parts, -1), inputs.words.lengths))
        return vectors

    def train(self, mode: bool = True) -> WordEmbedding:
        """Training mode, but for language models that are left as they are."""
        super().train(mode)
        if not self.config.train_lm:
            for model in self.language_models:
                model.eval()
        return self

    def layer_parameters(self) -> list[list[nn.Parameter]]:
        """Parameters of the language models, then of the rest."""
        models = [weight for model in self.language_models for weight in model.parameters()]
        known = {id(weight) for weight in models}
        rest = [weight for weight in self.parameters() if id(weight) not in known]
        return [models, rest] if models else [rest]

    def _read_text(self, inputs: Words) -> Tensor:
        """What the language models hold at each word: forward after its last token, backward after its first."""
        if inputs.text is None or inputs.starts is None or inputs.ends is None:
            raise ShapeError("WordEmbedding reads with a language model, and got Words without text.")
        found = []
        with contextlib.nullcontext() if self.config.train_lm else torch.no_grad():
            if self.forward_lm is not None:
                found.append(_take_steps(read_forward(self.forward_lm, inputs.text), inputs.ends))
            if self.backward_lm is not None:
                found.append(_take_steps(read_backward(self.backward_lm, inputs.text), inputs.starts))
        together = torch.cat(found, -1)
        return together if self.projection is None else torch.tanh(self.projection(together))


class WordEncoder(nn.Module):
    """Word vectors, then a recurrent stack; for spec.input_size words and spec.character_size characters.

    Attributes:
        output_size: features of an output step.
    """

    def __init__(self, config: WordEncoderConfig, spec: TaskSpec) -> None:
        super().__init__()
        self.vectors = WordEmbedding(config, spec)
        self.recurrent = Recurrent(self.vectors.output_size, config)
        self.output_size = self.recurrent.output_size

    def forward(self, inputs: Words) -> Sequences:
        """Words (B, T) -> outputs (B, T, output_size), zero on padding."""
        outputs: Sequences = self.recurrent(self.vectors(inputs)).outputs
        return outputs

    def layer_parameters(self) -> list[list[nn.Parameter]]:
        """Parameters from the vectors to the last layer, for discriminative learning rates."""
        return [*self.vectors.layer_parameters(), *self.recurrent.layer_parameters()]


def read_forward(encoder: TokenEncoder, text: Sequences) -> Tensor:
    """The encoder's outputs (B, L, H); step t has read the tokens up to t."""
    outputs: Tensor = encoder(text).outputs.data
    return outputs


def read_backward(encoder: TokenEncoder, text: Sequences) -> Tensor:
    """The same from the end: step t has read the tokens from the row's last down to t."""
    outputs: Tensor = encoder(mirrored(text)).outputs.data
    return _mirror(outputs, text.lengths)


def mirrored(sequences: Sequences) -> Sequences:
    """Each row from its last real step to its first."""
    return sequences.with_data(_mirror(sequences.data, sequences.lengths))


def _mirror(data: Tensor, lengths: Tensor | None) -> Tensor:
    """Each row's real steps in reverse order; (B, L, ...)."""
    if lengths is None:
        return data.flip(1)
    steps = torch.arange(data.shape[1], device=data.device)
    places = (lengths[:, None] - 1 - steps).clamp(min=0)
    return data[torch.arange(data.shape[0], device=data.device)[:, None], places]


def _take_steps(outputs: Tensor, places: Tensor) -> Tensor:
    """(B, L, H) at (B, T) places -> (B, T, H)."""
    return outputs[torch.arange(outputs.shape[0], device=outputs.device)[:, None], places]


def _language_model(direction: str, config: TokenEncoderConfig | None, spec: TaskSpec) -> TokenEncoder | None:
    if config is None:
        return None
    if not spec.text_size:
        raise ConfigError(f"`model.{direction}_lm`: the task gives no text for a language model to read.")
    return config.build_encoder(spec.text_size)


def _character_config(config: WordEncoderConfig) -> TokenEncoderConfig:
    return TokenEncoderConfig(
        embedding_dim=config.character_dim,
        cell=config.cell,
        hidden_size=config.character_hidden_size,
        bidirectional=True,
    )
