"""SB3's callbacks work with ours, and see what they see of PPO."""

import numpy as np
import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import (
    BaseCallback,
    CallbackList,
    CheckpointCallback,
    EvalCallback,
    EveryNTimesteps,
    StopTrainingOnMaxEpisodes,
    StopTrainingOnNoModelImprovement,
    StopTrainingOnRewardThreshold,
)
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize, sync_envs_normalization

from jamba_rl.rl import RecurrentPPO
from tests.rl.clock import OURS, Clock
from tests.rl.conformance.tiny import act, tiny


def clocks(n_envs=2, **kwargs):
    return make_vec_env(Clock, n_envs=n_envs, seed=0, env_kwargs=kwargs)


@pytest.mark.parametrize("policy", OURS)
def test_checkpoints_and_evaluations(policy, tmp_path):
    """A checkpoint is a model that goes on; the best model is the one that was best."""
    evaluate = EvalCallback(
        clocks(), best_model_save_path=tmp_path, log_path=tmp_path, eval_freq=16, n_eval_episodes=4, verbose=0
    )
    checkpoint = CheckpointCallback(20, tmp_path / "checkpoints")
    event = EveryNTimesteps(n_steps=50, callback=CheckpointCallback(1, tmp_path / "events", name_prefix="event"))
    model = tiny(policy, clocks())
    model.learn(128, callback=CallbackList([checkpoint, evaluate, event]))
    files = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert files == {f"rl_model_{steps}_steps.zip" for steps in (40, 80, 120)}
    assert {path.name for path in (tmp_path / "events").iterdir()} == {
        f"event_{steps}_steps.zip" for steps in (50, 100)
    }
    curve = np.load(tmp_path / "evaluations.npz")
    assert curve["timesteps"].tolist() == [32, 64, 96, 128]
    assert curve["results"].shape == (4, 4)
    assert (curve["results"] == 5.0).all()
    best = RecurrentPPO.load(tmp_path / "best_model.zip", env=clocks(), device="cpu")
    best.learn(64, callback=[checkpoint, evaluate])
    assert best.predict(best.get_env().reset())[0].shape == (2, 1)


def test_training_can_be_stopped():
    class Stop(BaseCallback):
        def _on_step(self):
            return False

    assert tiny("JambaPolicy", clocks()).learn(1000, callback=Stop()).num_timesteps == 2
    assert tiny("JambaPolicy", clocks()).learn(1000, callback=StopTrainingOnMaxEpisodes(3)).num_timesteps == 30
    threshold = StopTrainingOnRewardThreshold(4.0)
    evaluate = EvalCallback(clocks(), callback_on_new_best=threshold, eval_freq=8, n_eval_episodes=1, verbose=0)
    assert tiny("JambaPolicy", clocks()).learn(1000, callback=evaluate).num_timesteps == 16
    patience = StopTrainingOnNoModelImprovement(1, min_evals=1)
    evaluate = EvalCallback(clocks(), callback_after_eval=patience, eval_freq=8, n_eval_episodes=1, verbose=0)
    assert tiny("JambaPolicy", clocks()).learn(1000, callback=evaluate).num_timesteps <= 80
    stopped = tiny("JambaPolicy", clocks()).learn(1000, callback=lambda _locals, _globals: False)
    assert stopped.num_timesteps == 2


class Recorder(BaseCallback):
    """Which events come, and which names they find in ``locals``."""

    def __init__(self):
        super().__init__()
        self.events, self.names = [], set()

    def _on_training_start(self):
        self.events.append("training start")

    def _on_rollout_start(self):
        self.events.append("rollout start")

    def _on_step(self):
        self.events.append("step")
        self.names |= self.locals.keys()
        return True

    def _on_rollout_end(self):
        self.events.append("rollout end")

    def _on_training_end(self):
        self.events.append("training end")


def test_events_and_locals_are_those_of_ppo():
    ours, theirs = Recorder(), Recorder()
    tiny("JambaPolicy", clocks(1)).learn(64, callback=ours)
    PPO("MlpPolicy", clocks(1), n_steps=32, batch_size=32, n_epochs=1, device="cpu").learn(64, callback=theirs)
    assert ours.events == theirs.events
    of_a_loop = {"idx", "done", "terminal_obs", "terminal_value"}
    assert theirs.names - ours.names <= of_a_loop


def test_what_a_callback_sees_is_of_this_step():
    class Look(BaseCallback):
        seen = 0

        def _on_step(self):
            found = self.locals
            assert found["rewards"].tolist() == [1.0, 1.0]
            assert found["new_obs"].shape == (2, 2)
            assert found["values"].shape == (2, 1)
            assert found["log_probs"].shape == (2,)
            assert (np.abs(found["clipped_actions"]) <= 2.0).all()
            assert len(found["infos"]) == 2
            self.seen += found["dones"].sum()
            return True

    look = Look()
    tiny("JambaPolicy", clocks()).learn(64, callback=look)
    assert look.seen == 12  # 32 steps of two envs, episodes of 5


def test_an_evaluation_uses_the_normalisation_of_training(tmp_path):
    venv, other = VecNormalize(clocks()), VecNormalize(clocks(), training=False, norm_reward=False)
    evaluate = EvalCallback(other, eval_freq=16, n_eval_episodes=1, best_model_save_path=tmp_path, verbose=0)
    checkpoint = CheckpointCallback(16, tmp_path, save_vecnormalize=True)
    model = tiny("JambaPolicy", venv).learn(64, callback=[evaluate, checkpoint])
    sync_envs_normalization(venv, other)
    np.testing.assert_array_equal(venv.obs_rms.mean, other.obs_rms.mean)
    assert other.obs_rms.mean.any()
    loaded = VecNormalize.load(tmp_path / "rl_model_vecnormalize_64_steps.pkl", clocks())
    resumed = RecurrentPPO.load(tmp_path / "rl_model_64_steps", env=loaded, device="cpu")
    assert resumed.get_vec_normalize_env() is loaded
    observation = venv.normalize_obs(np.ones((2, 2), np.float32))
    assert np.array_equal(act(model, observation).shape, act(resumed, observation).shape)
    resumed.learn(64, reset_num_timesteps=False)
    assert resumed.num_timesteps == 128


def test_success_is_logged():
    class Succeeds(Clock):
        def step(self, action):
            *rest, info = super().step(action)
            return *rest, {**info, "is_success": self.episode % 2 == 0}

    model = tiny("JambaPolicy", make_vec_env(Succeeds, n_envs=1)).learn(128)
    assert 0.0 < model.logger.name_to_value.get("rollout/success_rate", np.mean(model.ep_success_buffer)) < 1.0
