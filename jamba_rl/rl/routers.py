"""What training does with the routers of a policy's experts: their losses, their balance, their log."""

from __future__ import annotations

from collections.abc import Mapping

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
        self._seen: tuple[Routings, ...] = ()
        self._sums: dict[str, Tensor] = {}
        self._count = 0

    @property
    def any_experts(self) -> bool:
        """Whether there is a router at all."""
        return any(self.layers.values())

    def attach(self, values: Tensor, routings: tuple[Routings, ...]) -> Tensor:
        """Return ``values`` with the routers' losses on them, and take notes for ``balance`` and ``means``.

        :param routings: of the minibatch, one per backbone
        """
        self._seen = routings
        self._note(routings)
        loss = torch.stack([routing.loss().to(values.device) for routing in routings]).sum()
        return with_loss(values, loss)

    def balance(self) -> None:
        """Move biases against the load of the latest minibatch, once, after the optimizer's step."""
        if self._seen:
            for backbone, routing in zip(self.backbones.values(), self._seen, strict=True):
                backbone.balance_experts(routing)
        self._seen = ()

    def clear(self) -> None:
        """Forget all notes."""
        self._seen, self._sums, self._count = (), {}, 0

    def means(self) -> dict[str, float]:
        """What was seen since ``clear``, each the mean over minibatches; empty if nothing was.

        ``router_balance_loss``, ``router_z_loss`` and ``router_max_over_mean`` are means over layers too,
        ``router_dead`` is the number of experts in all layers that nobody chose, and
        ``router_load/<layer>/<expert>`` the fraction of a layer's choices, by the number of its block.
        """
        found: dict[str, float] = {}
        for name, total in self._sums.items():
            mean = total / self._count
            if mean.dim() == 0:
                found[name] = mean.item()
            else:
                found.update({f"{name}/{expert}": part for expert, part in enumerate(mean.tolist())})
        return found

    @torch.no_grad()
    def _note(self, routings: tuple[Routings, ...]) -> None:
        share = 1.0 / sum(map(bool, self.layers.values()))
        layers = sum(map(len, self.layers.values()))
        for names, routing in zip(self.layers.values(), routings, strict=True):
            if not names:
                continue
            self._add("router_balance_loss", routing.balance_loss() * share)
            self._add("router_z_loss", routing.z_loss() * share)
            for name, statistics in zip(names, routing.statistics(), strict=True):
                self._add("router_max_over_mean", statistics.max_over_mean / layers)
                self._add("router_dead", statistics.dead)
                self._add(f"router_load/{name}", statistics.load)
        self._count += 1

    def _add(self, name: str, value: Tensor) -> None:
        total = self._sums.get(name)
        self._sums[name] = value if total is None else total + value
