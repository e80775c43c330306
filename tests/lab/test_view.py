from __future__ import annotations

from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecNormalize

from jamba_rl.catalogue import UserError
from jamba_rl.lab.agent import Normalize, load_agent
from jamba_rl.lab.view import fresh, frozen, saved, view
from jamba_rl.rl import VecHistoryNormalize
from jamba_rl.tasks import make_env
from tests.conftest import tiny_config

BOTH, NEITHER = Normalize(observations=True, rewards=True), Normalize(observations=False, rewards=False)
FRAMES, HISTORY, PLAIN = (load_agent(name) for name in ("ppo-mlp-framestack", "ppo-jamba-window", "ppo-jamba"))
DICT = spaces.Dict({"real": spaces.Box(-1, 1, (2,), np.float32), "choice": spaces.Discrete(3)})
IMAGE = spaces.Box(0, 255, (8, 8, 3), np.uint8)


class Still(gymnasium.Env):
    """An env that shows something of a space."""

    action_space = spaces.Discrete(2)

    def __init__(self, space: spaces.Space) -> None:
        self.observation_space = space

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observation_space.sample(), {}


def still(space: spaces.Space) -> VecEnv:
    return DummyVecEnv([lambda: Still(space)])


def inner(venv: VecEnv) -> VecNormalize:
    """The normalisation inside of what an agent sees."""
    while not isinstance(venv, VecNormalize):
        venv = venv.venv
    return venv


def walk(venv: VecEnv, steps: int) -> list[np.ndarray]:
    """What is seen at the start and after each of some steps of the same actions."""
    rng = np.random.default_rng(0)
    seen = [venv.reset()]
    for _ in range(steps):
        actions = rng.uniform(-1, 1, (venv.num_envs, *venv.action_space.shape)).astype(np.float32)
        seen.append(venv.step(actions)[0])
    return seen


def test_normalisation_is_that_of_the_agent_where_there_are_real_numbers() -> None:
    plain = fresh(NEITHER, 0.9)(make_env("pendulum-p"))
    assert (plain.norm_obs, plain.norm_reward) == (False, False)
    assert fresh(BOTH, 0.9)(make_env("FrozenLake-v1")).norm_obs is False
    assert fresh(BOTH, 0.9)(make_env("CliffWalking-v1")).norm_reward is True
    assert fresh(BOTH, 0.9)(make_env("pendulum-p")).gamma == 0.9


def test_of_a_dict_the_real_numbers_are_normalised() -> None:
    wrapped = fresh(BOTH, 0.9)(still(DICT))
    assert (wrapped.norm_obs, wrapped.norm_obs_keys) == (True, ["real"])
    wrapped.reset()
    assert set(wrapped.obs_rms) == {"real"}
    assert fresh(BOTH, 0.9)(still(spaces.Dict({"choice": spaces.Discrete(3)}))).norm_obs is False


def test_evaluation_sees_what_training_sees() -> None:
    """With the same statistics, which it leaves as they are; rewards are those of the env."""
    for agent in (FRAMES, HISTORY, PLAIN):
        training = view(agent, make_env("pendulum-p", 2, seed=1), fresh(BOTH, 0.9))
        walk(training, 20)
        normalizer = inner(training)
        count = normalizer.ret_rms.count
        looking = view(agent, make_env("pendulum-p", 3, seed=7), frozen(normalizer))
        assert type(looking) is type(training)
        assert looking.observation_space == training.observation_space
        first = walk(looking, 5)
        again = walk(view(agent, make_env("pendulum-p", 3, seed=7), frozen(normalizer)), 5)
        for a, b in zip(first, again, strict=True):
            for key in a if isinstance(a, dict) else [...]:
                np.testing.assert_array_equal(a[key], b[key])
        assert normalizer.ret_rms.count == count
        assert looking.step(np.zeros((3, 1), np.float32))[1] == pytest.approx(inner(looking).get_original_reward())
        assert (normalizer.training, normalizer.norm_reward) == (True, True)


def test_saved_statistics_go_on_or_stay(tmp_path: Path) -> None:
    training = view(HISTORY, make_env("pendulum-p", 2), fresh(BOTH, 0.9))
    walk(training, 10)
    inner(training).save(str(tmp_path / "normalizer.pkl"))
    counts = []
    for learning in (True, False):
        venv = view(HISTORY, make_env("pendulum-p", 2), saved(tmp_path / "normalizer.pkl", training=learning))
        walk(venv, 10)
        counts.append(inner(venv).obs_rms["history"].count)
        assert inner(venv).norm_reward == learning
    before = inner(training).obs_rms["history"].count
    assert counts == [pytest.approx(before + 22), before]


def test_histories_have_one_scale_for_all_steps() -> None:
    venv = view(HISTORY, make_env("pendulum-p", 2), fresh(BOTH, 0.9))
    assert isinstance(venv, VecHistoryNormalize)
    assert venv.obs_rms["history"].mean.shape == (2,)
    assert venv.observation_space["history"].shape == (HISTORY.history, 2)
    assert view(HISTORY, make_env("pendulum-p"), fresh(NEITHER, 0.9)).norm_obs is False


def test_frames_are_stacked_by_the_policy() -> None:
    for agent in (PLAIN, FRAMES):
        assert type(view(agent, make_env("pendulum-p"), fresh(BOTH, 0.9))) is VecNormalize


@pytest.mark.parametrize("space", [DICT, IMAGE, spaces.Discrete(3)], ids=["dict", "image", "number"])
def test_what_is_no_vector_has_no_past_to_be_seen(space: spaces.Space) -> None:
    with pytest.raises(UserError, match=r"^agent 'ppo-jamba-window': history: a history is of vectors, not of"):
        view(HISTORY, still(space), fresh(BOTH, 0.9))
    assert view(tiny_config().agent, still(space), fresh(BOTH, 0.9)).observation_space == space
