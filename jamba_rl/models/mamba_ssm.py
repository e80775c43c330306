"""The names of ``mamba_ssm``'s Mamba-1 language model, which Hugging Face's Mamba shares but for the embedding.

The layers themselves have the same names here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from jamba_rl.models.weights import Names, take_head
from jamba_rl.nn import JambaConfig

NORM_EPS = ("layer_norm_epsilon", "norm_epsilon")  # of Hugging Face's configuration, and of mamba_ssm's
TIED = ("tie_word_embeddings", "tie_embeddings")


def read(
    tensors: Mapping[str, Tensor], fields: Mapping[str, Any], norm_eps: float | None
) -> tuple[JambaConfig, int, bool, dict[str, Tensor]]:
    """Return the configuration, the size of the vocabulary, whether embeddings are tied, and the weights by our names.

    :param fields: of either configuration, as far as there is one: what tensors do not show
    :param norm_eps: None for that of the fields
    :raises ValueError: a tensor is missing, or has no place in Mamba
    """
    embedding_name = next((name for name in tensors if name.startswith("backbone.embedding")), None)
    if embedding_name is None or "backbone.layers.0.mixer.A_log" not in tensors:
        raise ValueError(
            "these are no weights of Mamba: backbone.embedding or backbone.layers.0.mixer.A_log is missing"
        )
    names = Names(tensors)
    embedding = names.take(embedding_name)
    if norm_eps is None:
        norm_eps = _first(fields, NORM_EPS, 1e-5)
    if fields.get("hidden_act", "silu") not in ("silu", "swish"):
        raise ValueError(f"hidden_act must be 'silu', was {fields['hidden_act']!r}")
    tied = _first(fields, TIED, None)
    if tied is None:
        tied = "lm_head.weight" not in tensors or torch.equal(tensors["lm_head.weight"], embedding)
    if not isinstance(tied, bool):
        raise ValueError(f"{' or '.join(TIED)} must be true or false, was {tied!r}")
    config = _config(tensors, embedding.shape[1], norm_eps)
    ours = {"embedding.weight": embedding, "backbone.norm.weight": names.take("backbone.norm_f.weight")}
    ours["lm_head.weight"] = take_head(names, embedding, tied)
    for i in range(config.num_layers):
        theirs, block = f"backbone.layers.{i}", f"backbone.blocks.{i}"
        ours[f"{block}.mixer_norm.weight"] = names.take(f"{theirs}.norm.weight")
        for name in [name for name in tensors if name.startswith(f"{theirs}.mixer.")]:
            ours[name.replace(theirs, block)] = names.take(name)
    names.finish()
    return config, len(embedding), tied, ours


def _first(fields: Mapping[str, Any], names: tuple[str, ...], default: Any) -> Any:
    return next((fields[name] for name in names if fields.get(name) is not None), default)


def _config(tensors: Mapping[str, Tensor], d_model: int, norm_eps: float) -> JambaConfig:
    mixer = "backbone.layers.0.mixer."
    channels, states = tensors[mixer + "A_log"].shape
    layers = {name.split(".")[2] for name in tensors if name.startswith("backbone.layers.")}
    return JambaConfig.preset(
        "mamba",
        d_model=d_model,
        num_layers=len(layers),
        norm_eps=norm_eps,
        d_state=states,
        d_conv=tensors[mixer + "conv1d.weight"].shape[-1],
        expand=channels / d_model,
        dt_rank=tensors[mixer + "dt_proj.weight"].shape[1],
        conv_bias=mixer + "conv1d.bias" in tensors,
        mamba_bias=mixer + "in_proj.bias" in tensors,
    )
