"""A language model: tokens in, logits of the next token out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from jamba_rl.models import huggingface, mamba_ssm
from jamba_rl.models.weights import check_fits, read_folder
from jamba_rl.nn import Jamba, JambaConfig, State
from jamba_rl.nn.router import Routings


@dataclass(frozen=True)
class LanguageOutput:
    """What a language model returns: logits (B, T, V), or (B, V) of a step, the state after it, and the routing."""

    logits: Tensor
    state: State
    routing: Routings


class JambaForCausalLM(nn.Module):
    """Embedding, backbone, and a linear map to the vocabulary.

    ``forward`` may go on from any earlier state, ``reset`` begins another text inside a row, and ``step`` costs the
    same at every length but for attention without a window.

    :param config: the backbone
    :param vocab_size: V
    :param tie_embeddings: whether the map to the vocabulary is the embedding itself

    >>> model = JambaForCausalLM(JambaConfig(d_model=16, window=8), vocab_size=11)
    >>> out = model(torch.tensor([[3, 1, 4]]))
    >>> out.logits.shape
    torch.Size([1, 3, 11])
    >>> model.step(torch.tensor([1]), out.state).logits.shape
    torch.Size([1, 11])
    """

    def __init__(self, config: JambaConfig, vocab_size: int, tie_embeddings: bool = False) -> None:
        super().__init__()
        if vocab_size < 1:
            raise ValueError(f"vocab_size must be above 0, was {vocab_size}")
        self.config = config
        self.vocab_size = vocab_size
        self.embedding = nn.Embedding(vocab_size, config.d_model)
        self.backbone = Jamba(config)
        self.lm_head = nn.Linear(config.d_model, vocab_size, bias=False)
        for weight in (self.embedding.weight, self.lm_head.weight):
            nn.init.normal_(weight, std=config.init_std or 0.02)
        if tie_embeddings:
            self.lm_head.weight = self.embedding.weight

    def forward(self, ids: Tensor, state: State | None = None, reset: Tensor | None = None) -> LanguageOutput:
        """Read whole texts.

        :param ids: (B, T) token numbers
        :param state: what came before; None for nothing
        :param reset: (B, T) bool, set at the first token of another text; None for none
        :raises ValueError: the arguments do not fit
        """
        out = self.backbone(self._embed(ids, 2), state, reset)
        return LanguageOutput(self.lm_head(out.hidden), out.state, out.routing)

    def step(self, ids: Tensor, state: State, reset: Tensor | None = None) -> LanguageOutput:
        """Read one token (B,) of each text; ``reset`` is (B,) bool."""
        out = self.backbone.step(self._embed(ids, 1), state, reset)
        return LanguageOutput(self.lm_head(out.hidden), out.state, out.routing)

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
        fields, tensors = _source(source, config)
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
        fields, tensors = _source(source, {})
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

    def _embed(self, ids: Tensor, dims: int) -> Tensor:
        if ids.dim() != dims or ids.dtype not in (torch.int64, torch.int32) or ids.numel() == 0:
            shape = "(batch, time)" if dims == 2 else "(batch,)"
            raise ValueError(f"ids must be int64 {shape} and not empty; was {ids.dtype} {tuple(ids.shape)}")
        if ids.is_cpu and (int(ids.min()) < 0 or int(ids.max()) >= self.vocab_size):
            raise ValueError(
                f"ids must be from 0 to {self.vocab_size - 1}; were from {int(ids.min())} to {int(ids.max())}"
            )
        return self.embedding(ids)


def _source(source: Any, config: Any) -> tuple[Mapping[str, Any], Mapping[str, Tensor]]:
    """Configuration and weights of whatever was given."""
    if isinstance(source, str | Path):
        fields, tensors = read_folder(Path(source))
        return _fields(fields), tensors
    if isinstance(source, nn.Module):
        own, source = getattr(source, "config", None), source.state_dict()
        config = config if own is None else own
    if not isinstance(source, Mapping) or not all(isinstance(tensor, Tensor) for tensor in source.values()):
        raise ValueError(f"source must be a model, a folder or a state dict of tensors, was {source!r:.80}")
    if config is None:
        raise ValueError("a state dict alone does not say all: give the configuration too, as config=")
    return _fields(config), {name: tensor.detach().clone() for name, tensor in source.items()}


def _fields(config: Any) -> Mapping[str, Any]:
    """Return what ``config.json`` would hold."""
    if hasattr(config, "to_dict") and not isinstance(config, type):
        config = config.to_dict()
    elif is_dataclass(config) and not isinstance(config, type | JambaConfig):  # mamba_ssm's
        config = asdict(config)
    if not isinstance(config, Mapping):
        raise ValueError(f"config must be what config.json holds, or the one of transformers, was {config!r:.80}")
    return config
