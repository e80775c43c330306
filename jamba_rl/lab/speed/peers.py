"""Those we compare with, imported when they are needed."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from torch import Tensor

from jamba_rl.lab.speed.row import Absent

PEERS = ("transformers", "mambapy")
AGENTS = ("sb3-contrib",)  # has peers of our agents


def find(package: str, module: str = "") -> Any:
    """Import a peer.

    :param module: the part of it to import; the package itself if empty
    :raises Absent: it cannot be imported; says how to get it
    """
    try:
        return import_module(module or package)
    except ImportError as error:
        raise Absent(f"pip install {package}") from error


def installed(packages: Iterable[str]) -> dict[str, str | None]:
    """Version of each package, None where it is absent."""
    found: dict[str, str | None] = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found


def absent(packages: Iterable[str]) -> list[str]:
    """A line for each package that is not installed."""
    return [
        f"absent    {package}: pip install {package}" for package, found in installed(packages).items() if not found
    ]


def transformers() -> Any:
    """Import transformers, told to be quiet: what it warns of (no CUDA kernels) is what is measured.

    :raises Absent: it is not installed
    """
    package = find("transformers")
    package.logging.set_verbosity_error()
    return package


def hf_config(**sizes: Any) -> Any:
    """Make transformers' JambaConfig: dense and Mamba throughout, unless ``sizes`` says otherwise.

    :raises Absent: transformers is not installed
    """
    dense = {"num_experts": 1, "expert_layer_period": 1, "expert_layer_offset": 0}
    mamba = {"attn_layer_period": 1000, "attn_layer_offset": 999}
    tokens = {"vocab_size": 32, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    return transformers().JambaConfig(**tokens | dense | mamba | sizes)


def indexing_loop(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """Scan as transformers, mamba-ssm's reference and others do without CUDA: ``a[:, :, t]`` in a Python loop.

    Every index costs a zero tensor of the full size in the backward pass, which makes it quadratic in time.

    :param x: (B, T, E); dt alike, positive
    :param A: (E, N)
    :param B: (B, T, N); C alike
    :param D: (E,)
    :return: y (B, T, E)
    """
    x_BET, dt_BET = x.transpose(1, 2), dt.transpose(1, 2)
    decay_BETN = torch.exp(A[None, :, None] * dt_BET[..., None])
    input_BETN = dt_BET[..., None] * B[:, None] * x_BET[..., None]
    h_BEN = x.new_zeros(len(x), *A.shape)
    ys = []
    for t in range(x.shape[1]):
        h_BEN = decay_BETN[:, :, t] * h_BEN + input_BETN[:, :, t]
        ys.append(torch.matmul(h_BEN, C[:, t, :, None])[..., 0])
    return torch.stack(ys, 1) + x * D


def mambapy_scan(x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """Scan as mambapy's ``MambaBlock.selective_scan`` does, around its ``pscan``; arguments as ``indexing_loop``.

    :raises Absent: mambapy is not installed
    """
    pscan = find("mambapy", "mambapy.pscan").pscan
    decay_BTEN = torch.exp(dt[..., None] * A)
    input_BTEN = dt[..., None] * B[:, :, None] * x[..., None]
    h_BTEN = pscan(decay_BTEN, input_BTEN)
    return (h_BTEN @ C[..., None]).squeeze(3) + D * x
