"""SB3's actor-critic policy with a memory."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import torch
from gymnasium import spaces
from stable_baselines3.common.distributions import DiagGaussianDistribution, Distribution
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.type_aliases import PyTorchObs, Schedule
from torch import Tensor

from jamba_rl.nn import JambaConfig, State
from jamba_rl.nn.mixer import keep
from jamba_rl.nn.router import Routings
from jamba_rl.rl.encoder import ActionEncoder, Encoded, Encoder
from jamba_rl.rl.extractors import are_real_vectors
from jamba_rl.rl.optimizer import policy_groups
from jamba_rl.rl.options import as_network, check_frames, check_options, choose_extractor, fill_defaults
from jamba_rl.rl.ppo.gaussian import DiagGaussian
from jamba_rl.rl.ppo.heads import Heads
from jamba_rl.rl.recurrent import RecurrentPolicy
from jamba_rl.rl.routers import RouterTraining
from jamba_rl.rl.sequences import Sequences, count_rows


class RecurrentActorCriticPolicy(RecurrentPolicy, ActorCriticPolicy):
    """SB3's actor-critic with an encoder between the features extractor and the heads.

    The memory is explicit: ``forward`` and ``predict`` take a state and return the next one. It is
    a tuple of arrays, a row per env: the encoded previous action, the state of the (actor's)
    backbone, the state of the critic's if it has its own. SB3's orthogonal initialisation reaches
    the heads and not the encoder, which initialises itself.

    All arguments of ``ActorCriticPolicy``, and:

    :param network: the backbone, a ``JambaConfig`` or a dict of its fields; default: the class's own
    :param previous_action: the encoder also sees the previous action; default: if the backbone
        has a memory, since one action back is a memory too
    :param observation_change: the encoder also sees how the observation has changed since the step before, in units
        of its usual change; default: if the backbone has a memory and observations are vectors of real numbers
    :param observation_sum: the encoder also sees leaky sums of the observations and of ones over the episode, see
        ``LeakySum``; default: as for ``observation_change``
    :param frames: how many observations the encoder sees at once, the present one last: a memory for networks
        that have none
    :param shared_encoder: actor and critic share one encoder, which both losses train; else each has its own
    :param critic_memory: whether the critic's own encoder remembers more than the step before
    :param encoder_learning_rate_ratio: learning rate of the encoder in units of everything else's;
        ``RecurrentPPO`` keeps it when the schedule changes the rate
    :param image_encoder: what sees images, also those in dicts: ``nature`` (SB3's CNN, for 36 x 36 pixels and more) or
        ``spatial`` (DHC-Jamba's, for any size); default: ``nature`` where it can
    :param optimizer_kwargs: a ``weight_decay`` among them shrinks matrices alone, see
        ``jamba_rl.nn.parameter_groups``
    :raises ValueError: if they do not fit together
    """

    default_network: ClassVar[JambaConfig] = JambaConfig()

    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        lr_schedule: Schedule,
        network: JambaConfig | dict[str, Any] | None = None,
        previous_action: bool | None = None,
        shared_encoder: bool = True,
        critic_memory: bool = True,
        encoder_learning_rate_ratio: float = 1.0,
        observation_change: bool | None = None,
        frames: int = 1,
        image_encoder: str | None = None,
        observation_sum: bool | None = None,
        **kwargs: Any,
    ) -> None:
        self.network = as_network(network, self.default_network)
        self.previous_action = self.network.has_memory if previous_action is None else previous_action
        self.observation_change = observation_change
        self.observation_sum = observation_sum
        self.frames = frames
        check_frames(frames)
        self.shared_encoder = shared_encoder
        self.critic_memory = critic_memory
        self.encoder_learning_rate_ratio = encoder_learning_rate_ratio
        check_options(shared_encoder, critic_memory, encoder_learning_rate_ratio, kwargs)
        choose_extractor(observation_space, image_encoder, kwargs)
        fill_defaults(kwargs)
        super().__init__(observation_space, action_space, lr_schedule, **kwargs)

    def _get_constructor_parameters(self) -> dict[str, Any]:
        names = (
            "network", "previous_action", "shared_encoder", "critic_memory", "encoder_learning_rate_ratio",
            "observation_change", "observation_sum", "frames", "share_features_extractor",  # which SB3 forgets
        )  # fmt: skip
        return super()._get_constructor_parameters() | {name: getattr(self, name) for name in names}

    def _build(self, lr_schedule: Schedule) -> None:
        if type(self.action_dist) is DiagGaussianDistribution:
            self.action_dist = DiagGaussian(self.action_dist.action_dim)
        super()._build(lr_schedule)
        ratio, decay = self.encoder_learning_rate_ratio, self.optimizer.defaults.get("weight_decay", 0.0)
        if ratio != 1.0 or decay:
            groups = policy_groups(self, self.encoders.values(), ratio, decay)
            self.optimizer = self.optimizer_class(groups, lr=lr_schedule(1), **self.optimizer_kwargs)  # type: ignore[call-arg]
        self.routers = RouterTraining({name: encoder.backbone for name, encoder in self.encoders.items()})

    def _build_mlp_extractor(self) -> None:
        self.encode_action = ActionEncoder(self.action_space, self.squash_output)
        self._action_dim = self.encode_action.dim if self.previous_action else 0
        default = self.network.has_memory and are_real_vectors(self.observation_space)
        asked = (self.observation_change, self.observation_sum)
        change, leaky_sum = (default if each is None else each for each in asked)
        make_encoder = partial(
            Encoder, self.features_dim, self._action_dim, change=change, leaky_sum=leaky_sum, frames=self.frames
        )
        self.encoder = make_encoder(self.network)
        self.critic_encoder: Encoder | None = None
        if not self.shared_encoder:
            blank = replace(self.network, pattern="N" * self.network.num_layers)
            config = self.network if self.critic_memory else blank
            self.critic_encoder = make_encoder(config)
        self._actor_parts = len(self.encoder.initial_state(0))
        self.mlp_extractor = Heads(self.encoder.latent_dim, self.net_arch, self.activation_fn, self.device)

    @property
    def encoders(self) -> dict[str, Encoder]:
        """The encoder, and the critic's own if there is one, by the prefix of their layers in the log."""
        if self.critic_encoder is None:
            return {"": self.encoder}
        return {"": self.encoder, "critic_": self.critic_encoder}

    def initial_state(self, n_envs: int) -> State:
        """Empty memory of ``n_envs`` envs."""
        parts = [part for encoder in self.encoders.values() for part in encoder.initial_state(n_envs)]
        return (torch.zeros(n_envs, self._action_dim, device=self.device), *parts)

    def forward(  # type: ignore[override]
        self,
        obs: PyTorchObs,
        state: State | None = None,
        episode_starts: Tensor | None = None,
        deterministic: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor, State]:
        """Act one step in every env.

        :param obs: (n_envs, ...)
        :param state: memory before the step; None for empty
        :param episode_starts: (n_envs,) bool; these envs forget first; None for none of them
        :return: actions, values (n_envs, 1), log probabilities (n_envs,), memory after the step
        """
        actor, critic = self._step(obs, state, episode_starts)
        distribution = self._distribution(actor)
        actions = distribution.get_actions(deterministic=deterministic)
        log_prob = distribution.log_prob(actions)
        values = self._values(critic)
        next_state = (self._remembered(actions), *_memory(actor, critic))
        return actions.reshape(-1, *self._action_shape), values, log_prob, next_state

    def evaluate_actions(self, obs: Sequences, actions: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:  # type: ignore[override]
        """Evaluate actions taken in whole windows, with the memory run through them.

        The values carry the losses of routers: whoever goes backward through them trains the routers too.

        :param obs: B windows of T steps
        :param actions: (B * T, action dimensions), or (B * T,) if discrete
        :return: values (B * T, 1), log probabilities (B * T,), entropy (B * T,)
        """
        B, T = obs.resets.shape
        pi_features, vf_features = self._features(obs.observations)
        size = self._actor_parts
        actor = self.encoder(pi_features.view(B, T, -1), obs.previous, obs.state[:size], obs.resets)
        critic = actor
        if self.critic_encoder is not None:
            critic = self.critic_encoder(vf_features.view(B, T, -1), obs.previous, obs.state[size:], obs.resets)
        values = self._values(critic)
        if self.routers.any_experts and self.training and torch.is_grad_enabled():
            values = self.routers.attach(values, _routings(actor, critic))
        distribution = self._distribution(actor)
        return values, distribution.log_prob(actions), distribution.entropy()

    @torch.no_grad()
    def observe(self, obs: Sequences) -> None:
        """Learn from windows how large what is derived from observations usually is, if the encoders want to know."""
        if not self.encoder.derives:  # and so the critic's
            return
        self.set_training_mode(False)  # as in the rollout: no dropout
        B, T = obs.resets.shape
        features = (part.view(B, T, -1) for part in self._features(obs.observations))
        states = (obs.state[: self._actor_parts], obs.state[self._actor_parts :])
        for encoder, part, state in zip(self.encoders.values(), features, states, strict=False):
            encoder.observe(part, state, obs.resets)

    def get_distribution(  # type: ignore[override]
        self, obs: PyTorchObs, state: State | None = None, episode_starts: Tensor | None = None
    ) -> tuple[Distribution, State]:
        """Action distribution of one step, and the memory of the backbones after it."""
        actor, critic = self._step(obs, state, episode_starts)
        return self._distribution(actor), _memory(actor, critic)

    def predict_values(
        self, obs: PyTorchObs, state: State | None = None, episode_starts: Tensor | None = None
    ) -> Tensor:
        """Values (n_envs, 1) of one step."""
        return self._values(self._step(obs, state, episode_starts)[1])

    def choose(
        self, obs: PyTorchObs, state: State | None, episode_starts: Tensor | None, deterministic: bool
    ) -> tuple[Tensor, State]:
        """Choose actions; see ``RecurrentPolicy``."""
        distribution, memory = self.get_distribution(obs, state, episode_starts)
        chosen = distribution.get_actions(deterministic=deterministic)
        return chosen, (self._remembered(chosen), *memory)

    @property
    def _action_shape(self) -> tuple[int, ...]:
        assert self.action_space.shape is not None
        return self.action_space.shape

    def _features(self, obs: PyTorchObs) -> tuple[Tensor, Tensor]:
        """Features for the actor and for the critic."""
        features = self.extract_features(obs)
        return features if isinstance(features, tuple) else (features, features)

    def _step(self, obs: PyTorchObs, state: State | None, episode_starts: Tensor | None) -> tuple[Encoded, Encoded]:
        """Encode one step for the actor and for the critic; the same object if they share an encoder."""
        if state is None:
            state = self.initial_state(count_rows(obs))
        pi_features, vf_features = self._features(obs)
        previous, memory, size = keep(state[0], episode_starts), state[1:], self._actor_parts
        actor = self.encoder.step(pi_features, previous, memory[:size], episode_starts)
        if self.critic_encoder is None:
            return actor, actor
        return actor, self.critic_encoder.step(vf_features, previous, memory[size:], episode_starts)

    def _distribution(self, encoded: Encoded) -> Distribution:
        latent = _flat(encoded.latent)
        return self._get_action_dist_from_latent(self.mlp_extractor.forward_actor(latent))

    def _values(self, encoded: Encoded) -> Tensor:
        values: Tensor = self.value_net(self.mlp_extractor.forward_critic(_flat(encoded.latent)))
        return values

    def _remembered(self, actions: Tensor) -> Tensor:
        """Actions (n, ...) as the next step sees them (n, A)."""
        if not self.previous_action:
            return actions.new_zeros(len(actions), 0, dtype=torch.float32)
        return self.encode_action(actions.reshape(len(actions), -1))


def _memory(actor: Encoded, critic: Encoded) -> State:
    return actor.state if critic is actor else (*actor.state, *critic.state)


def _routings(actor: Encoded, critic: Encoded) -> tuple[Routings, ...]:
    return (actor.routing,) if critic is actor else (actor.routing, critic.routing)


def _flat(latent: Tensor) -> Tensor:
    return latent if latent.dim() == 2 else latent.flatten(0, 1)
