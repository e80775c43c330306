"""Which experts see a token, and what spreads the tokens over them.

In the formulas a layer has X experts, each of its M tokens chooses k; p are the probabilities (the softmax of the
logits over all experts), P_e is the mean of p_e over tokens and f_e the fraction of the M k choices that fell on e.

Kinds of balance:

- ``switch``: X sum_e f_e P_e, the mean over layers; 1 for uniform routing (Fedus et al. 2021, arXiv 2101.03961)
- ``pooled``: X k sum_e f_e P_e with f and P of all layers together, k for uniform routing: the form of transformers'
  Jamba. Layers that lean to different experts cancel in it.
- ``uniform``: sum_e (P_e - 1 / X)^2, the mean over layers
- ``bias``: no loss; a number per expert shifts what is chosen but not how it is weighed, see :meth:`Router.rebalance`
  (Wang et al. 2024, arXiv 2408.15664, as in DeepSeek-V3)
- ``none``

Kinds of z-loss, means over tokens and layers: ``squared``, (logsumexp of the logits)^2 (Zoph et al. 2022,
arXiv 2202.08906); ``linear``, the logsumexp itself, which has no lower bound; ``none``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jamba_rl.nn.config import JambaConfig


class Routing(NamedTuple):
    """What a router decided for M tokens: all leading dimensions of its input as one."""

    logits: Tensor
    """(M, X), float32 or wider, with the jitter."""
    experts: Tensor
    """(M, k) int64, the chosen ones."""
    weights: Tensor
    """(M, k), their factors, in the type of the input."""


class Router(nn.Module):
    """Choose k of X experts for every token by a linear map.

    Its initial weights are those of ``nn.Linear``: what is chosen does not depend on their scale, and with smaller
    ones the first updates of an agent would change many choices, and with them its policy, abruptly.

    With ``renormalised`` weights and k = 1 the only weight is 1: then the router learns from the losses alone.
    """

    bias: Tensor | None

    def __init__(self, config: JambaConfig) -> None:
        super().__init__()
        self.top_k = config.top_k
        self.kind = config.router_weights
        self.jitter = config.router_jitter
        bound = config.d_model**-0.5
        self.weight = nn.Parameter(torch.empty(config.num_experts, config.d_model).uniform_(-bound, bound))
        self.register_buffer("bias", torch.zeros(config.num_experts) if config.balance == "bias" else None)

    def forward(self, x: Tensor) -> Routing:
        """Route (..., D); changes no buffer, so that a second pass over the same input decides the same."""
        logits = self._logits(x.reshape(-1, x.shape[-1]))
        if self.training and self.jitter:
            logits = logits + self.jitter * torch.randn_like(logits)
        if self.bias is None:
            chosen, experts = logits.topk(self.top_k)
        else:
            score = logits if self.kind == "raw" else logits.softmax(-1)
            experts = (score + self.bias).topk(self.top_k).indices
            chosen = logits.gather(-1, experts)
        return Routing(logits, experts, self._weigh(chosen, logits).to(x.dtype))

    @torch.no_grad()
    def rebalance(self, load: Tensor, rate: float) -> None:
        """Shift ``bias`` by ``rate`` towards experts below the mean load; without effect where there is no bias.

        To be called after a step of the optimiser. The mean of ``bias``, which chooses nothing, is kept at 0, as in
        torchtitan.

        :param load: (X,), see :class:`RouterStatistics`
        """
        if self.bias is not None:
            self.bias += rate * torch.sign(load.mean() - load)
            self.bias -= self.bias.mean()

    def _apply(self, fn: Any, recurse: bool = True) -> Router:  # as modules change type
        super()._apply(fn, recurse)
        if self.bias is not None:
            self.bias = self.bias.to(torch.promote_types(self.bias.dtype, torch.float32))  # steps of 0.001 add up in it
        return self

    def _logits(self, x: Tensor) -> Tensor:
        # In bfloat16 close logits are ties, and the choice between them chance.
        dtype = torch.promote_types(x.dtype, torch.float32)
        if not torch.is_autocast_enabled(x.device.type):
            return F.linear(x.to(dtype), self.weight.to(dtype))
        with torch.autocast(x.device.type, enabled=False):
            return F.linear(x.to(dtype), self.weight.to(dtype))

    def _weigh(self, chosen: Tensor, logits: Tensor) -> Tensor:
        """Weights (M, k) of the experts whose logits are ``chosen``."""
        if self.kind == "renormalised":
            return chosen.softmax(-1)  # p over its sum: what was not chosen cancels
        if self.kind == "softmax":
            return (chosen - logits.logsumexp(-1, keepdim=True)).exp()
        return chosen


@dataclass(frozen=True)
class RouterStatistics:
    """How one layer used its experts; detached."""

    load: Tensor
    """(X,), the fraction of all choices that fell on each."""
    entropy: Tensor
    """(), nats, of the probabilities of a token, the mean over tokens; log(X) for an undecided router."""
    max_over_mean: Tensor
    """(), the largest load over the mean load; 1 is balanced, X / k everything on the same experts."""
    dead: Tensor
    """(), the number of experts that nobody chose."""


@dataclass(frozen=True)
class Routings:
    """What the routers of all expert layers decided, first to last, and what follows from it.

    Nothing is computed before it is asked for. A ``mask`` (bool, of M elements in any shape) counts the tokens where
    it is True and leaves out the others, such as padding; None counts all.
    """

    layers: tuple[Routing, ...]
    config: JambaConfig

    def loss(self, mask: Tensor | None = None) -> Tensor:
        """Both losses times their coefficients: what to add to the loss of the agent; 0 without expert layers."""
        return self.config.balance_coef * self.balance_loss(mask) + self.config.z_coef * self.z_loss(mask)

    def balance_loss(self, mask: Tensor | None = None) -> Tensor:
        """The loss of ``config.balance``, a scalar; 0 where that has none."""
        kind = self.config.balance
        if not self.layers or kind in ("bias", "none"):
            return torch.zeros(())
        mean = torch.stack([_mean(layer.logits.softmax(-1), mask) for layer in self.layers])  # (layers, X)
        if kind == "uniform":
            return (mean - 1 / mean.shape[-1]).square().sum(-1).mean()
        load = torch.stack([_load(layer, mask) for layer in self.layers])  # (layers, X), no gradient
        if kind == "switch":
            return mean.shape[-1] * (load * mean).sum(-1).mean()
        return mean.shape[-1] * self.config.top_k * (load.mean(0) * mean.mean(0)).sum()

    def z_loss(self, mask: Tensor | None = None) -> Tensor:
        """The loss of ``config.z_loss``, a scalar; 0 for ``none``."""
        kind = self.config.z_loss
        if not self.layers or kind == "none":
            return torch.zeros(())
        sizes = [layer.logits.logsumexp(-1, keepdim=True) for layer in self.layers]
        return torch.stack([_mean(size.square() if kind == "squared" else size, mask) for size in sizes]).mean()

    @torch.no_grad()
    def statistics(self, mask: Tensor | None = None) -> tuple[RouterStatistics, ...]:
        """How each layer used its experts."""
        found = []
        for layer in self.layers:
            load = _load(layer, mask)
            logs = layer.logits.log_softmax(-1)
            entropy = _mean(-(logs.exp() * logs).sum(-1, keepdim=True), mask).squeeze(-1)
            found.append(RouterStatistics(load, entropy, load.max() * len(load), (load == 0).sum()))
        return tuple(found)


def _load(routing: Routing, mask: Tensor | None) -> Tensor:
    """Return f, (X,)."""
    chosen = torch.zeros_like(routing.logits).scatter_(1, routing.experts, 1.0)
    return _mean(chosen, mask) / routing.experts.shape[-1]


def _mean(values: Tensor, mask: Tensor | None) -> Tensor:
    """Mean of (M, C) over the tokens that count, (C,); 0 if none does.

    A sum and not a matrix product, which autocast would take in bfloat16.
    """
    if mask is None:
        return values.mean(0)
    if mask.dtype is not torch.bool or mask.numel() != len(values):
        given = f"{mask.dtype} {tuple(mask.shape)}"
        raise ValueError(f"mask must be torch.bool with an element for each of {len(values)} tokens; was {given}")
    counted = mask.reshape(-1, 1)
    return (values * counted).sum(0) / counted.sum().clamp(min=1)
