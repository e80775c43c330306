"""``JambaPolicy`` for SB3's own PPO and SAC: memory over a history that the env shows.

The policies of ``RecurrentPPO``, whose memory is carried from step to step, are in
``jamba_rl.rl.ppo.policies``.
"""

from __future__ import annotations

from typing import Any

import torch
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.policies import ActorCriticPolicy, ContinuousCritic
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.common.type_aliases import PyTorchObs, Schedule
from stable_baselines3.sac.policies import Actor, SACPolicy
from torch import Tensor

from jamba_rl.nn import JambaConfig
from jamba_rl.rl.window.features import JambaFeaturesExtractor

Network = JambaConfig | dict[str, Any] | None


def register() -> None:
    """Let SB3's PPO and SAC know the name ``JambaPolicy``."""
    PPO.policy_aliases["JambaPolicy"] = WindowActorCriticPolicy
    SAC.policy_aliases["JambaPolicy"] = WindowSACPolicy


class WindowActorCriticPolicy(ActorCriticPolicy):
    """SB3's actor-critic with a ``JambaFeaturesExtractor``, shared by actor and critic.

    All arguments of ``ActorCriticPolicy``, and:

    :param network: the backbone, a ``JambaConfig`` or a dict of its fields
    """

    def __init__(self, *args: Any, network: Network = None, **kwargs: Any) -> None:
        super().__init__(*args, **_with_extractor(network, kwargs, eps=1e-5))  # SB3's epsilon for PPO

    def _get_constructor_parameters(self) -> dict[str, Any]:
        # SB3 leaves this one out, and a saved policy would not load
        return super()._get_constructor_parameters() | {"share_features_extractor": self.share_features_extractor}


class WindowSACPolicy(SACPolicy):
    """SB3's SAC policy with a ``JambaFeaturesExtractor`` each for actor and critic.

    They remember for different ends, and separate memories learn better (Ni et al. 2022, arXiv
    2110.05038). With ``share_features_extractor=True`` there is one, which is cheaper: the loss of the
    critic trains it and the actor reads it. (SB3's own shared extractor learns from the actor alone,
    whose gradient is the weaker teacher.)

    All arguments of ``SACPolicy``, and:

    :param network: the backbone, a ``JambaConfig`` or a dict of its fields

    >>> import gymnasium
    >>> from jamba_rl import HistoryReplayBuffer, HistoryWrapper
    >>> env = HistoryWrapper(gymnasium.make("Pendulum-v1"), 16)
    >>> policy_kwargs = {"network": {"d_model": 32, "pattern": "MA"}}
    >>> model = SAC("JambaPolicy", env, policy_kwargs=policy_kwargs, replay_buffer_class=HistoryReplayBuffer)
    """

    def __init__(self, *args: Any, network: Network = None, **kwargs: Any) -> None:
        super().__init__(*args, **_with_extractor(network, kwargs))

    def make_actor(self, features_extractor: BaseFeaturesExtractor | None = None) -> Actor:
        """Make an actor; one that is given an extractor leaves it as it is."""
        kind = Actor if features_extractor is None else _Reader
        return kind(**self._update_features_extractor(self.actor_kwargs, features_extractor)).to(self.device)

    def make_critic(self, features_extractor: BaseFeaturesExtractor | None = None) -> ContinuousCritic:
        """Make a critic."""
        return _Critic(**self._update_features_extractor(self.critic_kwargs, features_extractor)).to(self.device)

    def _build(self, lr_schedule: Schedule) -> None:
        if not self.share_features_extractor:
            super()._build(lr_schedule)
            return
        self.critic, self.critic_target = self.make_critic(), self.make_critic()
        self.critic_target.load_state_dict(self.critic.state_dict())
        self.critic_target.set_training_mode(False)
        self.actor = self.make_actor(self.critic.features_extractor)
        trunk = {id(parameter) for parameter in self.critic.features_extractor.parameters()}
        own = [parameter for parameter in self.actor.parameters() if id(parameter) not in trunk]
        rate = lr_schedule(1)
        self.actor.optimizer = self.optimizer_class(own, lr=rate, **self.optimizer_kwargs)  # type: ignore[call-arg]
        self.critic.optimizer = self.optimizer_class(self.critic.parameters(), lr=rate, **self.optimizer_kwargs)  # type: ignore[call-arg]

    def _get_constructor_parameters(self) -> dict[str, Any]:
        # SB3 leaves this one out, and a saved policy would not load
        return super()._get_constructor_parameters() | {"share_features_extractor": self.share_features_extractor}


class _Reader(Actor):
    """An actor whose extractor somebody else trains."""

    def extract_features(self, obs: PyTorchObs, features_extractor: BaseFeaturesExtractor) -> Tensor:
        with torch.no_grad():
            return super().extract_features(obs, features_extractor)


class _Critic(ContinuousCritic):
    """A critic whose extractor learns from the critic's loss alone.

    SAC takes the actor's gradient through the critic's actions: going back through its memory for it
    would be wasted, and costs about as much as all else.
    """

    def forward(self, obs: Tensor, actions: Tensor) -> tuple[Tensor, ...]:
        with torch.set_grad_enabled(torch.is_grad_enabled() and not actions.requires_grad):
            features = self.extract_features(obs, self.features_extractor)
        inputs = torch.cat([features, actions], dim=1)
        return tuple(net(inputs) for net in self.q_networks)


def _with_extractor(network: Network, kwargs: dict[str, Any], **optimizer_kwargs: Any) -> dict[str, Any]:
    """Arguments of a policy of SB3, with our extractor unless they name another."""
    kwargs.setdefault("features_extractor_class", JambaFeaturesExtractor)
    if network is not None:
        kwargs["features_extractor_kwargs"] = {**(kwargs.get("features_extractor_kwargs") or {}), "network": network}
    if kwargs.get("optimizer_kwargs") is None and "optimizer_class" not in kwargs:
        # one kernel for all tensors instead of a dozen small operations for each
        kwargs["optimizer_kwargs"] = {**optimizer_kwargs, "fused": True}
    return kwargs
