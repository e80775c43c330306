"""Histories: what an env shows of its last steps, alone, vectorised, normalised."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3.common.env_checker import check_env
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize, sync_envs_normalization

from jamba_rl.rl import HistoryWrapper, VecHistory, VecHistoryNormalize
from jamba_rl.rl.window.history import ActionNumbers, is_history
from tests.rl import clock
from tests.rl.ppo.test_input import Broken


class Clock(clock.Clock):
    """Episodes that end by themselves, with rewards that tell steps apart."""

    def __init__(self, length: int = 5, truncate: bool = False) -> None:
        super().__init__(length, truncate)

    def step(self, action):
        observation, _, *rest = super().step(action)
        return observation, float(self.t), *rest


def test_a_history_grows_from_the_start_of_the_episode() -> None:
    env = HistoryWrapper(Clock(), length=3)
    first, _ = env.reset()
    assert first["history"].tolist() == [[0, 0], [0, 0], [0, 1]]
    assert first["actions"].tolist() == [[0], [0], [0]]
    assert first["valid"].tolist() == [0, 0, 1]
    env.step(np.array([1.0]))
    second = env.step(np.array([-2.0]))[0]
    assert second["history"].tolist() == [[0, 1], [1, 1], [2, 1]]
    assert second["actions"].tolist() == [[0], [0.5], [-1]]  # what led to each observation, scaled to [-1, 1]
    assert second["valid"].tolist() == [1, 1, 1]
    assert env.step(np.array([0.0]))[0]["history"].tolist() == [[1, 1], [2, 1], [3, 1]]
    assert env.reset()[0]["history"].tolist() == [[0, 0], [0, 0], [0, 2]]
    assert first["valid"].tolist() == [0, 0, 1]  # what was returned stays as it was


def test_actions_can_be_left_out() -> None:
    env = HistoryWrapper(Clock(), 3, previous_action=False)
    assert env.reset()[0].keys() == env.observation_space.keys() == {"history", "valid"}
    assert is_history(env.observation_space)


@pytest.mark.parametrize("length", [1, 2, 7])
@pytest.mark.parametrize("truncate", [False, True])
def test_vectorised_histories_are_those_of_each_env(length: int, truncate: bool) -> None:
    """Episodes of 4, 5 and 6 steps; the last observation of an episode belongs to it, not to the next."""

    def envs():
        return [Clock(4 + i, truncate) for i in range(3)]

    inner = DummyVecEnv([lambda env=env: HistoryWrapper(env, length) for env in envs()])
    outer = VecHistory(DummyVecEnv([lambda env=env: env for env in envs()]), length)
    assert inner.observation_space == outer.observation_space
    rng = np.random.default_rng(0)
    assert_same(inner.reset(), outer.reset())
    kept = outer.reset()
    inner.reset()
    copies = {key: part.copy() for key, part in kept.items()}
    for _ in range(20):
        actions = rng.uniform(-2, 2, (3, 1)).astype(np.float32)
        (a, *rest_a, infos_a), (b, *rest_b, infos_b) = inner.step(actions), outer.step(actions)
        assert_same(a, b)
        np.testing.assert_array_equal(rest_a, rest_b)
        for one, other in zip(infos_a, infos_b, strict=True):
            assert ("terminal_observation" in one) == ("terminal_observation" in other)
            if "terminal_observation" in one:
                assert_same(one["terminal_observation"], other["terminal_observation"])
                assert one["terminal_observation"]["history"][-1][0] > 3
    assert_same(kept, copies)


def assert_same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> None:
    assert a.keys() == b.keys()
    for key, part in a.items():
        np.testing.assert_array_equal(part, b[key])
        assert part.dtype == b[key].dtype


@pytest.mark.parametrize("name", ["Pendulum-v1", "CartPole-v1", "HalfCheetah-v5"])
def test_sb3_finds_nothing_wrong(name: str) -> None:
    check_env(HistoryWrapper(gym.make(name), 4), warn=False)


def test_bounds_leave_room_for_no_observation() -> None:
    env = Clock()
    env.observation_space = spaces.Box(np.array([1, -3], np.int16), np.array([5, -2], np.int16), dtype=np.int16)
    space = HistoryWrapper(env, 2).observation_space["history"]
    assert space == spaces.Box(np.array([[0, -3]] * 2, np.int16), np.array([[5, 0]] * 2, np.int16), dtype=np.int16)


@pytest.mark.parametrize(
    ("space", "action", "row"),
    [
        (spaces.Box(np.array([0, -1], np.float32), np.array([4, 1], np.float32)), [[1.0, 9.0]], [-0.5, 1.0]),
        (spaces.Box(np.array([2, 0], np.float32), np.array([2, 1], np.float32)), [[2.0, 0.5]], [-1.0, 0.0]),
        (spaces.Box(-np.inf, np.inf, (2,)), [[3.0, -4.0]], [3.0, -4.0]),
        (spaces.Box(-1, 1, (2, 1)), [[[0.5], [1.0]]], [0.5, 1.0]),
        (spaces.Discrete(3), [1], [0, 1, 0]),
        (spaces.Discrete(3, start=-1), [-1], [1, 0, 0]),
        (spaces.MultiDiscrete([2, 3]), [[1, 0]], [0, 1, 1, 0, 0]),
        (spaces.MultiBinary(3), [[1, 0, 1]], [1, 0, 1]),
    ],
)
def test_actions_become_numbers_of_unit_scale(space: spaces.Space, action: list, row: list) -> None:
    numbers = ActionNumbers(space)
    encoded = numbers(np.array(action))
    assert encoded.tolist() == [row]
    assert encoded.dtype == np.float32
    assert encoded[0] in numbers.space


@pytest.mark.parametrize("length", [0, -1, True, 2.0, None])
def test_a_length_that_is_none_is_refused(length) -> None:
    with pytest.raises(ValueError, match="length must be a whole number above 0"):
        HistoryWrapper(Clock(), length)


@pytest.mark.parametrize(
    ("space", "said"),
    [
        (spaces.Box(0, 255, (8, 8, 3), np.uint8), "VecFrameStack"),
        (spaces.Discrete(4), "FlattenObservation"),
        (spaces.Dict({"a": spaces.Discrete(2)}), "FlattenObservation"),
        (HistoryWrapper(Clock(), 2).observation_space, "already"),
    ],
)
def test_what_is_no_vector_is_refused(space: spaces.Space, said: str) -> None:
    env = Clock()
    env.observation_space = space
    with pytest.raises(ValueError, match=said):
        HistoryWrapper(env, 4)


def test_actions_without_numbers_are_refused() -> None:
    env = Clock()
    env.action_space = spaces.Dict({"a": spaces.Discrete(2)})
    with pytest.raises(ValueError, match="previous_action=False"):
        HistoryWrapper(env, 4)
    HistoryWrapper(env, 4, previous_action=False)


def clocks(seed: int = 0) -> DummyVecEnv:
    venv = DummyVecEnv([lambda: gym.make("Pendulum-v1", max_episode_steps=6) for _ in range(2)])
    venv.seed(seed)
    return venv


def test_normalisation_is_that_of_single_observations() -> None:
    """Statistics, newest observation and rewards equal those of SB3's VecNormalize without histories."""
    single = VecNormalize(clocks(), gamma=0.9)
    venv = VecHistoryNormalize(VecHistory(clocks(), 4), gamma=0.9)
    a, b = single.reset(), venv.reset()
    rng = np.random.default_rng(0)
    for _ in range(20):
        actions = rng.uniform(-2, 2, (2, 1)).astype(np.float32)
        (a, reward_a, dones, infos_a), (b, reward_b, _, infos_b) = single.step(actions), venv.step(actions)
        np.testing.assert_array_equal(a, b["history"][:, -1])
        np.testing.assert_array_equal(reward_a, reward_b)
        assert (b["history"][b["valid"] == 0] == 0).all()
        np.testing.assert_array_equal(b["actions"], venv.get_original_obs()["actions"])
        assert set(np.unique(b["valid"])) <= {0, 1}
        for i in np.flatnonzero(dones):
            last = infos_b[i]["terminal_observation"]["history"]
            np.testing.assert_array_equal(infos_a[i]["terminal_observation"], last[-1])
    np.testing.assert_array_equal(single.obs_rms.mean, venv.obs_rms["history"].mean)
    np.testing.assert_array_equal(single.obs_rms.var, venv.obs_rms["history"].var)
    original = venv.get_original_obs()
    back = venv.unnormalize_obs(venv.normalize_obs(original))
    np.testing.assert_allclose(back["history"], original["history"], atol=1e-5)
    # all of a history is on one scale
    np.testing.assert_allclose(single.normalize_obs(original["history"][0, 1]), b["history"][0, 1], atol=1e-6)


