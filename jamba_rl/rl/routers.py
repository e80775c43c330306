"""What training does with the routers of a policy's experts: their losses, their balance, their log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from jamba_rl.nn import Jamba
from jamba_rl.nn.router import Routings
from jamba_rl.rl.auxiliary import with_loss


class RouterTraining:
    """Looks after the routers of one or two backbones while somebody else's loop trains them.

    SB3's update knows a policy's values, log probabilities and entropy, and nothing of experts. So
    the routers' losses travel on the values, and their biases move when the optimizer has stepped.

    :param backbones: by the name that their layers have in the log, such as ``""`` and ``"critic_"``
    """

    def __init__(self, backbones: Mapping[str, Jamba]) -> None:
        self.backbones = dict(backbones)
        self.layers = {
            name: [f"{name}{i}" for i, letter in enumerate(backbone.config.ffn_pattern) if letter == "E"]
            for name, backbone in self.backbones.items()
        }
        self._seen: dict[str, Routings] = {}
        self._sums: dict[str, Tensor] = {}
        self._counts: Counter[str] = Counter()

    @property
    def any_experts(self) -> bool:
        """Whether there is a router at all."""
        return any(self.layers.values())

    def attach(self, values: Tensor, routings: Sequence[Routings]) -> Tensor:
        """Return ``values`` with the routers' losses on them, and take notes for ``balance`` and ``means``.

        :param routings: of the minibatch, one per backbone
        """
        losses = [self.loss(name, routing) for name, routing in zip(self.backbones, routings, strict=True)]
        return with_loss(values, torch.stack([loss.to(values.device) for loss in losses]).sum())

    def loss(self, name: str, routing: Routings) -> Tensor:
        """Return the loss of a backbone's routers, and take notes for ``balance`` and ``means``.

        :param routing: of the minibatch
        """
        self._seen[name] = routing
        self._note(name, routing)
        return routing.loss()

    def balance(self) -> None:
        """Move biases against the load of the latest minibatch, once, after the optimizer's step."""
        for name, routing in self._seen.items():
            self.backbones[name].balance_experts(routing)
        self._seen = {}

    def clear(self) -> None:
        """Forget all notes."""
        self._seen, self._sums, self._counts = {}, {}, Counter()

    def means(self) -> dict[str, float]:
        """What was seen since ``clear``, each the mean over minibatches; empty if nothing was.

        ``router_balance_loss``, ``router_z_loss`` and ``router_max_over_mean`` are means over layers too,
        ``router_dead`` is the number of experts in all layers that nobody chose, and
        ``router_load/<layer>/<expert>`` the fraction of a layer's choices, by the number of its block.
        """
        found: dict[str, float] = {}
        for name, total in self._sums.items():
            mean = total / max(self._counts.values())
            if mean.dim() == 0:
                found[name] = mean.item()
            else:
                found.update({f"{name}/{expert}": part for expert, part in enumerate(mean.tolist())})
        return found

    @torch.no_grad()
    def _note(self, name: str, routing: Routings) -> None:
        self._counts[name] += 1
        if not self.layers[name]:
            return
        share = 1.0 / sum(map(bool, self.layers.values()))
        layers = sum(map(len, self.layers.values()))
        self._add("router_balance_loss", routing.balance_loss() * share)
        self._add("router_z_loss", routing.z_loss() * share)
        for layer, statistics in zip(self.layers[name], routing.statistics(), strict=True):
            self._add("router_max_over_mean", statistics.max_over_mean / layers)
            self._add("router_dead", statistics.dead)
            self._add(f"router_load/{layer}", statistics.load)

    def _add(self, name: str, value: Tensor) -> None:
        total = self._sums.get(name)
        self._sums[name] = value if total is None else total + value
