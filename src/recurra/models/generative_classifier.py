"""A generative text classifier: a recurrent language model whose word scores are tilted by the class.

    p(x, y) = p(y) prod_t p(x_t | x_<t, y),   p(x_t | x_<t, y) ~ exp(b_t[x_t] + s_y[x_t]),   s_y = E v_y + w_y

b_t are the language model's scores, E its embedding, v_y a vector of the class in the embedding's space (so that words
unseen in training shift with those that are like them), w_y a free score for each word. With a language model that
knows frequencies only, this is multinomial naive Bayes; with a recurrent one, what the context explains already no
longer counts as evidence for the class. The logits are log p(x, y): their cross-entropy, plus `generative` times
-log p(x), is the negative joint log-likelihood, which needs less data than a discriminative fit and suffers less when
the texts to be told apart are of another origin than the training texts.

Sources: Ng and Jordan (2002), "On discriminative vs. generative classifiers"; Yogatama et al. (2017), "Generative and
discriminative text classification with recurrent neural networks", https://arxiv.org/abs/1703.01898.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from recurra.core.batch import ModelOutput, TaskSpec
from recurra.core.config import Config
from recurra.core.errors import ConfigError
from recurra.core.sequences import Sequences
from recurra.core.state import State
from recurra.layers import FullSoftmaxConfig, TokenEncoder, TokenEncoderConfig


class GenerativeClassifierConfig(TokenEncoderConfig):
    """A generative text classifier; the options of its language model, and those of the class scores."""

    kind: Literal["generative-classifier"] = "generative-classifier"
    tied: bool = Field(True, description="one matrix for embedding and softmax")
    generative: float = Field(1.0, ge=0, description="weight of -log p(text); 0 trains p(class | text) alone")


class GenerativeClassifier(nn.Module):
    """Scores the labels of a text by how likely each makes it."""

    Config: ClassVar[type[Config]] = GenerativeClassifierConfig
    log_prior: Tensor

    def __init__(self, config: GenerativeClassifierConfig, spec: TaskSpec) -> None:
        super().__init__()
        if config.bidirectional:
            raise ConfigError("`model.bidirectional`: a generative classifier reads forward only; set it to false.")
        if spec.output_prior is None:
            raise ConfigError("a generative classifier gives one label a text; use text-classifier for multi_label.")
        self.config = config
        self.encoder = TokenEncoder(spec.input_size, config)
        tied = self.encoder.embedding.weight if config.tied else None
        self.head = FullSoftmaxConfig().build(self.encoder.output_size, spec.input_size, tied, None)
        self.class_vectors = nn.Parameter(torch.zeros(spec.output_size, config.embedding_dim))
        self.class_scores = nn.Parameter(torch.zeros(spec.output_size, spec.input_size))
        self.register_buffer("log_prior", torch.tensor(spec.output_prior).log())

    def forward(self, inputs: Sequences, state: State | None = None) -> ModelOutput:
        """Score the labels.

        Args:
            inputs: data (B, T) vocabulary indices: eos, which starts a document, then the text.
            state: to go on from; None starts afresh.
        Returns:
            Logits (B, num_labels): log p(text, label); the encoder's state; in training the penalty that makes the
            objective the joint likelihood.
        """
        encoded = self.encoder(inputs, state)
        joint = self.log_prior + self._log_likelihoods(encoded.outputs.data, inputs)
        penalty = None
        if self.training and self.config.generative:
            penalty = -self.config.generative * joint.logsumexp(1).sum() / max(1, inputs.batch_size)
        return ModelOutput(joint, encoded.state, penalty)

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Parameters from the embedding to the class scores, for discriminative rates and unfreezing."""
        tilt = [self.class_vectors, self.class_scores]
        groups = [*self.encoder.layer_parameters(), list(self.head.parameters()), tilt]
        seen: set[int] = set()
        kept = []
        for group in groups:
            kept.append([p for p in group if id(p) not in seen])
            seen |= {id(p) for p in group}
        return kept

    def _log_likelihoods(self, hidden: Tensor, inputs: Sequences) -> Tensor:
        """log p(text | label), (B, num_labels): each step's output scores the step after it."""
        mask = inputs.mask[:, 1:]
        words = inputs.data[:, 1:][mask]
        scores = self.head(hidden[:, :-1][mask].unsqueeze(0)).squeeze(0)
        base = scores.log_softmax(-1)
        tilt = self.class_scores + self.class_vectors @ self.encoder.embedding.weight.T
        highest = tilt.detach().amax(1, keepdim=True)
        # sum_v exp(b_v + s_v) as a product of two matrices: all classes for the price of one softmax.
        normaliser = (base.exp() @ (tilt - highest).exp().T).log() + highest.T
        likelihood = base.gather(1, words[:, None]) + tilt.T[words] - normaliser
        rows = torch.arange(inputs.batch_size, device=words.device)[:, None].expand_as(mask)[mask]
        return likelihood.new_zeros(inputs.batch_size, tilt.shape[0]).index_add(0, rows, likelihood)