def test_normalisation_is_saved_and_kept_in_step(tmp_path) -> None:
    venv = VecHistoryNormalize(VecHistory(clocks(), 4))
    venv.reset()
    for _ in range(5):
        venv.step(np.ones((2, 1), np.float32))
    venv.save(str(tmp_path / "normalize.pkl"))
    loaded = VecNormalize.load(str(tmp_path / "normalize.pkl"), VecHistory(clocks(1), 4))
    copy = VecHistoryNormalize(VecHistory(clocks(1), 4), training=False)
    sync_envs_normalization(venv, copy)
    observation = venv.get_original_obs()
    for other in (loaded, copy):
        assert_same(other.normalize_obs(observation), venv.normalize_obs(observation))
    before = loaded.obs_rms["history"].count
    loaded.reset()
    assert loaded.obs_rms["history"].count == before + 2


def test_normalisation_needs_histories_and_sb3s_own_says_why_not() -> None:
    with pytest.raises(ValueError, match=r"VecHistory\(venv, 32\)"):
        VecHistoryNormalize(clocks())
    with pytest.raises(ValueError, match="valid"):
        VecNormalize(VecHistory(clocks(), 4))  # would scale what says where there is anything


@pytest.mark.parametrize("part", ["observation", "reward"])
def test_what_is_no_number_is_refused(part: str) -> None:
    env = HistoryWrapper(Broken(at=3, part=part), 4)
    venv = VecHistory(DummyVecEnv([Clock, lambda: Broken(at=3, part=part)]), 4)
    for envs, number in ((env, 0), (venv, 1)):
        envs.reset()
        actions = np.zeros((1,)) if envs is env else np.zeros((2, 1))
        for _ in range(2):
            envs.step(actions)
        with pytest.raises(ValueError, match=rf"{part}.* of env {number} is nan after 3 steps"):
            envs.step(actions)


def test_a_last_observation_that_is_no_number_is_refused() -> None:
    venv = VecHistory(DummyVecEnv([lambda: Broken(at=5, length=5)]), 4)
    venv.reset()
    for _ in range(4):
        venv.step(np.zeros((1, 1)))
    with pytest.raises(ValueError, match=r"terminal_observation\[1\] of env 0 is nan when an episode ended"):
        venv.step(np.zeros((1, 1)))
