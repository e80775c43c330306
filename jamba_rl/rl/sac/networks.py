"""Actor and critics on latents, and the memories that make these."""

from __future__ import annotations

from typing import Any

import torch
from gymnasium import spaces
from stable_baselines3.common.policies import BaseModel
from stable_baselines3.common.preprocessing import get_action_dim
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, create_mlp
from stable_baselines3.common.type_aliases import PyTorchObs
from stable_baselines3.sac.policies import LOG_STD_MAX, LOG_STD_MIN, Actor
from torch import Tensor, nn

from jamba_rl.rl.sac.layers import run_layers
from jamba_rl.rl.sac.memory import Memory
from jamba_rl.rl.sac.squashed import squashed_sample


class RecurrentActor(Actor):
    """SB3's actor, a Gaussian squashed by tanh or gSDE, on the latents of a memory.

    :param memory: its own, or the critics'
    """

    def __init__(self, memory: Memory, **kwargs: Any) -> None:
        super().__init__(features_extractor=memory.features_extractor, features_dim=memory.encoder.latent_dim, **kwargs)
        self.memory = memory

    def extract_features(self, obs: PyTorchObs, features_extractor: BaseFeaturesExtractor) -> Tensor:
        """Return the latents, which are what this actor reads in place of observations."""
        assert isinstance(obs, Tensor)
        return obs

    def get_action_dist_params(self, obs: PyTorchObs) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """As SB3's, of latents (N, L)."""
        assert isinstance(obs, Tensor)
        hidden = run_layers(self.latent_pi, obs)
        if self.use_sde:
            return self.mu(hidden), self.log_std, {"latent_sde": hidden}
        log_std: Tensor = self.log_std(hidden)  # type: ignore[operator]
        return self.mu(hidden), log_std.clamp(LOG_STD_MIN, LOG_STD_MAX), {}

    def action_log_prob(self, obs: PyTorchObs) -> tuple[Tensor, Tensor]:
        """Sample actions (N, A) in [-1, 1] for latents (N, L), with their log probabilities (N,)."""
        mean, log_std, kwargs = self.get_action_dist_params(obs)
        if self.use_sde:
            return self.action_dist.log_prob_from_params(mean, log_std, **kwargs)
        return squashed_sample(mean, log_std, torch.randn_like(mean))


class RecurrentCritic(BaseModel):
    """Critics on the latents of one memory.

    :param memory: their own
    :param net_arch: units of each hidden layer
    :param n_critics: how many there are
    :param layer_norm: normalise hidden layers before their activation, which bounds the values of actions that were
        never tried (Hiraoka et al. 2022, arXiv 2110.02034; Ball et al. 2023, arXiv 2302.02948)
    """

    def __init__(
        self,
        memory: Memory,
        observation_space: spaces.Space,
        action_space: spaces.Box,
        net_arch: list[int],
        activation_fn: type[nn.Module],
        normalize_images: bool,
        n_critics: int,
        layer_norm: bool,
    ) -> None:
        super().__init__(
            observation_space,
            action_space,
            features_extractor=memory.features_extractor,
            normalize_images=normalize_images,
        )
        self.memory = memory
        size = memory.encoder.latent_dim + get_action_dim(action_space)
        norms: list[type[nn.Module]] = [nn.LayerNorm] if layer_norm else []
        self.q_networks = nn.ModuleList(
            nn.Sequential(*create_mlp(size, 1, net_arch, activation_fn, post_linear_modules=norms))
            for _ in range(n_critics)
        )

    def forward(self, latents: Tensor, actions: Tensor, learns: bool = True) -> Tensor:
        """Values (N, n_critics) of actions (N, A) in [-1, 1] at latents (N, L).

        :param learns: whether the critics' own gradients are wanted
        """
        inputs = torch.cat([latents, actions], dim=1)
        return torch.cat([run_layers(network, inputs, learns) for network in self.q_networks], dim=1)
