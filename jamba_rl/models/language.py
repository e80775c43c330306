"""A language model: tokens in, logits of the next token out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jamba_rl.models import huggingface, mamba_ssm
from jamba_rl.models.check import check_ids, check_length, longest_text
from jamba_rl.models.generation import evaluating, write_on
from jamba_rl.models.interleave import interleave
from jamba_rl.models.padding import check_mask, to_the_end
from jamba_rl.models.sampling import Sampler
from jamba_rl.models.sources import read_source
from jamba_rl.models.weights import check_fits
from jamba_rl.nn import Jamba, JambaConfig, State
from jamba_rl.nn.check import check_count, check_type
from jamba_rl.nn.router import Routing, Routings


@dataclass(frozen=True)
class LanguageOutput:
    """What a language model returns: logits (B, T, V), or (B, V) of a step, the state after it, and the routing."""

    logits: Tensor
    state: State
    routing: Routings


class LanguageLoss(NamedTuple):
    """What to train on, and its parts; scalars."""

    total: Tensor
    """The sum of both."""
    cross_entropy: Tensor
    """Nats per token; over ln 2, bits."""
    routing: Tensor
    """Both losses of the routers times their coefficients; 0 without experts."""


class JambaForCausalLM(nn.Module):
    """Embedding, backbone, and a linear map to the vocabulary.

    ``forward`` may go on from any earlier state, ``reset`` begins another text inside a row, and ``step`` costs the
    same at every length but for attention without a window.

    :param config: the backbone
    :param vocab_size: V
    :param tie_embeddings: whether the map to the vocabulary is the embedding itself
    :param max_length: longer texts are refused; None for no limit
    :raises ValueError: an argument is of another kind, or a number below 1

    >>> model = JambaForCausalLM(JambaConfig(d_model=16, window=8), vocab_size=11)
    >>> out = model(torch.tensor([[3, 1, 4]]))
    >>> out.logits.shape
    torch.Size([1, 3, 11])
    >>> model.step(torch.tensor([1]), out.state).logits.shape
    torch.Size([1, 11])
    >>> model.generate(torch.tensor([[3, 1, 4]]), 5, temperature=0.8, top_k=3).shape
    torch.Size([1, 8])
    """

    def __init__(
        self, config: JambaConfig, vocab_size: int, tie_embeddings: bool = False, max_length: int | None = None
    ) -> None:
        super().__init__()
        check_type("config", config, JambaConfig)
        check_count("vocab_size", vocab_size)
        if max_length is not None:
            check_count("max_length", max_length)
        self.config = config
        self.vocab_size = vocab_size
        self.max_length = max_length
        self.embedding = nn.Embedding(vocab_size, config.d_model)
        self.backbone = Jamba(config)
        self.lm_head = nn.Linear(config.d_model, vocab_size, bias=False)
        for weight in (self.embedding.weight, self.lm_head.weight):
            nn.init.normal_(weight, std=config.init_std or 0.02)
        if tie_embeddings:
            self.lm_head.weight = self.embedding.weight

    @classmethod
    def from_layers(
        cls,
        vocab_size: int,
        d_model: int = 256,
        num_mamba_layers: int = 6,
        num_transformer_layers: int = 2,
        nhead: int = 8,
        dim_feedforward: int = 1024,
        max_seq_length: int = 2048,
        dropout: float = 0.1,
        **fields: Any,
    ) -> JambaForCausalLM:
        """Make a model from counts: blocks of Mamba and of attention evenly mixed, each with a dense feed-forward.

        Attention sees the whole text and positions are learned vectors, as in JAMBA of Nakshatra; ``window=64,
        position="relative"`` bounds what is remembered.

        :param max_seq_length: longer texts are refused
        :param fields: of ``JambaConfig``, which go before all that is said here
        :raises ValueError: sizes do not fit each other
        """
        check_count("d_model", d_model)
        check_count("dim_feedforward", dim_feedforward)
        known: dict[str, Any] = {
            "d_model": d_model,
            "pattern": interleave(num_mamba_layers, num_transformer_layers),
            "ffn_pattern": "D",
            "num_heads": nhead,
            "ffn_mult": dim_feedforward / d_model,
            "dropout": dropout,
            "position": "learned",
            "max_positions": max_seq_length,
            "window": None,
        }
        return cls(JambaConfig(**known | fields), vocab_size, max_length=max_seq_length)

    def forward(
        self, ids: Tensor, state: State | None = None, reset: Tensor | None = None, mask: Tensor | None = None
    ) -> LanguageOutput:
        """Read whole texts.

        :param ids: (B, T) token numbers
        :param state: what came before; None for nothing
        :param reset: (B, T) bool, set at the first token of another text; None for none
        :param mask: (B, T) bool, False for padding before or after the one text of a row: its logits mean nothing, and
            neither those of the text nor the state depend on it; None for no padding
        :raises ValueError: the arguments do not fit
        """
        check_ids(ids, 2, self.vocab_size)
        if mask is not None:
            if state is not None or reset is not None:
                raise ValueError("a mask is for rows of one text from its start: give no state and no reset with it")
            return self._read_padded(ids, mask)
        self._check_length(ids, state, reset)
        return self._read(ids, state, reset)

    def step(self, ids: Tensor, state: State, reset: Tensor | None = None) -> LanguageOutput:
        """Read one token (B,) of each text; ``reset`` is (B,) bool."""
        check_ids(ids, 1, self.vocab_size)
        self._check_length(ids, state, reset)
        out = self.backbone.step(self.embedding(ids), state, reset)
        return LanguageOutput(self.lm_head(out.hidden), out.state, out.routing)

    def loss(self, ids: Tensor, reset: Tensor | None = None, mask: Tensor | None = None) -> LanguageLoss:
        """How badly every token but the first of a text was foreseen; arguments as of ``forward``.

        :raises ValueError: there is no second token
        """
        out = self(ids, None, reset, mask)
        counted = torch.ones_like(ids, dtype=torch.bool) if mask is None else mask
        targets = counted[:, 1:] & counted[:, :-1]
        if reset is not None:
            targets = targets & ~reset[:, 1:]
        if not bool(targets.any()):
            raise ValueError("ids must hold a text of two tokens at least: the first cannot be foreseen")
        cross_entropy = F.cross_entropy(out.logits[:, :-1][targets].float(), ids[:, 1:][targets].long())
        routing = out.routing.loss(mask)
        return LanguageLoss(cross_entropy + routing, cross_entropy, routing)

    def generate(
        self,
        ids: Tensor,
        max_new_tokens: int,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        stop: int | None = None,
        mask: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Write on from prompts, each token in one step from the state.

        :param ids: (B, T) prompts
        :param max_new_tokens: 1 or more
        :param temperature: and ``top_k``, ``top_p``: see ``jamba_rl.models.sampling.Sampler``
        :param stop: a token that ends a text, and is repeated while others go on; None for none
        :param mask: as of ``forward``
        :param generator: of random numbers; None for torch's own
        :return: (B, T + N) prompts and what follows; with a mask, prompts are at the end of their T columns
        :raises ValueError: a value is out of range, or the text becomes longer than ``max_length``
        """
        choose = Sampler(temperature, top_k, top_p)
        check_count("max_new_tokens", max_new_tokens)
        if stop is not None:
            check_count("stop", stop, 0, self.vocab_size - 1)
        check_ids(ids, 2, self.vocab_size)
        if mask is not None:
            check_mask(ids, mask)
            ids, mask, _, _ = to_the_end(ids, mask)
        length = ids.shape[1] if mask is None else int(mask.sum(1).max())
        check_length(length + max_new_tokens, self.max_length)
        with evaluating(self), torch.no_grad():
            read = self(ids, mask=mask)
            new = write_on(read, self.step, lambda logits: choose(logits, generator), max_new_tokens, stop)
        return torch.cat([ids, new.to(ids.dtype)], 1)

    def initial_state(self, batch: int) -> State:
        """Empty memory of ``batch`` texts."""
        return self.backbone.initial_state(batch)

    @classmethod
    def from_hf(cls, source: Any, config: Any = None) -> JambaForCausalLM:
        """Make a model of the weights of Hugging Face's Jamba, with the same logits.

        Weights keep their type, but what says how long a memory lasts is at least float32.

        :param source: a ``transformers`` model, a folder that ``save_pretrained`` wrote, or a state dict, with experts
            stacked (as in memory) or one by one (as on disk)
        :param config: with a state dict, what ``config.json`` holds, or the ``JambaConfig`` of ``transformers``
        :raises ValueError: the arguments are of other kinds, the weights do not fit the configuration, or it asks for
            what Jamba does not have
        :raises FileNotFoundError: the folder lacks a file
        """
        fields, tensors = read_source(source, config)
        ours, vocab_size, tied = huggingface.read_config(fields)
        return cls._of(ours, vocab_size, tied, huggingface.read_weights(tensors, ours, tied))

    def to_hf_state_dict(self, form: str = "disk") -> dict[str, Tensor]:
        """Return the weights under Hugging Face's names; tensors are shared where they need not be rearranged.

        :param form: ``disk`` (one tensor per expert, tied embeddings once: safetensors files of ``save_pretrained``) or
            ``memory`` (stacked: ``load_state_dict`` of a ``transformers`` model)
        :raises ValueError: the form is unknown, or the model has what Hugging Face's Jamba lacks
        """
        tied = self.lm_head.weight is self.embedding.weight
        return huggingface.write_weights(self.state_dict(), self.config, tied, form)

    @classmethod
    def from_mamba(cls, source: Any, norm_eps: float | None = None) -> JambaForCausalLM:
        """Make a model of the weights of a Mamba-1 language model, under ``mamba_ssm``'s or Hugging Face's names.

        All sizes follow from the tensors. Embeddings are tied if the configuration says so; without one, if they are
        equal.

        :param source: a model, a folder, or a state dict
        :param norm_eps: epsilon of the norms; None for that of the configuration, 1e-5 without one
        :raises ValueError: the source is of another kind, or a tensor is missing or not of Mamba
        """
        fields, tensors = read_source(source, {})
        config, vocab_size, tied, weights = mamba_ssm.read(tensors, fields, norm_eps)
        return cls._of(config, vocab_size, tied, weights)

    @classmethod
    def _of(cls, config: JambaConfig, vocab_size: int, tied: bool, weights: dict[str, Tensor]) -> JambaForCausalLM:
        with torch.device("meta"):  # large models are not made twice
            model = cls(config, vocab_size, tied)
        check_fits(model, weights)
        model.load_state_dict(weights, assign=True)
        if tied:
            model.lm_head.weight = model.embedding.weight
        return model.requires_grad_()

    def _check_length(self, ids: Tensor, state: State | None, reset: Tensor | None) -> None:
        """Refuse what becomes too long, ids (B, T) or (B,); a memory or resets that do not fit are said to be that."""
        if self.max_length is not None:
            self.backbone.check_memory(ids.shape, state, reset)
            steps = ids.shape[1] if ids.dim() == 2 else 1
            check_length(
                longest_text(steps, state, None if reset is None else reset.reshape(-1, steps)), self.max_length
            )

    def _read(self, ids: Tensor, state: State | None, reset: Tensor | None) -> LanguageOutput:
        out = self.backbone(self.embedding(ids), state, reset)
        return LanguageOutput(self.lm_head(out.hidden), out.state, out.routing)

    def _read_padded(self, ids: Tensor, mask: Tensor) -> LanguageOutput:
        check_mask(ids, mask)
        check_length(int(mask.sum(1).max()), self.max_length)
        moved, _, begins, columns = to_the_end(ids, mask)
        out = self._read(moved, None, begins)
        logits = out.logits.gather(1, columns[..., None].expand_as(out.logits))
        rows = (columns + ids.shape[1] * torch.arange(len(ids), device=ids.device)[:, None]).flatten()
        layers = tuple(Routing(*(part[rows] for part in layer)) for layer in out.routing.layers)
        return LanguageOutput(logits, out.state, Routings(layers, self.config))
