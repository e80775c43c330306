"""Configuration and weights of whatever is given: a model, a folder, a state dict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from jamba_rl.models.weights import read_folder
from jamba_rl.nn import JambaConfig


def read_source(source: Any, config: Any) -> tuple[Mapping[str, Any], Mapping[str, Tensor]]:
    """Return what ``config.json`` holds or would hold, and the weights.

    :param source: a model, a folder, or a state dict
    :param config: with a state dict, what ``config.json`` holds, or a configuration object
    :raises ValueError: they are of other kinds
    :raises FileNotFoundError: the folder lacks a file
    """
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
