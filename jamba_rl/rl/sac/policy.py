"""SB3's SAC policy with memories."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import torch
from gymnasium import spaces
from stable_baselines3.common.preprocessing import get_action_dim
from stable_baselines3.common.type_aliases import PyTorchObs, Schedule
from stable_baselines3.sac.policies import SACPolicy
from torch import Tensor, nn

from jamba_rl.nn import JambaConfig, State
from jamba_rl.nn.mixer import keep
from jamba_rl.rl.adam import Adam
from jamba_rl.rl.encoder import Encoded, Encoder
from jamba_rl.rl.extractors import are_real_vectors
from jamba_rl.rl.optimizer import policy_groups
from jamba_rl.rl.options import as_network, check_frames, check_ratio, choose_extractor
from jamba_rl.rl.recurrent import RecurrentPolicy
from jamba_rl.rl.routers import RouterTraining
from jamba_rl.rl.sac.memory import Memory
from jamba_rl.rl.sac.networks import RecurrentActor, RecurrentCritic
from jamba_rl.rl.sequences import Sequences, count_rows


class Remembered(NamedTuple):
    """What backbones remember, a row per window."""

    actor: State
    critic: State
    target: State
    """Of the target critics."""


class RecurrentSACPolicy(RecurrentPolicy, SACPolicy):
    """SB3's SAC policy whose actor and critics have a memory each.

    They remember for different ends, and separate memories learn better (Ni et al. 2022, arXiv 2110.05038). While
    acting, only the actor's is carried: a tuple of arrays, a row per env, the previous action before all.

    All arguments of ``SACPolicy``, and:

    :param network: the backbones, a ``JambaConfig`` or a dict of its fields; default: the class's own
    :param previous_action: the memories also see the previous action; default: if the backbone has a memory, since
        one action back is a memory too
    :param observation_change: they also see how the observation has changed since the step before, in units of its
        usual change; default: if the backbone has a memory and observations are vectors of real numbers
    :param frames: how many observations they see at once, the present one last: a memory for networks that have none
    :param shared_encoder: the actor reads the critics' memory, which their loss alone trains
    :param encoder_learning_rate_ratio: learning rate of memories in units of everything else's; ``RecurrentSAC``
        keeps it when the schedule changes the rate. Much less than 1, or values and actions chase what memories make
        of the past (Luo et al. 2024, arXiv 2405.15384)
    :param n_critics: how many critics judge an action
    :param target_critics: of so many, drawn anew for each update, the lowest value is believed, and the actor goes
        by the mean of all (Chen et al. 2021, arXiv 2101.05982); default: all, whose lowest the actor goes by too
    :param critic_layer_norm: normalise the hidden layers of critics
    :param image_encoder: what sees images, as of ``RecurrentPPO``'s policies
    :raises ValueError: if they do not fit together
    """

    default_network: ClassVar[JambaConfig] = JambaConfig()
    actor: RecurrentActor
    critic: RecurrentCritic  # type: ignore[assignment]
    critic_target: RecurrentCritic  # type: ignore[assignment]

    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Box,
        lr_schedule: Schedule,
        network: JambaConfig | dict[str, Any] | None = None,
        previous_action: bool | None = None,
        observation_change: bool | None = None,
        frames: int = 1,
        shared_encoder: bool = False,
        encoder_learning_rate_ratio: float = 0.03,
        n_critics: int = 2,
        target_critics: int | None = None,
        critic_layer_norm: bool = False,
        image_encoder: str | None = None,
        optimizer_class: type[torch.optim.Optimizer] = Adam,
        **kwargs: Any,
    ) -> None:
        self.network = as_network(network, self.default_network)
        remembers = self.network.has_memory
        self.previous_action = remembers if previous_action is None else previous_action
        if observation_change is None:
            observation_change = remembers and are_real_vectors(observation_space)
        self.observation_change = observation_change
        self.frames = frames
        check_frames(frames)
        self.shared_encoder = shared_encoder
        check_ratio(encoder_learning_rate_ratio)
        self.encoder_learning_rate_ratio = encoder_learning_rate_ratio
        self.target_critics = n_critics if target_critics is None else target_critics
        if not 1 <= self.target_critics <= n_critics:
            raise ValueError(f"target_critics must be from 1 to n_critics {n_critics}, was {target_critics!r}")
        self.critic_layer_norm = critic_layer_norm
        if kwargs.get("share_features_extractor", shared_encoder) != shared_encoder:
            raise ValueError("to share memory and features between actor and critics, set shared_encoder=True")
        self._action_dim = get_action_dim(action_space)
        choose_extractor(observation_space, image_encoder, kwargs)
        kwargs |= {"optimizer_class": optimizer_class, "n_critics": n_critics}
        super().__init__(observation_space, action_space, lr_schedule, **kwargs)

    def _get_constructor_parameters(self) -> dict[str, Any]:
        names = (
            "network", "previous_action", "observation_change", "frames", "shared_encoder",
            "encoder_learning_rate_ratio", "target_critics", "critic_layer_norm",
        )  # fmt: skip
        return super()._get_constructor_parameters() | {name: getattr(self, name) for name in names}

    def _build(self, lr_schedule: Schedule) -> None:
        self.critic, self.critic_target = self._make_critic(), self._make_critic()
        self.critic_target.load_state_dict(self.critic.state_dict())
        # one usual change for both: the target follows what is learned by gradients
        self.critic_target.memory.encoder.change = self.critic.memory.encoder.change
        self.critic_target.requires_grad_(requires_grad=False)
        self.critic_target.set_training_mode(False)
        memory = self.critic.memory if self.shared_encoder else self._make_memory()
        self._actor_parts = len(memory.initial_state(0))
        self.actor = RecurrentActor(memory, **self.actor_kwargs).to(self.device)
        others = list(memory.parameters()) if self.shared_encoder else []
        self._add_optimizer(self.actor, others, lr_schedule)
        self._add_optimizer(self.critic, [], lr_schedule)
        self.routers = RouterTraining({name: part.encoder.backbone for name, part in self.memories.items()})

    def _add_optimizer(
        self, part: RecurrentActor | RecurrentCritic, others: list[nn.Parameter], schedule: Schedule
    ) -> None:
        """Make the optimizer of a part, which leaves the parameters of others alone."""
        ratio, decay = self.encoder_learning_rate_ratio, self.optimizer_kwargs.get("weight_decay", 0.0)
        groups = policy_groups(part, [part.memory.encoder], ratio, decay)
        excluded = {id(parameter) for parameter in others}
        for group in groups:
            group["params"] = [parameter for parameter in group["params"] if id(parameter) not in excluded]
        groups = [group for group in groups if group["params"]]
        part.optimizer = self.optimizer_class(groups, lr=schedule(1), **self.optimizer_kwargs)  # type: ignore[call-arg]

    def _make_critic(self) -> RecurrentCritic:
        kwargs: dict[str, Any] = {
            key: value for key, value in self.critic_kwargs.items() if key != "share_features_extractor"
        }
        return RecurrentCritic(self._make_memory(), layer_norm=self.critic_layer_norm, **kwargs).to(self.device)

    def _make_memory(self) -> Memory:
        extractor = self.make_features_extractor()
        size = self._action_dim if self.previous_action else 0
        encoder = Encoder(extractor.features_dim, size, self.network, self.observation_change, frames=self.frames)
        return Memory(self.observation_space, self.action_space, extractor, encoder, size, self.normalize_images)

    @property
    def memories(self) -> dict[str, Memory]:
        """What is learned: the critics' memory and, if it has one, the actor's own; by the prefix in the log."""
        if self.shared_encoder:
            return {"": self.critic.memory}
        return {"": self.actor.memory, "critic_": self.critic.memory}

    def initial_state(self, n_envs: int, critic: bool = False) -> State:
        """Empty memory of ``n_envs`` envs.

        :param critic: with that of the critics behind the actor's, to be carried too
        """
        previous = self._seen(torch.zeros(n_envs, self._action_dim, device=self.device))
        state = (previous, *self.actor.memory.initial_state(n_envs))
        return (*state, *self.critic.memory.initial_state(n_envs)) if critic else state

    def choose(
        self, obs: PyTorchObs, state: State | None, episode_starts: Tensor | None, deterministic: bool
    ) -> tuple[Tensor, State]:
        """Choose actions in [-1, 1]; see ``RecurrentPolicy``. The memory may have the critics' behind the actor's."""
        if state is None:
            state = self.initial_state(count_rows(obs))
        previous = keep(state[0], episode_starts)
        mine, others = self.split(state[1:])
        encoded = self.actor.memory.step(obs, previous, mine, episode_starts)
        if others:
            others = self.critic.memory.step(obs, previous, others, episode_starts).state
        actions = self.actor(encoded.latent, deterministic)
        return actions, self.took(actions, (previous, *encoded.state, *others))

    def split(self, state: State) -> tuple[State, State]:
        """The actor's memory, and the critics' that may be behind it."""
        return state[: self._actor_parts], state[self._actor_parts :]

    def stored(self, state: State) -> State:
        """What of a memory is kept with experience: that of the backbones; the rest can be looked up there."""
        own = self.actor.memory.encoder.own_parts
        mine, others = self.split(state[1:])
        return (*mine[own:], *others[own:])

    def states(self, windows: Sequences) -> Remembered:
        """What backbones remember before windows: nothing, what was stored with them, or what others have left."""
        state = windows.state or self.empty(len(windows.resets))
        actors = 0 if self.shared_encoder else self._actor_parts - self.actor.memory.encoder.own_parts
        critics = actors + len(self.critic.memory.encoder.backbone.initial_state(0))
        actor, critic, target = state[:actors], state[actors:critics], state[critics:]
        return Remembered(critic if self.shared_encoder else actor, critic, target or critic)

    def empty(self, batch: int) -> State:
        """What backbones remember of nothing, in the order of ``left``."""
        critic = self.critic.memory.encoder.backbone.initial_state(batch)
        actor = () if self.shared_encoder else self.actor.memory.encoder.backbone.initial_state(batch)
        return (*actor, *critic, *critic)

    def left(self, acted: Encoded | None, judged: Encoded, targeted: Encoded) -> State:
        """What windows leave to those that follow on them; ``states`` takes it apart again.

        :param acted: the actor's reading of them; None where it has no memory of its own
        """
        own = self.actor.memory.encoder.own_parts
        return tuple(
            part.detach() for each in (acted, judged, targeted) if each is not None for part in each.state[own:]
        )

    @property
    def context(self) -> int:
        """How many frames before the first step of a window are seen beside it."""
        return self.actor.memory.encoder.context

    def observe(self, windows: Sequences) -> None:
        """Learn from windows how much observations usually change, if the memories want to know."""
        for memory in self.memories.values():
            memory.observe(windows)

    @property
    def critic_name(self) -> str:
        """The name of the critics' memory among ``memories``."""
        return next(reversed(self.memories))

    @property
    def action_shape(self) -> tuple[int, ...]:
        """Shape of one action."""
        assert self.action_space.shape is not None
        return self.action_space.shape

    @torch.no_grad()
    def follow(self, tau: float) -> None:
        """Move the target critics towards the critics by this fraction of the way; what they count is copied."""
        torch._foreach_lerp_(list(self.critic_target.parameters()), list(self.critic.parameters()), tau)
        for mine, theirs in zip(self.critic_target.buffers(), self.critic.buffers(), strict=True):
            if mine is not theirs:
                mine.copy_(theirs)

    def took(self, actions: Tensor, state: State) -> State:
        """The memory if these actions (n, A) in [-1, 1] were taken, and not those that were chosen."""
        return (self._seen(actions), *state[1:])

    def _seen(self, actions: Tensor) -> Tensor:
        return actions if self.previous_action else actions[:, :0]
