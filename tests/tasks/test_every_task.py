"""What holds for every task that is shipped."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as gymnasiums_check
from stable_baselines3.common.env_checker import check_env as sb3s_check

from jamba_rl import catalogue
from jamba_rl.tasks import load_task, make_env, make_single_env
from jamba_rl.tasks.sensors.seen import Seen
from jamba_rl.tasks.spec import PartName

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*is out of date:DeprecationWarning"),
    pytest.mark.parametrize("name", catalogue.names("envs")),
]


def play(name: str, seed: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Observations and rewards of two copies that do the same."""
    venv, generator = make_env(name, n_envs=2, seed=seed), np.random.default_rng(0)
    space, seen, rewarded = venv.action_space, [venv.reset()], []
    for _ in range(steps):
        if isinstance(space, gymnasium.spaces.Box):
            actions = generator.uniform(-1, 1, (2, *space.shape)).astype(np.float32)
        else:
            actions = generator.integers(space.n, size=2)
        observations, rewards, _, _ = venv.step(actions)
        seen.append(observations)
        rewarded.append(rewards)
    venv.close()
    return np.stack(seen), np.stack(rewarded)


def test_it_steps_a_thousand_times_and_a_seed_repeats_itself(name: str) -> None:
    first, again = play(name, 7, 1000), play(name, 7, 1000)
    for one, two in zip(first, again, strict=True):
        assert np.isfinite(one).all()
        np.testing.assert_array_equal(one, two)


def test_another_seed_is_another_episode(name: str) -> None:
    assert (play(name, 7, 100)[0] != play(name, 8, 100)[0]).any()


@pytest.mark.filterwarnings("ignore::UserWarning")  # of gymnasium: wide bounds, and that a wrapper is checked
def test_it_passes_the_checks_of_gymnasium_and_sb3(name: str) -> None:
    gymnasiums_check(make_single_env(name), skip_render_check=True)
    sb3s_check(make_single_env(name), warn=False)


def test_one_env_of_it_shows_what_copy_i_of_many_shows(name: str) -> None:
    venv, alone = make_env(name, n_envs=2, seed=7), make_single_env(name)
    space = venv.action_space
    space.seed(0)
    seen = venv.reset()
    np.testing.assert_array_equal(seen[1], alone.reset(seed=8)[0])
    for _ in range(200):
        action = space.sample()
        seen, rewards, dones, infos = venv.step(np.stack([action, action]))
        own, reward, terminated, truncated, _ = alone.step(action)
        assert np.float32(reward) == rewards[1]
        assert dones[1] == (terminated or truncated)
        if dones[1]:
            np.testing.assert_array_equal(own, infos[1]["terminal_observation"])
            assert infos[1]["TimeLimit.truncated"] == (truncated and not terminated)
            own = alone.reset()[0]
        np.testing.assert_array_equal(own, seen[1])


@pytest.mark.parametrize("part", ["ppo", "sac"])
def test_its_twin_sees_all_and_is_used_alike(name: str, part: PartName) -> None:
    task = load_task(name, part)
    assert task.name == name
    changed = bool(task.changes) or task.dynamics is not None or task.pixels is not None
    assert (task.sighted is not None) == (changed and not task.base.startswith("jamba_rl/"))
    if task.sighted is not None:
        twin = load_task(task.sighted, part)
        assert (twin.base, twin.kwargs, twin.changes) == (task.base, task.kwargs, Seen().changes)
        assert twin.dynamics is twin.pixels is None
        assert twin.protocol == task.protocol  # they are compared
