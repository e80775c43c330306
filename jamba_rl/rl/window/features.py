"""Memory for any algorithm of SB3: a features extractor that reads a history."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import torch
import torch.nn.functional as F
from gymnasium import spaces
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn

from jamba_rl.nn import Jamba, JambaConfig
from jamba_rl.rl.auxiliary import with_loss
from jamba_rl.rl.options import as_network
from jamba_rl.rl.window.history import is_history


class JambaFeaturesExtractor(BaseFeaturesExtractor):
    """Runs a backbone over a history and joins what it remembers with the present observation.

    features = [backbone(embed([observation, previous action]))[last step], observation]: the latent
    of ``RecurrentPPO``'s policies, but computed anew from the window at every step. SB3 shuffles
    single observations, so that nothing could be carried from one to the next; the env has to show
    the history itself.

    The losses of a mixture of experts are added to whatever loss the features are trained by.

    :param observation_space: of an env in a ``HistoryWrapper`` or a ``VecHistory``
    :param network: the backbone, a ``JambaConfig`` or a dict of its fields
    :raises ValueError: the observations are no histories, or the network balances experts by a bias,
        which SB3's algorithms would not update

    >>> import gymnasium
    >>> from stable_baselines3 import TD3
    >>> from jamba_rl import HistoryWrapper
    >>> env = HistoryWrapper(gymnasium.make("Pendulum-v1"), 8)
    >>> policy_kwargs = {"features_extractor_class": JambaFeaturesExtractor}
    >>> model = TD3("MultiInputPolicy", env, policy_kwargs=policy_kwargs, buffer_size=100)
    >>> model.actor.features_extractor.features_dim
    67
    """

    def __init__(self, observation_space: spaces.Space, network: JambaConfig | dict[str, Any] | None = None) -> None:
        if not is_history(observation_space):
            raise ValueError(
                f"JambaPolicy and JambaFeaturesExtractor read a history, and {observation_space} shows one moment: "
                "they would have no memory. Wrap the env in jamba_rl.HistoryWrapper(env, 32), or a VecEnv in "
                "jamba_rl.VecHistory(venv, 32)"
            )
        assert isinstance(observation_space, spaces.Dict)
        config = as_network(network, JambaConfig())
        if "E" in config.ffn_pattern and config.balance == "bias":
            raise ValueError(
                "balance 'bias' needs a call after each step of the optimizer, which SB3 does not make: take 'switch'"
            )
        sizes = {key: part.shape[-1] for key, part in observation_space.spaces.items()}  # type: ignore[index]
        super().__init__(observation_space, features_dim=config.d_model + sizes["history"])
        self.embed = nn.Linear(sizes["history"] + sizes.get("actions", 0), config.d_model)
        self.backbone = Jamba(config)
        self._has_experts = "E" in config.ffn_pattern

    def forward(self, observations: dict[str, Tensor]) -> Tensor:
        """Features (B, F) of histories (B, length, ...)."""
        valid = observations["valid"].bool()
        seen = [observations[key] for key in ("history", "actions") if key in observations]
        x = torch.cat(seen, -1) * valid.unsqueeze(-1)
        # memory is emptied at the first step there was, so that nothing of the zeros before it remains
        first = valid & ~F.pad(valid[:, :-1], (1, 0))
        out = self.backbone(self.embed(x), reset=first)
        hidden = out.hidden[:, -1]
        if self._has_experts and self.training and torch.is_grad_enabled():
            hidden = with_loss(hidden, out.routing.loss(valid))
        return torch.cat([hidden, observations["history"][:, -1]], -1)

    def apply(self, fn: Callable[[nn.Module], None]) -> Self:
        """As of every module, but SB3's orthogonal initialisation is kept out.

        PPO and A2C apply that to every linear layer of a policy, and it would erase how long a memory lasts. Their
        heads still get it.
        """
        return self if getattr(fn, "func", fn) is BasePolicy.init_weights else super().apply(fn)
