"""SAC whose policy has a memory."""

from __future__ import annotations

import io
import pathlib
import warnings
from typing import Any, ClassVar

import numpy as np
import torch
from stable_baselines3 import SAC
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.noise import ActionNoise
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import GymEnv, MaybeCallback, RolloutReturn, Schedule
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

from jamba_rl.rl.adam import Adam
from jamba_rl.rl.carried import CarriesMemory
from jamba_rl.rl.finite import check_experience, one_row
from jamba_rl.rl.optimizer import keep_ratios
from jamba_rl.rl.sac.losses import Choices, Lesson, actor_loss, critic_loss, targets
from jamba_rl.rl.sac.policies import POLICIES
from jamba_rl.rl.sac.policy import RecurrentSACPolicy
from jamba_rl.rl.sac.replay import ReplayedSequences, SequenceReplayBuffer
from jamba_rl.rl.sac.replay_file import env_name, load_replay
from jamba_rl.rl.sequences import to_arrays

WINDOWS_IN_A_ROW = 32
OBSERVED = 16  # of so many updates, one looks at how much observations usually change: a mean over all experience


class RecurrentSAC(CarriesMemory, SAC):
    """SB3's SAC with memory carried from step to step, trained on sequences out of its replay.

    Arguments, logger keys, callbacks and files are those of SB3's ``SAC``. The replay keeps what happened as one tape
    per env; an update reads windows of it, with episodes ending inside, and gradient flows through a window.

    All other arguments are those of ``SAC``. A mixture of experts adds the logger's keys of ``RecurrentPPO``.

    :param policy: a policy class or name: JambaPolicy, MambaPolicy, AttentionPolicy, SSMPolicy, LstmPolicy,
        GruPolicy, MlpPolicy, or one of SB3's and sb3_contrib's: CnnPolicy, MlpLstmPolicy and so on
    :param env: the env, or its gymnasium id
    :param learning_rate: a number or a schedule
    :param batch_size: steps read per update, those of the burn-in included
    :param sequence_length: steps to learn from per window
    :param burn_in: steps before them that only fill the memory
    :param stored_state: windows begin with the memory that was there when they happened, kept every
        ``sequence_length`` steps; else with an empty one
    :param windows_in_a_row: so many updates a window follows on that of the update before, with the memory that was
        left there, before the next begins elsewhere with an empty one; so what is learned from are memories up to so
        many windows old, as while acting. Default: 32, but 1 without a memory, with a burn-in or with stored states
    :raises ValueError: a number lies outside its bounds, or a policy name is unknown

    >>> model = RecurrentSAC("JambaPolicy", "Pendulum-v1", learning_starts=64, batch_size=64, seed=0)
    >>> model = model.learn(66)
    >>> observation = model.get_env().reset()
    >>> action, memory = model.predict(observation, deterministic=True)
    >>> action, memory = model.predict(observation, memory, deterministic=True)
    """

    policy: RecurrentSACPolicy
    replay_buffer: SequenceReplayBuffer
    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = dict(POLICIES)

    def __init__(
        self,
        policy: str | type[RecurrentSACPolicy],
        env: GymEnv | str,
        learning_rate: float | Schedule = 3e-4,
        *args: Any,
        sequence_length: int = 32,
        burn_in: int = 0,
        stored_state: bool = False,
        windows_in_a_row: int | None = None,
        **kwargs: Any,
    ) -> None:
        if isinstance(policy, type) and not issubclass(policy, RecurrentSACPolicy):
            raise ValueError(
                f"policy must be jamba_rl's, as a class or by its name, was {policy.__module__}.{policy.__name__}"
            )
        self.sequence_length, self.burn_in, self.stored_state = sequence_length, burn_in, stored_state
        self.windows_in_a_row = windows_in_a_row
        super().__init__(policy, env, learning_rate, *args, **kwargs)

    def _setup_model(self) -> None:
        given = self.replay_buffer_class or SequenceReplayBuffer
        if not issubclass(given, SequenceReplayBuffer):
            raise ValueError(
                f"replay_buffer_class must be a SequenceReplayBuffer or inherit from it, not {given.__name__}"
            )
        self.replay_buffer_class = given
        own = self.replay_buffer_kwargs
        for name in own.keys() & self._replay_options.keys():
            raise ValueError(f"{name} is an argument of RecurrentSAC itself: leave it out of replay_buffer_kwargs")
        self.replay_buffer_kwargs = own | self._replay_options
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "`n_steps=")  # this buffer does know them
            super()._setup_model()
        self.replay_buffer_kwargs = own
        if self.batch_size < self.replay_buffer.length:
            raise ValueError(
                f"batch_size {self.batch_size} is less than one window, which has {self.replay_buffer.length} steps"
            )
        self.replay_buffer.context = self.policy.context
        if self.windows_in_a_row is None and self.policy.network.has_memory and not (self.burn_in or self.stored_state):
            self.replay_buffer.windows_in_a_row = WINDOWS_IN_A_ROW
        self.replay_buffer.walks.leave(to_arrays(self.policy.empty(0)))
        if self.log_ent_coef is not None:
            self.ent_coef_optimizer = Adam([self.log_ent_coef], lr=self.lr_schedule(1))  # the same in fewer operations
        empty = self.policy.initial_state(self.n_envs, critic=self._carries_critic)
        self._take_up_memory(empty)
        if self.stored_state:
            self.replay_buffer.add_state(to_arrays(self.policy.stored(empty)))

    @property
    def _replay_options(self) -> dict[str, Any]:
        names = ("sequence_length", "burn_in", "stored_state", "n_steps", "gamma")
        return {name: getattr(self, name) for name in names} | {"windows_in_a_row": self.windows_in_a_row or 1}

    @property
    def _carries_critic(self) -> bool:
        """Whether the critics' own memory is carried along, to be kept with what happened."""
        return self.stored_state and not self.policy.shared_encoder

    def _sample_action(
        self, learning_starts: int, action_noise: ActionNoise | None = None, n_envs: int = 1
    ) -> tuple[np.ndarray, np.ndarray]:
        """As SB3's, with the memory carried along, through random actions too."""
        assert self._last_obs is not None, "no previous observation was provided"
        obs, _ = self.policy.obs_to_tensor(self._last_obs)
        starts = torch.as_tensor(self._last_episode_starts, device=self.device, dtype=torch.bool)
        if self.stored_state:
            self.replay_buffer.add_state(to_arrays(self.policy.stored(self._last_state)))  # type: ignore[arg-type]
        with torch.no_grad():
            chosen, state = self.policy.choose(obs, self._last_state, starts, deterministic=False)  # type: ignore[arg-type]
        scaled = chosen.cpu().numpy()
        if self.num_timesteps < learning_starts and not (self.use_sde and self.use_sde_at_warmup):
            scaled = self.policy.scale_action(np.array([self.action_space.sample() for _ in range(n_envs)]))
        scaled = scaled.reshape(n_envs, -1)
        if action_noise is not None:
            scaled = np.clip(scaled + np.reshape(action_noise(), (n_envs, -1)), -1, 1)
        self._last_state = self.policy.took(torch.as_tensor(scaled, dtype=torch.float32, device=self.device), state)
        scaled = scaled.reshape(n_envs, *self.policy.action_shape)
        return self.policy.unscale_action(scaled), scaled

    def _setup_learn(self, *args: Any, **kwargs: Any) -> tuple[int, BaseCallback]:
        started = super()._setup_learn(*args, **kwargs)
        self._check(self._last_obs, normalizer=self._vec_normalize_env)
        return started

    def _store_transition(
        self,
        replay_buffer: ReplayBuffer,
        buffer_action: np.ndarray,
        new_obs: np.ndarray | dict[str, np.ndarray],
        reward: np.ndarray,
        dones: np.ndarray,
        infos: list[dict[str, Any]],
    ) -> None:
        """As SB3's.

        :raises ExperienceError: if an observation or reward is infinite or not a number
        """
        self._check(new_obs, reward, normalizer=self._vec_normalize_env)
        for i in np.flatnonzero(dones).tolist():
            last = infos[i].get("terminal_observation")
            if last is not None:
                self._check(one_row(last), name="terminal_observation", envs=[i])
        self.replay_buffer.cut(np.asarray(self._last_episode_starts, bool))
        super()._store_transition(replay_buffer, buffer_action, new_obs, reward, dones, infos)
        self._last_episode_starts = np.asarray(dones, bool)

    def _check(self, observations: Any, rewards: np.ndarray | None = None, **kwargs: Any) -> None:
        check_experience(observations, rewards, when=f"after {self.num_timesteps} transitions", **kwargs)

    def collect_rollouts(self, env: VecEnv, callback: BaseCallback, *args: Any, **kwargs: Any) -> RolloutReturn:
        """As SB3's; where a callback stops it, its envs have gone on without us, and begin anew in the next."""
        rollout = super().collect_rollouts(env, callback, *args, **kwargs)
        if not rollout.continue_training:
            self._last_obs = None
        return rollout

    def train(self, gradient_steps: int, batch_size: int = 64) -> None:
        """Make updates, each on other windows; wait as long as the replay holds none."""
        if not self.replay_buffer.ready:
            return
        self.policy.set_training_mode(True)
        self.policy.routers.clear()
        losses: dict[str, list[float]] = {}
        for step in range(gradient_steps):
            batch = self.replay_buffer.sample(batch_size, env=self._vec_normalize_env)
            if step == 0:
                self._update_rates()
            if (self._n_updates + step) % OBSERVED == 0:
                self.policy.observe(batch.observations)
            if self.use_sde:
                self.actor.reset_noise()
            for name, loss in self._update(batch).items():
                losses.setdefault(name, []).append(loss)
            if step % self.target_update_interval == 0:
                self.policy.follow(self.tau)
        self._n_updates += gradient_steps
        self.logger.record("train/n_updates", self._n_updates, exclude="tensorboard")
        means = {name: float(np.mean(values)) for name, values in losses.items()} | self.policy.routers.means()
        for name, mean in means.items():
            self.logger.record(f"train/{name}", mean)

    def _update(self, batch: ReplayedSequences) -> dict[str, float]:
        policy, b = self.policy, self.burn_in
        lesson, windows, before = Lesson.of(batch, b), batch.observations, policy.states(batch.observations)
        judged = policy.critic.memory(windows, before.critic, b)
        seen = judged.latent
        acted = None if policy.shared_encoder else policy.actor.memory(windows, before.actor, b)
        choices = Choices.of(policy.actor, seen.detach() if acted is None else acted.latent)
        now = Choices(choices.actions[:, :-1], choices.log_prob[:, :-1])
        alpha, losses = self._update_temperature(lesson, now)
        with torch.no_grad():
            later = policy.critic_target.memory(windows, before.target, b)
        goals = targets(lesson, policy.critic_target, later.latent, choices, alpha, policy.target_critics)
        if self.replay_buffer.windows_in_a_row > 1:
            self.replay_buffer.walks.leave(to_arrays(policy.left(acted, judged, later)))
        loss = critic_loss(lesson, policy.critic, seen[:, :-1], goals)
        _descend(policy.critic.optimizer, loss + policy.routers.loss(policy.critic_name, judged.routing))
        losses["critic_loss"] = loss.item()
        loss = actor_loss(lesson, policy.critic, seen[:, :-1], now, alpha, policy.target_critics)
        _descend(policy.actor.optimizer, loss if acted is None else loss + policy.routers.loss("", acted.routing))
        losses["actor_loss"] = loss.item()
        policy.routers.balance()
        return losses

    def _update_temperature(self, lesson: Lesson, choices: Choices) -> tuple[Tensor, dict[str, float]]:
        """The weight of the entropy before its own update, and what to log."""
        if self.ent_coef_optimizer is None or self.log_ent_coef is None:
            return self.ent_coef_tensor, {"ent_coef": self.ent_coef_tensor.item()}
        assert isinstance(self.target_entropy, float)
        alpha = self.log_ent_coef.detach().exp()
        surplus = lesson.mean(choices.log_prob.detach() + self.target_entropy)
        self.log_ent_coef.grad = -surplus.view(1)  # of -log_ent_coef * surplus
        self.ent_coef_optimizer.step()
        return alpha, {"ent_coef": alpha.item(), "ent_coef_loss": -(alpha.log() * surplus).item()}

    def _update_rates(self) -> None:
        optimizers = [self.actor.optimizer, self.critic.optimizer]
        temperature = [] if self.ent_coef_optimizer is None else [self.ent_coef_optimizer]
        self._update_learning_rate([*optimizers, *temperature])
        for optimizer in optimizers:
            keep_ratios(optimizer)

    def learn(
        self,
        total_timesteps: int,
        callback: MaybeCallback = None,
        log_interval: int = 4,
        tb_log_name: str = "RecurrentSAC",
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> RecurrentSAC:
        """As SB3's ``SAC.learn``."""
        return super().learn(total_timesteps, callback, log_interval, tb_log_name, reset_num_timesteps, progress_bar)

    def save_replay_buffer(self, path: str | pathlib.Path | io.BufferedIOBase) -> None:
        """As SB3's; the name of the env goes with it."""
        self.replay_buffer.source = env_name(self.env)
        super().save_replay_buffer(path)

    def load_replay_buffer(self, path: str | pathlib.Path | io.BufferedIOBase, truncate_last_traj: bool = True) -> None:
        """As SB3's; the buffer that was there stays if this one does not fit.

        :param truncate_last_traj: without effect: where what follows is no continuation, the episode ends anyway
        :raises ValueError: if the file cannot be read, or what is in it is no experience of this agent's envs; names
            what is different
        """
        self.replay_buffer = load_replay(path, self.replay_buffer, env_name(self.env))


def _descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """Make a step down a loss; whatever else it depends on is left without a gradient."""
    optimizer.zero_grad()
    loss.backward(inputs=[parameter for group in optimizer.param_groups for parameter in group["params"]])
    optimizer.step()
