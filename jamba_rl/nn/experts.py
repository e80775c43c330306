"""A mixture of experts: feed-forward networks of which every token uses a few."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jamba_rl.nn.config import JambaConfig
from jamba_rl.nn.feedforward import activate, input_width
from jamba_rl.nn.router import Router, Routing


class MixtureOfExperts(nn.Module):
    """The sum of the chosen experts' outputs, weighed by the router; every token is served, however uneven the load."""

    def __init__(self, config: JambaConfig) -> None:
        super().__init__()
        self.router = Router(config)
        self.experts = Experts(config)

    def forward(self, x: Tensor) -> tuple[Tensor, Routing]:
        """Map (..., D) to (..., D), and say how it was routed.

        To compute again in the backward pass, checkpoint ``experts`` and leave out ``router``: a choice that came
        out differently the second time would be an error.
        """
        routing = self.router(x)
        return self.experts(x, routing), routing


class Experts(nn.Module):
    """X networks out(act(in(x))) side by side, each with the initial values of layers of ``nn.Linear``.

    ``in_proj`` is (X, F, D), for ``swiglu`` (X, 2F, D) with the gate first, and ``out_proj`` (X, D, F): but for their
    names as in transformers' Jamba. The biases, ``in_bias`` and ``out_bias``, have a row per expert.
    """

    def __init__(self, config: JambaConfig) -> None:
        super().__init__()
        self.config = config
        count, width, hidden = config.num_experts, config.d_model, config.d_ffn
        wide = input_width(config.expert_act, hidden)
        self.in_proj = _uniform(width, count, wide, width)
        self.out_proj = _uniform(hidden, count, width, hidden)
        self.in_bias = _uniform(width, count, wide) if config.ffn_bias else None
        self.out_bias = _uniform(hidden, count, width) if config.ffn_bias else None

    def forward(self, x: Tensor, routing: Routing) -> Tensor:
        """Map (..., D) to (..., D); ``routing`` is of the same tokens."""
        tokens = x.reshape(-1, x.shape[-1])
        # One row per choice, sorted by expert, so that every expert has its rows side by side.
        experts, order = routing.experts.flatten().sort(stable=True)
        token = order // routing.experts.shape[-1]
        ends = torch.searchsorted(experts, torch.arange(len(self.in_proj), device=x.device), right=True, out_int32=True)
        rows = tokens.index_select(0, token)
        hidden = activate(_linear(rows, self.in_proj, self.in_bias, experts, ends), self.config.expert_act)
        rows = _linear(hidden, self.out_proj, self.out_bias, experts, ends)
        rows = rows * routing.weights.flatten().index_select(0, order).unsqueeze(-1)
        return torch.zeros_like(tokens).index_add(0, token, rows.to(x.dtype)).view(x.shape)


def _uniform(fan_in: int, *shape: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(shape).uniform_(-(fan_in**-0.5), fan_in**-0.5))


def _linear(rows: Tensor, weight: Tensor, bias: Tensor | None, experts: Tensor, ends: Tensor) -> Tensor:
    """Multiply every row by the matrix of its expert and add the bias of it.

    :param rows: (S, I), sorted by expert
    :param weight: (X, O, I)
    :param bias: (X, O)
    :param experts: (S,), of each row
    :param ends: (X,) int32, where the rows of each expert end
    """
    if torch.is_autocast_enabled(rows.device.type):  # it knows nothing of grouped products
        dtype = torch.get_autocast_dtype(rows.device.type)
        rows, weight = rows.to(dtype), weight.to(dtype)
    product = _grouped if _grouped_applies(rows, weight) else _split
    y = product(rows, weight, ends)
    return y if bias is None else y + bias.index_select(0, experts).to(y.dtype)


def _grouped(rows: Tensor, weight: Tensor, ends: Tensor) -> Tensor:
    return F.grouped_mm(rows, weight.transpose(1, 2), offs=ends)


def _grouped_applies(rows: Tensor, weight: Tensor) -> bool:
    """Whether torch has a grouped product for these: no float64, and rows of all operands at multiples of 16 bytes."""
    return (
        hasattr(F, "grouped_mm")
        and rows.device.type in ("cpu", "cuda")
        and rows.dtype in (torch.float32, torch.bfloat16, torch.float16)
        and all(size * rows.element_size() % 16 == 0 for size in weight.shape[1:])
        and (rows.dtype is torch.bfloat16 or not torch.compiler.is_compiling())
    )


def _split(rows: Tensor, weight: Tensor, ends: Tensor) -> Tensor:
    """One product per expert that has rows."""
    pairs = zip(rows.tensor_split(ends[:-1].tolist()), weight.unbind(), strict=True)
    return torch.cat([F.linear(part, matrix) for part, matrix in pairs if len(part) or not len(rows)])
