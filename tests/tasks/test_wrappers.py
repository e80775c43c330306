from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env

from jamba_rl.catalogue import UserError
from jamba_rl.tasks.spec import PARTS
from jamba_rl.tasks.wrappers import Select, kept_numbers, select

old_version = pytest.mark.filterwarnings("ignore:.*is out of date:DeprecationWarning")


def vector(size: int) -> spaces.Box:
    return spaces.Box(-1.0, 1.0, (size,), np.float32)


def test_select_treats_one_observation_as_a_batch_of_them() -> None:
    x = np.random.default_rng(0).normal(size=(5, 3, 4))
    one_by_one = np.stack([[select(row, [3, 1]) for row in rows] for rows in x])
    np.testing.assert_array_equal(select(x, [3, 1]), one_by_one)
    assert select(x.astype(np.float32), [0]).dtype == np.float32


def test_spaces_keep_dtype_and_the_bounds_of_what_remains() -> None:
    env = Select(gymnasium.make("Pendulum-v1"), kept=[2, 0])
    assert env.observation_space == spaces.Box(np.array([-8, -1], np.float32), np.array([8, 1], np.float32))
    observation, _ = env.reset(seed=0)
    assert env.observation_space.contains(observation)
    assert Select(gymnasium.make("HalfCheetah-v5"), kept=[0]).observation_space.dtype == np.float64


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pendulum's own action bounds, and that a wrapper is checked
def test_the_wrapped_env_passes_gymnasiums_check() -> None:
    check_env(Select(gymnasium.make("Pendulum-v1"), kept=[0, 1]), skip_render_check=True)


def test_what_is_shown_is_part_of_what_is_there() -> None:
    whole, part = gymnasium.make("Pendulum-v1"), Select(gymnasium.make("Pendulum-v1"), kept=[1, 2])
    seen, shown = whole.reset(seed=3)[0], part.reset(seed=3)[0]
    for _ in range(20):
        np.testing.assert_array_equal(shown, seen[1:])
        action = np.array([0.5], np.float32)
        seen, shown = whole.step(action)[0], part.step(action)[0]


@old_version
@pytest.mark.parametrize("version", ["v4", "v5"])
def test_the_table_of_halfcheetah_is_the_simulators_own(version: str) -> None:
    env = gymnasium.make(f"HalfCheetah-{version}")
    env.reset(seed=0)
    robot = env.unwrapped
    positions, velocities = np.arange(9) / 10 + 1, np.arange(9) / 10 + 5
    robot.set_state(positions, velocities)
    observation = robot._get_obs()
    table = PARTS["HalfCheetah"]
    # the root's x position is left out of the observation by gymnasium
    np.testing.assert_allclose(observation[list(table["positions"])], positions[1:])
    np.testing.assert_allclose(observation[list(table["velocities"])], velocities)


@old_version
@pytest.mark.parametrize("version", ["v4", "v5"])
def test_the_table_of_hopper_is_the_simulators_own(version: str) -> None:
    env = gymnasium.make(f"Hopper-{version}")
    env.reset(seed=0)
    positions, velocities = np.arange(6) / 10 + 1, np.arange(6) / 10 + 5
    env.unwrapped.set_state(positions, velocities)
    observation = env.unwrapped._get_obs()
    np.testing.assert_allclose(observation[list(PARTS["Hopper"]["positions"])], positions[1:])
    np.testing.assert_allclose(observation[list(PARTS["Hopper"]["velocities"])], velocities)


@pytest.mark.parametrize("name", ["CartPole-v1", "MountainCarContinuous-v0"])
def test_the_velocities_of_the_classics_change_the_positions(name: str) -> None:
    env = gymnasium.make(name).unwrapped
    env.reset(seed=0)
    table = PARTS[name.partition("-")[0]]
    assert sorted(table["positions"] + table["velocities"]) == list(range(env.observation_space.shape[0]))
    before = env.state = np.full(env.observation_space.shape, 0.02)
    after = env.step(env.action_space.sample())[0]
    moved = after[list(table["positions"])] - before[list(table["positions"])]
    assert np.all(moved > 0)  # as the velocities say, whatever was done


def test_the_table_of_pendulum_is_the_simulators_own() -> None:
    env = gymnasium.make("Pendulum-v1").unwrapped
    env.reset(seed=0)
    env.state = np.array([0.3, 0.7])
    observation = env._get_obs()
    np.testing.assert_allclose(observation[list(PARTS["Pendulum"]["positions"])], [np.cos(0.3), np.sin(0.3)], rtol=1e-6)
    np.testing.assert_allclose(observation[list(PARTS["Pendulum"]["velocities"])], [0.7], rtol=1e-6)


def test_words_and_numbers_hide_together() -> None:
    assert kept_numbers(["velocities"], "HalfCheetah-v4", vector(17)) == list(range(8))
    assert kept_numbers(["positions"], "HalfCheetah-v5", vector(17)) == list(range(8, 17))
    assert kept_numbers(["velocities", 0, 2], "Pendulum-v1", vector(3)) == [1]


@pytest.mark.parametrize(
    ("hide", "env_id", "space", "said"),
    [
        ([3], "Pendulum-v1", vector(3), "3 is beyond the 3 observations"),
        ([0, 1, 2], "Pendulum-v1", vector(3), "nothing of Pendulum-v1 would be left"),
        (["positions", "velocities"], "Pendulum-v1", vector(3), "nothing"),
        (["velocities"], "Swimmer-v5", vector(8), "not known"),
        (["velocities"], "HalfCheetah-v5", vector(18), "not its usual ones"),
        ([0], "FrozenLake-v1", spaces.Discrete(4), "only of a vector"),
        ([0], "CarRacing-v3", spaces.Box(0, 255, (9, 9, 3), np.uint8), "only of a vector"),
    ],
)
def test_what_cannot_be_hidden_is_refused(hide: list, env_id: str, space: spaces.Space, said: str) -> None:
    with pytest.raises(UserError, match=said):
        kept_numbers(hide, env_id, space)
