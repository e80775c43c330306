"""Weights in other people's files, and what to say when names do not match."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

FILES = ("model.safetensors", "pytorch_model.bin")


def read_folder(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return ``config.json`` and all tensors of a folder, whole or in shards.

    :raises FileNotFoundError: names the file that is missing
    """
    if not (folder / "config.json").is_file():
        raise FileNotFoundError(f"{folder}: there is no config.json; give the folder of a saved model")
    config = json.loads((folder / "config.json").read_text())
    for name in FILES:
        if (folder / name).is_file():
            return config, _read_file(folder / name)
        index = folder / f"{name}.index.json"
        if index.is_file():
            shards = sorted(set(json.loads(index.read_text())["weight_map"].values()))
            return config, {key: tensor for shard in shards for key, tensor in _read_file(folder / shard).items()}
    raise FileNotFoundError(f"{folder}: there are no weights; expected {' or '.join(FILES)}, or their index")


def _read_file(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    tensors: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return tensors


class Names:
    """A state dict that is taken apart, and complains of what is missing or left."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = dict(tensors)

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def take(self, name: str, shape: tuple[int, ...] | None = None) -> Tensor:
        """Remove and return a tensor; raises ValueError if it is missing or of another shape."""
        if name not in self._tensors:
            raise ValueError(f"the weights lack {name!r}{_nearest(name, self._tensors)}")
        tensor = self._tensors.pop(name)
        if shape is not None and tensor.shape != shape:
            raise ValueError(f"{name} is {tuple(tensor.shape)}, the configuration says {tuple(shape)}")
        return tensor

    def finish(self) -> None:
        """Raise ValueError if anything was not taken."""
        if self._tensors:
            first = ", ".join(list(self._tensors)[:3])
            raise ValueError(f"{len(self._tensors)} weights have no place in this model: {first}")


def take_head(names: Names, embedding: Tensor, tied: bool) -> Tensor:
    """Take the map to the vocabulary, the embedding itself if tied; raises ValueError if that is not what is there."""
    if not tied:
        return names.take("lm_head.weight")
    if "lm_head.weight" in names and not torch.equal(names.take("lm_head.weight"), embedding):
        raise ValueError("lm_head.weight is not the embedding, but the configuration ties them")
    return embedding


def check_fits(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Raise ValueError unless the weights are those of the module, by name and shape."""
    own = module.state_dict()
    for name in own.keys() ^ weights.keys():
        verb = "lack" if name in own else "have, but the configuration does not,"
        raise ValueError(f"the weights {verb} {name!r}")
    for name, tensor in weights.items():
        if tensor.shape != own[name].shape:
            raise ValueError(f"{name} is {tuple(tensor.shape)}, the configuration says {tuple(own[name].shape)}")


def _nearest(name: str, names: Collection[str]) -> str:
    near = get_close_matches(name, names, 1, 0.6)
    return f"; the nearest there is {near[0]!r}" if near else ""
