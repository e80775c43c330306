"""Running in a direction that was shown long ago."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from jamba_rl.tasks import load_task, make_env, make_single_env
from jamba_rl.tasks.direction_cue import ENV_ID

pytestmark = pytest.mark.filterwarnings("ignore:.*is out of date:DeprecationWarning")
CUE, RUNS = 17, 18


def episode(seed: int, action: np.ndarray, **kwargs):
    env = gymnasium.make(ENV_ID, **kwargs)
    seen, info = env.reset(seed=seed)
    observations, rewards, infos = [seen], [], []
    truncated = False
    while not truncated:
        seen, reward, terminated, truncated, step_info = env.step(action)
        assert not terminated
        observations.append(seen)
        rewards.append(reward)
        infos.append(step_info)
    return np.stack(observations), np.array(rewards), infos, info["direction"]


def test_the_direction_is_shown_first_and_never_again() -> None:
    directions = set()
    for seed in range(6):
        seen, _, _, direction = episode(seed, np.ones(6))
        assert (seen[:5, CUE] == direction).all()
        assert (seen[5:, CUE] == 0).all()
        assert len(seen) == 501
        directions.add(direction)
    assert directions == {-1.0, 1.0}


def test_actions_are_ignored_and_shown_as_zero_until_the_start() -> None:
    busy, lazy = (episode(0, action)[0] for action in (np.ones(6), np.zeros(6)))
    np.testing.assert_array_equal(busy[:206, :RUNS], lazy[:206, :RUNS])
    assert (busy[:206, 19:] == 0).all()
    assert (busy[206:, 19:] == 1).all()
    assert (busy[:205, RUNS] == 0).all()
    assert (busy[205:, RUNS] == 1).all()
    assert (busy[206:, :17] != lazy[206:, :17]).any()


def test_the_reward_is_for_running_in_the_direction_shown() -> None:
    _, rewards, infos, direction = episode(1, np.full(6, 0.4))
    assert (rewards[:205] == 0).all()
    for reward, info in zip(rewards[205:], infos[205:], strict=True):
        assert reward == pytest.approx(direction * info["x_velocity"] - 0.1 * 6 * 0.4**2)


def test_after_the_cue_nothing_tells_the_direction() -> None:
    """Two episodes that differ in the direction alone look the same until they may run."""
    pairs = {}
    for direction in (-1.0, 1.0):
        env = gymnasium.make(ENV_ID)
        env.reset(seed=5)

        wrapped = env.env
        while not hasattr(wrapped, "direction"):
            wrapped = wrapped.env
        wrapped.direction = direction
        pairs[direction] = np.stack([env.step(np.ones(6))[0] for _ in range(300)])
    assert (pairs[1.0][:4] != pairs[-1.0][:4]).any()
    np.testing.assert_array_equal(pairs[1.0][4:], pairs[-1.0][4:])


def test_the_task_hides_velocities_and_shows_the_action() -> None:
    assert make_single_env("halfcheetah-cue").observation_space.shape == (16,)
    assert load_task("halfcheetah-cue").hide_action
    assert make_env("halfcheetah-cue", 2).reset().shape == (2, 16)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_it_passes_gymnasiums_check() -> None:
    check_env(gymnasium.make(ENV_ID), skip_render_check=True)


@pytest.mark.parametrize("kwargs", [{"cue_steps": 0}, {"pause": -1}])
def test_times_that_make_no_sense_are_refused(kwargs) -> None:
    with pytest.raises(ValueError, match="cue_steps must be at least 1 and pause at least 0"):
        gymnasium.make(ENV_ID, **kwargs)
