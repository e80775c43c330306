"""SB3's callbacks work with ours, and see what they see of SAC."""

import numpy as np
import pytest
from stable_baselines3 import SAC
from stable_baselines3.common.callbacks import (
    CallbackList,
    CheckpointCallback,
    EvalCallback,
    StopTrainingOnMaxEpisodes,
    StopTrainingOnRewardThreshold,
)
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize

from jamba_rl.rl import RecurrentSAC
from tests.rl.clock import OURS, Clock
from tests.rl.conformance.test_callbacks import Recorder
from tests.rl.sac.tiny import StopAt, same, tiny, weights


def clocks(n_envs=2, **kwargs):
    return make_vec_env(Clock, n_envs=n_envs, seed=0, env_kwargs=kwargs)


@pytest.mark.parametrize("policy", OURS)
def test_checkpoints_and_evaluations(policy, tmp_path):
    """A checkpoint is a model that goes on, with its replay; the best model is the one that was best."""
    evaluate = EvalCallback(
        clocks(), best_model_save_path=tmp_path, log_path=tmp_path, eval_freq=16, n_eval_episodes=4, verbose=0
    )
    checkpoint = CheckpointCallback(20, tmp_path / "checkpoints", save_replay_buffer=True)
    model = tiny(policy, clocks())
    model.learn(96, callback=CallbackList([checkpoint, evaluate]))
    files = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert files == {
        name
        for steps in (40, 80)
        for name in (f"rl_model_{steps}_steps.zip", f"rl_model_replay_buffer_{steps}_steps.pkl")
    }
    curve = np.load(tmp_path / "evaluations.npz")
    assert curve["timesteps"].tolist() == [32, 64, 96]
    assert (curve["results"] == 5.0).all()
    best = RecurrentSAC.load(tmp_path / "best_model.zip", env=clocks(), device="cpu")
    best.load_replay_buffer(tmp_path / "checkpoints" / "rl_model_replay_buffer_80_steps")
    assert best.replay_buffer.size() > 40
    best.learn(32, callback=[checkpoint, evaluate])
    assert best.predict(best.get_env().reset())[0].shape == (2, 1)


def test_an_evaluation_disturbs_no_memory():
    results = []
    for callback in (None, EvalCallback(clocks(), eval_freq=3, n_eval_episodes=3, verbose=0, deterministic=True)):
        results.append(tiny("JambaPolicy", clocks()).learn(96, callback=callback))
    assert same(*map(weights, results))
    for one, two in zip(results[0]._last_state, results[1]._last_state, strict=True):
        assert bool((one == two).all())


def test_training_can_be_stopped_and_taken_up_again():
    threshold = StopTrainingOnRewardThreshold(4.0)
    evaluate = EvalCallback(clocks(), callback_on_new_best=threshold, eval_freq=8, n_eval_episodes=1, verbose=0)
    for callback, steps in ((StopAt(1), 2), (StopTrainingOnMaxEpisodes(3), 30), (evaluate, 16)):
        model = tiny("JambaPolicy", clocks()).learn(1000, callback=callback)
        assert model.num_timesteps == steps
        model.learn(48, reset_num_timesteps=False)
        assert model.num_timesteps == steps + 48
        assert model._n_updates > 0
    stopped = tiny("JambaPolicy", clocks()).learn(1000, callback=lambda _locals, _globals: False)
    assert stopped.num_timesteps == 2


@pytest.mark.parametrize("stored_state", [False, True])
def test_after_a_stop_episodes_begin_anew(stored_state):
    """The step at which training was stopped is not stored: its envs are elsewhere."""
    model = tiny("GruPolicy", clocks(1), stored_state=stored_state).learn(1000, callback=StopAt(8))
    assert model.replay_buffer.heads.tolist() == [8]  # five steps, the last frame of the episode, two steps
    assert model._last_obs is None
    model.learn(16, reset_num_timesteps=False)
    tape = model.replay_buffer
    assert tape.begins[0, :14].tolist() == [True, *[False] * 5, True, False, False, True, *[False] * 4]
    assert tape.kinds[0, :10].tolist() == [0, 0, 0, 0, 0, 2, 0, 0, 2, 0]
    assert tape.frames[""][0, 9].tolist() == [0, 3]


def test_two_calls_to_learn_go_on_in_mid_episode():
    model = tiny("JambaPolicy", clocks(1), gradient_steps=0).learn(24)
    before = model._last_state
    assert any(bool(part.any()) for part in before)
    model.learn(8, reset_num_timesteps=False)
    tape = model.replay_buffer
    begins = np.flatnonzero(tape.begins[0])
    assert begins.tolist() == [0, 6, 12, 18, 24, 30, 36]
    model.learn(8)  # from the start again
    assert tape.frames[""][0, tape.heads[0] - 8 - 1 :][:10, 0].tolist().count(0.0) == 2


def test_events_and_locals_are_those_of_sac():
    ours, theirs = Recorder(), Recorder()
    tiny("JambaPolicy", clocks(1)).learn(40, callback=ours)
    SAC("MlpPolicy", clocks(1), learning_starts=20, train_freq=8, buffer_size=99, device="cpu").learn(40, theirs)
    assert ours.events == theirs.events
    assert theirs.names <= ours.names


def test_an_evaluation_uses_the_normalisation_of_training(tmp_path):
    venv, other = VecNormalize(clocks()), VecNormalize(clocks(), training=False, norm_reward=False)
    evaluate = EvalCallback(other, eval_freq=16, n_eval_episodes=1, best_model_save_path=tmp_path, verbose=0)
    checkpoint = CheckpointCallback(16, tmp_path, save_vecnormalize=True, save_replay_buffer=True)
    tiny("JambaPolicy", venv).learn(64, callback=[evaluate, checkpoint])
    assert other.obs_rms.mean.any()
    loaded = VecNormalize.load(tmp_path / "rl_model_vecnormalize_64_steps.pkl", clocks())
    resumed = RecurrentSAC.load(tmp_path / "rl_model_64_steps", env=loaded, device="cpu")
    resumed.load_replay_buffer(tmp_path / "rl_model_replay_buffer_64_steps")
    assert resumed.get_vec_normalize_env() is loaded
    assert resumed.learn(32, reset_num_timesteps=False).num_timesteps == 96


def test_success_is_logged():
    class Succeeds(Clock):
        def step(self, action):
            *rest, info = super().step(action)
            return *rest, {**info, "is_success": self.episode % 2 == 0}

    model = tiny("JambaPolicy", make_vec_env(Succeeds, n_envs=1), stats_window_size=4).learn(48)
    assert np.mean(model.ep_success_buffer) == 0.5
    assert len(model.ep_info_buffer) == 4


@pytest.mark.filterwarnings("ignore:rich is experimental")
def test_a_progress_bar(capsys):
    tiny("JambaPolicy", clocks()).learn(64, progress_bar=True)
    captured = capsys.readouterr()
    assert "64/64" in captured.out + captured.err
