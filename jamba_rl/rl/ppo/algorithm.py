"""PPO whose policy has a memory."""

from __future__ import annotations

import math
import warnings
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import GymEnv, MaybeCallback, PyTorchObs, Schedule
from stable_baselines3.common.utils import FloatSchedule, obs_as_tensor
from stable_baselines3.common.vec_env import VecEnv

from jamba_rl.nn import State
from jamba_rl.rl.carried import CarriesMemory
from jamba_rl.rl.finite import check_experience
from jamba_rl.rl.optimizer import keep_ratios
from jamba_rl.rl.ppo.lean import LeanPPO
from jamba_rl.rl.ppo.loss import LossForm
from jamba_rl.rl.ppo.policies import POLICIES
from jamba_rl.rl.ppo.policy import RecurrentActorCriticPolicy
from jamba_rl.rl.ppo.rollouts import SequenceRolloutBuffer, buffer_class
from jamba_rl.rl.ppo.windows import check_minibatch, warn_of_single_steps, window_length
from jamba_rl.rl.schedules import WarmUp


class RecurrentPPO(CarriesMemory, LeanPPO):
    """SB3's PPO with memory carried from step to step, through rollouts and over their ends.

    Arguments, logger keys, callbacks and files are those of SB3's ``PPO`` and
    ``sb3_contrib.RecurrentPPO``; the update itself is SB3's. Rollouts are cut into windows of
    ``sequence_length`` steps, each with the memory it began with; gradient flows through a window.

    All other arguments are those of ``PPO``. A mixture of experts adds ``train/router_balance_loss``,
    ``train/router_z_loss``, ``train/router_max_over_mean``, ``train/router_dead`` and
    ``train/router_load/<layer>/<expert>`` to the logger's keys.

    :param policy: a policy class or name: JambaPolicy, MambaPolicy, AttentionPolicy, SSMPolicy, LstmPolicy,
        GruPolicy, MlpPolicy, or one of SB3's and sb3_contrib's: CnnPolicy, MlpLstmPolicy and so on
    :param env: the env, or its gymnasium id
    :param learning_rate: a number or a schedule
    :param n_steps: steps per env and rollout
    :param batch_size: minibatch size in transitions; divides those of a rollout, or is as large or larger
    :param sequence_length: steps per window; divides ``n_steps`` and ``batch_size``. Default: the
        largest such number up to 64
    :param advantage_floor: where advantages deviate by less than this, they are not blown up to a deviation of 1, as
        ``normalize_advantage`` does. Where rewards are rare and all of them are got, what is left is noise, and to
        learn from it in full steps undoes what was learned. 0 for SB3's own normalisation, minibatch by minibatch;
        with a floor it is by rollout
    :param warm_up: fraction of training over which the learning rate rises from 0 to what
        ``learning_rate`` says; of the whole training where learning goes on without a reset of the step count
    :raises ValueError: a number does not divide or lies outside its bounds, or a policy name is unknown

    >>> model = RecurrentPPO("JambaPolicy", "Pendulum-v1", n_steps=64, batch_size=64, seed=0)
    >>> model = model.learn(64)
    >>> observation = model.get_env().reset()
    >>> action, memory = model.predict(observation, deterministic=True)
    >>> action, memory = model.predict(observation, memory, deterministic=True)
    """

    policy: RecurrentActorCriticPolicy
    rollout_buffer: SequenceRolloutBuffer
    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = dict(POLICIES)

    def __init__(
        self,
        policy: str | type[RecurrentActorCriticPolicy],
        env: GymEnv | str,
        learning_rate: float | Schedule = 3e-4,
        n_steps: int = 128,
        batch_size: int = 128,
        *args: Any,
        sequence_length: int | None = None,
        advantage_floor: float = 0.0,
        warm_up: float = 0.0,
        **kwargs: Any,
    ) -> None:
        if not 0.0 <= warm_up <= 1.0:
            raise ValueError(f"warm_up is a fraction of training, from 0 to 1, was {warm_up!r}")
        if not 0.0 <= advantage_floor < math.inf:
            raise ValueError(f"advantage_floor must be a number, 0 or above, was {advantage_floor!r}")
        check_minibatch(n_steps, env.num_envs if isinstance(env, VecEnv) else 1, batch_size)
        if isinstance(policy, type) and not issubclass(policy, RecurrentActorCriticPolicy):
            raise ValueError(
                f"policy must be jamba_rl's, as a class or by its name, was {policy.__module__}.{policy.__name__}"
            )
        self.sequence_length, self.advantage_floor = sequence_length, advantage_floor
        self.warm_up = warm_up
        with warnings.catch_warnings():
            # a minibatch larger than the rollout is fine, and no other gets here
            warnings.filterwarnings("ignore", "You have specified a mini-batch size")
            super().__init__(policy, env, learning_rate, n_steps, batch_size, *args, **kwargs)

    def _setup_lr_schedule(self) -> None:
        super()._setup_lr_schedule()
        if self.warm_up:
            self.lr_schedule = FloatSchedule(WarmUp(self.lr_schedule, self.warm_up))

    def _setup_model(self) -> None:
        self.rollout_buffer_class = buffer_class(self.observation_space, self.rollout_buffer_class)
        batch_size = min(self.batch_size, self.n_steps * self.n_envs)  # a larger one is the whole rollout
        length = window_length(self.n_steps, batch_size, self.sequence_length)
        self.rollout_buffer_kwargs = self.rollout_buffer_kwargs | {"sequence_length": length}
        super()._setup_model()
        if self.sequence_length is None and self.policy.network.has_memory:
            warn_of_single_steps(self.n_steps, batch_size, length)
        self._take_up_memory(self.policy.initial_state(self.n_envs))

    def _setup_learn(self, *args: Any, **kwargs: Any) -> tuple[int, BaseCallback]:
        check_minibatch(self.n_steps, self.n_envs, self.batch_size)  # again: a loaded model may have other envs
        return super()._setup_learn(*args, **kwargs)

    def collect_rollouts(
        self, env: VecEnv, callback: BaseCallback, rollout_buffer: RolloutBuffer, n_rollout_steps: int
    ) -> bool:
        """As SB3's, with the memory carried along; False if a callback stopped it.

        :raises ValueError: if an observation or reward is infinite or not a number
        """
        assert self._last_obs is not None, "no previous observation was provided"
        assert isinstance(rollout_buffer, SequenceRolloutBuffer)
        self.policy.set_training_mode(False)
        rollout_buffer.reset()
        normalizer = self._vec_normalize_env
        self._check(self._last_obs, None, 0, normalizer=normalizer)
        if self.use_sde:
            self.policy.reset_noise(env.num_envs)
        callback.on_rollout_start()

        for n_steps in range(n_rollout_steps):
            if self.use_sde and self.sde_sample_freq > 0 and n_steps % self.sde_sample_freq == 0:
                self.policy.reset_noise(env.num_envs)
            rollout_buffer.add_state(self._last_state)  # type: ignore[arg-type]
            obs_tensor = obs_as_tensor(self._last_obs, self.device)  # type: ignore[arg-type]
            actions, values, log_probs, state = self._act(obs_tensor)
            clipped_actions = self.policy.env_actions(actions)
            new_obs, rewards, dones, infos = env.step(clipped_actions)
            self._check(new_obs, rewards, n_steps, normalizer=normalizer)
            cut, last_obs = self._cut_short(dones, infos, n_steps)
            self.num_timesteps += env.num_envs

            callback.update_locals(locals())
            if not callback.on_step():
                self._last_obs, self._last_episode_starts, self._last_state = new_obs, dones, state  # type: ignore[assignment]
                return False  # learning may go on from here

            self._update_info_buffer(infos, dones)
            self._bootstrap(rewards, cut, last_obs, state)
            starts = self._last_episode_starts
            rollout_buffer.add(self._last_obs, actions, rewards, starts, values, log_probs)  # type: ignore[arg-type]
            self._last_obs, self._last_episode_starts, self._last_state = new_obs, dones, state  # type: ignore[assignment]

        with torch.no_grad():
            # of an episode that is over the value is not asked for
            values = self.policy.predict_values(obs_as_tensor(new_obs, self.device), state)  # type: ignore[arg-type]
        rollout_buffer.compute_returns_and_advantage(last_values=values, dones=dones)
        if self._floors_advantages:
            rollout_buffer.normalize_advantages(self.advantage_floor)
        callback.update_locals(locals())
        callback.on_rollout_end()
        return True

    def train(self) -> None:
        """Update the policy from the rollout; losses of routers, if there are any, are in the loss and in the log."""
        self.policy.routers.clear()
        super().train()
        # after the update, so that what was seen in the rollout looked the same in the update
        self.policy.observe(self.rollout_buffer.whole().observations)  # type: ignore[arg-type]
        for name, mean in self.policy.routers.means().items():
            self.logger.record(f"train/{name}", mean)
        self.policy.routers.clear()

    def learn(
        self,
        total_timesteps: int,
        callback: MaybeCallback = None,
        log_interval: int = 1,
        tb_log_name: str = "RecurrentPPO",
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> RecurrentPPO:
        """As SB3's ``PPO.learn``."""
        return super().learn(total_timesteps, callback, log_interval, tb_log_name, reset_num_timesteps, progress_bar)

    def _update_learning_rate(self, optimizers: list[torch.optim.Optimizer] | torch.optim.Optimizer) -> None:
        super()._update_learning_rate(optimizers)
        for optimizer in optimizers if isinstance(optimizers, list) else [optimizers]:
            keep_ratios(optimizer)

    @torch.no_grad()
    def _act(self, obs: PyTorchObs) -> tuple[np.ndarray, torch.Tensor, torch.Tensor, State]:
        """Actions, values, log probabilities, and the memory after them."""
        starts = torch.as_tensor(self._last_episode_starts, device=self.device, dtype=torch.bool)
        actions, values, log_probs, state = self.policy(obs, self._last_state, starts)
        return actions.cpu().numpy(), values, log_probs, state

    @property
    def _floors_advantages(self) -> bool:
        return self.normalize_advantage and self.advantage_floor > 0.0

    def _loss_form(self) -> LossForm:
        form = super()._loss_form()
        return form._replace(normalize_advantage=form.normalize_advantage and not self._floors_advantages)

    def _step(self) -> None:
        super()._step()
        self.policy.routers.balance()

    def _check(self, observations: Any, rewards: np.ndarray | None, step: int, **kwargs: Any) -> None:
        when = f"at step {step} of the rollout, after {self.num_timesteps} transitions"
        check_experience(observations, rewards, when=when, **kwargs)

    def _cut_short(self, dones: np.ndarray, infos: list[dict], step: int) -> tuple[list[int], Any]:
        """Envs whose episode was ended by time and not by itself, and their last observations."""
        cut = [
            i
            for i in np.flatnonzero(dones).tolist()
            if infos[i].get("TimeLimit.truncated") and infos[i].get("terminal_observation") is not None
        ]
        if not cut:
            return cut, None
        last_obs = [infos[i]["terminal_observation"] for i in cut]
        if isinstance(self.observation_space, spaces.Dict):
            stacked: Any = {key: np.stack([obs[key] for obs in last_obs]) for key in last_obs[0]}
        else:
            stacked = np.stack(last_obs)
        self._check(stacked, None, step, name="terminal_observation", envs=cut)
        return cut, stacked

    def _bootstrap(self, rewards: np.ndarray, cut: list[int], last_obs: Any, state: State) -> None:
        """Add gamma V(last observation) where an episode was cut short.

        :param state: the memory after the action, that is, before the last observation
        """
        if cut:
            with torch.no_grad():
                rows = tuple(part[cut] for part in state)
                values = self.policy.predict_values(self.policy.obs_to_tensor(last_obs)[0], rows)
            rewards[cut] += self.gamma * values.flatten().cpu().numpy()
