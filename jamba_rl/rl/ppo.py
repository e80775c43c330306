"""PPO whose policy has a memory."""

from __future__ import annotations

from math import gcd
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import GymEnv, MaybeCallback, Schedule
from stable_baselines3.common.utils import obs_as_tensor
from stable_baselines3.common.vec_env import VecEnv

from jamba_rl.nn import State
from jamba_rl.rl.policies import (
    JambaPolicy,
    LstmPolicy,
    MlpPolicy,
    RecurrentActorCriticPolicy,
    SSMPolicy,
    to_arrays,
    to_tensors,
)
from jamba_rl.rl.rollouts import SequenceDictRolloutBuffer, SequenceRolloutBuffer

LONGEST_SEQUENCE = 64  # default limit: longer windows cost attention more and gave nothing


class RecurrentPPO(PPO):
    """SB3's PPO with memory carried from step to step, through rollouts and over their ends.

    Arguments, logger keys, callbacks and files are those of SB3's ``PPO`` and
    ``sb3_contrib.RecurrentPPO``; the update itself is SB3's. Rollouts are cut into windows of
    ``sequence_length`` steps, each with the memory it began with; gradient flows through a window.

    :param policy: a policy class or name: JambaPolicy, SSMPolicy, LstmPolicy, MlpPolicy
    :param env: the env, or its gymnasium id
    :param n_steps: steps per env and rollout
    :param batch_size: minibatch size in transitions
    :param sequence_length: steps per window; divides ``n_steps`` and ``batch_size``. Default: the
        largest such number up to 64, so stock values always work
    :raises ValueError: if ``sequence_length`` does not divide

    >>> model = RecurrentPPO("JambaPolicy", "Pendulum-v1", n_steps=64, batch_size=64, seed=0)
    >>> model = model.learn(64)
    >>> observation = model.get_env().reset()
    >>> action, memory = model.predict(observation, deterministic=True)
    >>> action, memory = model.predict(observation, memory, deterministic=True)
    """

    policy: RecurrentActorCriticPolicy
    rollout_buffer: SequenceRolloutBuffer
    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {
        "JambaPolicy": JambaPolicy,
        "SSMPolicy": SSMPolicy,
        "LstmPolicy": LstmPolicy,
        "MlpPolicy": MlpPolicy,
    }

    def __init__(
        self,
        policy: str | type[RecurrentActorCriticPolicy],
        env: GymEnv | str,
        learning_rate: float | Schedule = 3e-4,
        n_steps: int = 128,
        batch_size: int = 128,
        *args: Any,
        sequence_length: int | None = None,
        **kwargs: Any,
    ) -> None:
        self.sequence_length = sequence_length
        self._last_state: tuple[np.ndarray, ...] = ()
        super().__init__(policy, env, learning_rate, n_steps, batch_size, *args, **kwargs)

    def _setup_model(self) -> None:
        if self.rollout_buffer_class is None:
            is_dict = isinstance(self.observation_space, spaces.Dict)
            self.rollout_buffer_class = SequenceDictRolloutBuffer if is_dict else SequenceRolloutBuffer
        length = window_length(self.n_steps, self.batch_size, self.sequence_length)
        self.rollout_buffer_kwargs = self.rollout_buffer_kwargs | {"sequence_length": length}
        super()._setup_model()
        # a loaded memory is kept, so that learning goes on in mid-episode; not with other envs, though
        if not self._last_state or len(self._last_state[0]) != self.n_envs:
            self._last_state = to_arrays(self.policy.initial_state(self.n_envs))

    def collect_rollouts(
        self, env: VecEnv, callback: BaseCallback, rollout_buffer: RolloutBuffer, n_rollout_steps: int
    ) -> bool:
        """As SB3's, with the memory carried along; False if a callback stopped it."""
        assert self._last_obs is not None, "no previous observation was provided"
        assert isinstance(rollout_buffer, SequenceRolloutBuffer)
        self.policy.set_training_mode(False)
        rollout_buffer.reset()
        if self.use_sde:
            self.policy.reset_noise(env.num_envs)
        callback.on_rollout_start()
        state = to_tensors(self._last_state, self.device)

        for n_steps in range(n_rollout_steps):
            if self.use_sde and self.sde_sample_freq > 0 and n_steps % self.sde_sample_freq == 0:
                self.policy.reset_noise(env.num_envs)
            rollout_buffer.add_state(state)
            with torch.no_grad():
                obs_tensor = obs_as_tensor(self._last_obs, self.device)  # type: ignore[arg-type]
                actions_tensor, values, log_probs, state = self.policy(obs_tensor, state, self._starts())
            actions = actions_tensor.cpu().numpy()
            new_obs, rewards, dones, infos = env.step(self._env_actions(actions))
            self.num_timesteps += env.num_envs

            callback.update_locals(locals())
            if not callback.on_step():
                return False

            self._update_info_buffer(infos, dones)
            self._bootstrap_truncated(rewards, dones, infos, state)
            episode_starts = self._last_episode_starts
            rollout_buffer.add(self._last_obs, actions, rewards, episode_starts, values, log_probs)  # type: ignore[arg-type]
            self._last_obs, self._last_episode_starts = new_obs, dones  # type: ignore[assignment]

        self._last_state = to_arrays(state)
        with torch.no_grad():
            last_values = self.policy.predict_values(obs_as_tensor(new_obs, self.device), state, self._starts())  # type: ignore[arg-type]
        rollout_buffer.compute_returns_and_advantage(last_values=last_values, dones=dones)
        callback.update_locals(locals())
        callback.on_rollout_end()
        return True

    def _starts(self) -> torch.Tensor:
        return torch.as_tensor(self._last_episode_starts, device=self.device, dtype=torch.bool)

    def _env_actions(self, actions: np.ndarray) -> np.ndarray:
        """What the env receives: unscaled if squashed, else clipped to the bounds."""
        if not isinstance(self.action_space, spaces.Box):
            return actions
        if self.policy.squash_output:
            return self.policy.unscale_action(actions)
        return np.clip(actions, self.action_space.low, self.action_space.high)

    def _bootstrap_truncated(self, rewards: np.ndarray, dones: np.ndarray, infos: list[dict], state: State) -> None:
        """Add gamma V(last observation) where an episode was cut by time and not by its end.

        :param state: the memory after the action, that is, before the last observation
        """
        cut = [
            i
            for i in np.flatnonzero(dones).tolist()
            if infos[i].get("TimeLimit.truncated") and "terminal_observation" in infos[i]
        ]
        if not cut:
            return
        last_obs = [infos[i]["terminal_observation"] for i in cut]
        if isinstance(self.observation_space, spaces.Dict):
            stacked: Any = {key: np.stack([obs[key] for obs in last_obs]) for key in last_obs[0]}
        else:
            stacked = np.stack(last_obs)
        with torch.no_grad():
            rows = tuple(part[cut] for part in state)
            going_on = torch.zeros(len(cut), dtype=torch.bool, device=self.device)
            values = self.policy.predict_values(self.policy.obs_to_tensor(stacked)[0], rows, going_on)
        rewards[cut] += self.gamma * values.flatten().cpu().numpy()

    def learn(  # type: ignore[override]
        self, total_timesteps: int, callback: MaybeCallback = None, *, tb_log_name: str = "RecurrentPPO", **kwargs: Any
    ) -> RecurrentPPO:
        """As SB3's ``PPO.learn``."""
        return super().learn(total_timesteps, callback, tb_log_name=tb_log_name, **kwargs)


def window_length(n_steps: int, batch_size: int, given: int | None = None) -> int:
    """Steps per window: as given, or the largest divisor up to 64 of both ``n_steps`` and ``batch_size``.

    >>> window_length(128, 128), window_length(1000, 250), window_length(64, 256, 32)
    (64, 50, 32)
    """
    common = gcd(n_steps, batch_size)
    if given is None:
        return next(length for length in range(min(common, LONGEST_SEQUENCE), 0, -1) if common % length == 0)
    if given < 1 or common % given:
        raise ValueError(
            f"sequence_length {given} must divide n_steps {n_steps} and batch_size {batch_size}; "
            f"the largest that does is {common}"
        )
    return given
