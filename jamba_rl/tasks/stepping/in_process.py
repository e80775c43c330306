"""Many envs in one process, one after the other."""

from __future__ import annotations

from stable_baselines3.common.vec_env import DummyVecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn


class InProcessVecEnv(DummyVecEnv):
    """SB3's ``DummyVecEnv`` without the deep copy of every info at every step.

    That copy costs as much as the physics of a small robot. An info is copied one level deep, so
    an env that fills the same dict again and again is safe; what lies inside is not written to by
    SB3 nor by us.
    """

    def step_wait(self) -> VecEnvStepReturn:
        """Step every env with its action, and reset those that are done."""
        infos = []
        for i, (env, action) in enumerate(zip(self.envs, self.actions, strict=True)):
            obs, self.buf_rews[i], terminated, truncated, env_info = env.step(action)
            info = dict(env_info)
            info["TimeLimit.truncated"] = truncated and not terminated
            self.buf_dones[i] = terminated or truncated
            if self.buf_dones[i]:
                info["terminal_observation"] = obs
                obs, self.reset_infos[i] = env.reset()
            self._save_obs(i, obs)
            infos.append(info)
        return self._obs_from_buf(), self.buf_rews.copy(), self.buf_dones.copy(), infos
