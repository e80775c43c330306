"""Actor-critic policies with memory; the classes differ in their backbone only."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.distributions import Distribution
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.torch_layers import (
    BaseFeaturesExtractor,
    CombinedExtractor,
    FlattenExtractor,
    MlpExtractor,
    NatureCNN,
)
from stable_baselines3.common.type_aliases import PyTorchObs, Schedule
from torch import Tensor

from jamba_rl.nn import JambaConfig, State
from jamba_rl.nn.mixer import keep
from jamba_rl.rl.encoder import ActionEncoder, Encoder


class Sequences(NamedTuple):
    """Windows of experience as a policy reads them, B windows of T steps."""

    observations: PyTorchObs
    """(B * T, ...), window after window."""
    resets: Tensor
    """(B, T) bool, set at the first step of an episode."""
    state: State
    """The policy's memory before the first step of each window."""


class RecurrentActorCriticPolicy(ActorCriticPolicy):
    """SB3's actor-critic with an encoder between the features extractor and the heads.

    The memory is explicit: ``forward`` and ``predict`` take a state and return the next one. It is
    a tuple: the encoded previous action (n_envs, A), then the state of the backbone. SB3's
    orthogonal initialisation reaches the heads and not the encoder, which initialises itself.

    All arguments of ``ActorCriticPolicy``, and:

    :param network: the backbone, a ``JambaConfig`` or a dict of its fields; default: the class's own
    :param previous_action: the encoder also sees the previous action; default: if the backbone
        has a memory, since one action back is a memory too
    """

    default_network: ClassVar[JambaConfig] = JambaConfig()

    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        lr_schedule: Schedule,
        network: JambaConfig | dict[str, Any] | None = None,
        previous_action: bool | None = None,
        **kwargs: Any,
    ) -> None:
        if network is None:
            network = self.default_network
        self.network = JambaConfig(**network) if isinstance(network, dict) else network
        self.previous_action = self.network.has_memory if previous_action is None else previous_action
        if kwargs.get("features_extractor_class") is None:
            kwargs["features_extractor_class"] = default_extractor(observation_space)
        if kwargs.get("net_arch") is None:
            kwargs["net_arch"] = {"pi": [64, 64], "vf": [64, 64]}
        if kwargs.get("optimizer_kwargs") is None and "optimizer_class" not in kwargs:
            # SB3's default epsilon; one fused kernel instead of a dozen small operations per tensor
            kwargs["optimizer_kwargs"] = {"eps": 1e-5, "fused": True}
        super().__init__(observation_space, action_space, lr_schedule, **kwargs)

    def _get_constructor_parameters(self) -> dict[str, Any]:
        own = {"network": self.network, "previous_action": self.previous_action}
        return super()._get_constructor_parameters() | own

    def _build_mlp_extractor(self) -> None:
        self.encode_action = ActionEncoder(self.action_space, self.squash_output)
        action_dim = self.encode_action.dim if self.previous_action else 0
        self.encoder = Encoder(self.features_dim, action_dim, self.network)
        self.mlp_extractor = MlpExtractor(self.encoder.latent_dim, self.net_arch, self.activation_fn, self.device)

    def initial_state(self, n_envs: int) -> State:
        """Empty memory of ``n_envs`` envs."""
        action_dim = self.encode_action.dim if self.previous_action else 0
        return (torch.zeros(n_envs, action_dim, device=self.device), *self.encoder.backbone.initial_state(n_envs))

    def forward(  # type: ignore[override]
        self, obs: PyTorchObs, state: State, episode_starts: Tensor, deterministic: bool = False
    ) -> tuple[Tensor, Tensor, Tensor, State]:
        """Act one step in every env.

        :param obs: (n_envs, ...)
        :param state: memory before the step
        :param episode_starts: (n_envs,) bool; these envs forget first
        :return: actions, values (n_envs, 1), log probabilities (n_envs,), memory after the step
        """
        latent, memory = self._step(obs, state, episode_starts)
        latent_pi, latent_vf = self.mlp_extractor(latent)
        distribution = self._get_action_dist_from_latent(latent_pi)
        actions = distribution.get_actions(deterministic=deterministic)
        log_prob = distribution.log_prob(actions)
        next_state = (self._remembered(actions), *memory)
        return actions.reshape(-1, *self._action_shape), self.value_net(latent_vf), log_prob, next_state

    def evaluate_actions(self, obs: Sequences, actions: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:  # type: ignore[override]
        """Evaluate actions taken in whole windows, with the memory run through them.

        :param obs: B windows of T steps
        :param actions: (B * T, action dimensions), or (B * T,) if discrete
        :return: values (B * T, 1), log probabilities (B * T,), entropy (B * T,)
        """
        (B, T), previous = obs.resets.shape, obs.state[0]
        features = self.extract_features(obs.observations)
        taken = self._remembered(actions).view(B, T, -1)
        previous = torch.cat([previous.unsqueeze(1), taken[:, :-1]], 1).masked_fill(obs.resets.unsqueeze(-1), 0.0)
        latent, _ = self.encoder(features.view(B, T, -1), previous, obs.state[1:], obs.resets)  # type: ignore[union-attr]
        latent_pi, latent_vf = self.mlp_extractor(latent.flatten(0, 1))
        distribution = self._get_action_dist_from_latent(latent_pi)
        return self.value_net(latent_vf), distribution.log_prob(actions), distribution.entropy()

    def get_distribution(self, obs: PyTorchObs, state: State, episode_starts: Tensor) -> tuple[Distribution, State]:  # type: ignore[override]
        """Action distribution of one step, and the backbone's memory after it."""
        latent, memory = self._step(obs, state, episode_starts)
        return self._get_action_dist_from_latent(self.mlp_extractor.forward_actor(latent)), memory

    def predict_values(self, obs: PyTorchObs, state: State, episode_starts: Tensor) -> Tensor:  # type: ignore[override]
        """Values (n_envs, 1) of one step."""
        latent, _ = self._step(obs, state, episode_starts)
        return self.value_net(self.mlp_extractor.forward_critic(latent))

    def predict(
        self,
        observation: np.ndarray | dict[str, np.ndarray],
        state: tuple[np.ndarray, ...] | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
        """Choose actions and carry the memory, as ``sb3_contrib``'s recurrent policies do.

        :param observation: one observation or a batch of n_envs
        :param state: what the call before returned; None at the very start
        :param episode_start: (n_envs,) bool, set where an episode begins; None for nowhere
        :param deterministic: take the mode instead of a sample
        :return: actions and the memory after them
        """
        self.set_training_mode(False)
        obs, vectorized = self.obs_to_tensor(observation)
        n_envs = len(next(iter(obs.values())) if isinstance(obs, dict) else obs)
        if episode_start is None:
            episode_start = np.zeros(n_envs, dtype=bool)
        with torch.no_grad():
            memory = self.initial_state(n_envs) if state is None else to_tensors(state, self.device)
            starts = torch.as_tensor(episode_start, device=self.device, dtype=torch.bool).reshape(-1)
            distribution, memory = self.get_distribution(obs, memory, starts)
            chosen = distribution.get_actions(deterministic=deterministic)
            next_state = to_arrays((self._remembered(chosen), *memory))
        actions = chosen.cpu().numpy().reshape(-1, *self._action_shape)
        if isinstance(self.action_space, spaces.Box):
            if self.squash_output:
                actions = self.unscale_action(actions)
            else:
                actions = np.clip(actions, self.action_space.low, self.action_space.high)
        return (actions if vectorized else actions.squeeze(axis=0)), next_state

    @property
    def _action_shape(self) -> tuple[int, ...]:
        assert self.action_space.shape is not None
        return self.action_space.shape

    def _step(self, obs: PyTorchObs, state: State, episode_starts: Tensor) -> tuple[Tensor, State]:
        features = self.extract_features(obs)
        return self.encoder.step(features, keep(state[0], episode_starts), state[1:], episode_starts)  # type: ignore[arg-type]

    def _remembered(self, actions: Tensor) -> Tensor:
        """Actions (n, ...) as the next step sees them (n, A)."""
        if not self.previous_action:
            return actions.new_zeros(len(actions), 0, dtype=torch.float32)
        return self.encode_action(actions.reshape(len(actions), -1))


class JambaPolicy(RecurrentActorCriticPolicy):
    """The hybrid: Mamba latches and integrates, attention recalls exactly."""

    default_network = JambaConfig(pattern="MA")


class SSMPolicy(RecurrentActorCriticPolicy):
    """The linear, time-invariant state-space baseline."""

    default_network = JambaConfig(pattern="S", d_hidden=128)


class LstmPolicy(RecurrentActorCriticPolicy):
    """One LSTM."""

    default_network = JambaConfig(pattern="L")


class MlpPolicy(RecurrentActorCriticPolicy):
    """No memory: the same network with the mixer taken out, and a feed-forward for its parameters."""

    default_network = JambaConfig(pattern="N", ffn_pattern="D")


def default_extractor(space: spaces.Space) -> type[BaseFeaturesExtractor]:
    """SB3's features extractor for a space: dicts, images, anything else."""
    if isinstance(space, spaces.Dict):
        return CombinedExtractor
    return NatureCNN if is_image_space(space) else FlattenExtractor


def to_tensors(state: tuple[np.ndarray, ...], device: torch.device) -> State:
    """A memory of numpy arrays as tensors."""
    return tuple(torch.as_tensor(array, device=device) for array in state)


def to_arrays(state: State) -> tuple[np.ndarray, ...]:
    """A memory of tensors as numpy arrays."""
    return tuple(tensor.cpu().numpy() for tensor in state)
