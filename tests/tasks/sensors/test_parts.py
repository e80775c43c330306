"""The tables say what the simulators say."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from jamba_rl.catalogue import UserError
from jamba_rl.tasks.sensors.parts import PARTS, as_part, numbers_of, table_of

pytestmark = pytest.mark.filterwarnings("ignore:.*is out of date:DeprecationWarning")
# which of the simulator's positions are seen, by their first: the place of a body that can go anywhere is not
FIRST_SEEN = {
    "Ant": 2,
    "HalfCheetah": 1,
    "Hopper": 1,
    "Humanoid": 2,
    "InvertedPendulum": 0,
    "Swimmer": 2,
    "Walker2d": 1,
}


def placed(env_id: str):
    """An env whose body was put where no two numbers are the same, with what is seen then."""
    env = gymnasium.make(env_id).unwrapped
    env.reset(seed=0)
    positions = env.data.qpos + np.arange(env.model.nq) / 50 + 0.01
    velocities = np.arange(env.model.nv) / 7 + 1.0
    env.set_state(positions, velocities)
    return env, env._get_obs()


def part(env_id: str, observation: np.ndarray, word: str) -> np.ndarray:
    table = table_of(env_id)
    assert table is not None
    return observation[list(table[word])]


@pytest.mark.parametrize("version", ["v4", "v5"])
@pytest.mark.parametrize("name", FIRST_SEEN)
def test_positions_and_velocities_are_the_simulators_own(name: str, version: str) -> None:
    env, observation = placed(f"{name}-{version}")
    np.testing.assert_array_equal(part(env.spec.id, observation, "positions"), env.data.qpos[FIRST_SEEN[name] :])
    speeds = np.clip(env.data.qvel, -10, 10) if name in ("Hopper", "Walker2d") else env.data.qvel
    np.testing.assert_array_equal(part(env.spec.id, observation, "velocities"), speeds)


@pytest.mark.parametrize("version", ["v4", "v5"])
def test_the_double_pendulum_shows_its_angles_as_sine_and_cosine(version: str) -> None:
    env, observation = placed(f"InvertedDoublePendulum-{version}")
    place, *angles = env.data.qpos
    expected = [place, *np.sin(angles), *np.cos(angles)]
    np.testing.assert_allclose(part(env.spec.id, observation, "positions"), expected)
    np.testing.assert_allclose(part(env.spec.id, observation, "velocities"), np.clip(env.data.qvel, -10, 10))


@pytest.mark.parametrize("version", ["v4", "v5"])
def test_the_arm_is_in_positions_and_velocities_and_the_target_apart(version: str) -> None:
    env, observation = placed(f"Reacher-{version}")
    angles = env.data.qpos[:2]
    np.testing.assert_allclose(part(env.spec.id, observation, "positions"), [*np.cos(angles), *np.sin(angles)])
    np.testing.assert_allclose(part(env.spec.id, observation, "velocities"), env.data.qvel[:2])
    before = observation.copy()
    env.set_state(env.data.qpos + np.array([0, 0, 0.05, -0.03]), env.data.qvel)
    changed = np.flatnonzero(~np.isclose(before, env._get_obs()))
    table = table_of(env.spec.id)
    assert table is not None
    assert set(changed) <= set(table["target"])  # nothing else says where it is
    assert {4, 5, 8, 9} <= set(changed)


@pytest.mark.parametrize("name", ["Ant-v5", "Humanoid-v4", "Humanoid-v5"])
def test_what_the_simulator_adds_lies_in_the_parts_of_its_name(name: str) -> None:
    env, _ = placed(name)
    env.data.cfrc_ext[:] = 0.5
    env.data.qfrc_actuator[:] = 0.25
    observation = env._get_obs()
    assert np.all(part(name, observation, "contacts") == 0.5)
    if name.startswith("Humanoid"):
        motors = part(name, observation, "motors")
        assert np.all(motors == 0.25)
        bodies = slice(None if name.endswith("v4") else 1, None)
        np.testing.assert_array_equal(part(name, observation, "inertia"), env.data.cinert[bodies].ravel())
        np.testing.assert_array_equal(part(name, observation, "body_velocities"), env.data.cvel[bodies].ravel())


@pytest.mark.parametrize("name", ["CartPole-v1", "MountainCarContinuous-v0"])
def test_the_velocities_of_the_classics_change_the_positions(name: str) -> None:
    env = gymnasium.make(name).unwrapped
    env.reset(seed=0)
    table = table_of(name)
    assert table is not None
    before = env.state = np.full(env.observation_space.shape, 0.02)
    after = env.step(env.action_space.sample())[0]
    moved = after[list(table["positions"])] - before[list(table["positions"])]
    assert np.all(moved > 0)  # as the velocities say, whatever was done


def test_the_table_of_pendulum_is_the_simulators_own() -> None:
    env = gymnasium.make("Pendulum-v1").unwrapped
    env.reset(seed=0)
    env.state = np.array([0.3, 0.7])
    observation = env._get_obs()
    np.testing.assert_allclose(part("Pendulum-v1", observation, "positions"), [np.cos(0.3), np.sin(0.3)], rtol=1e-6)
    np.testing.assert_allclose(part("Pendulum-v1", observation, "velocities"), [0.7], rtol=1e-6)


def test_the_velocities_of_the_lander_are_those_of_its_body() -> None:
    env = gymnasium.make("LunarLanderContinuous-v3").unwrapped
    env.reset(seed=0)
    env.lander.linearVelocity, env.lander.angularVelocity = (1.5, -0.5), 0.7
    observation = env.step(np.zeros(2, np.float32))[0]
    speeds = part("LunarLanderContinuous-v3", observation, "velocities")
    np.testing.assert_array_equal(np.sign(speeds), [1, -1, 1])
    quiet = gymnasium.make("LunarLanderContinuous-v3").unwrapped
    quiet.reset(seed=0)
    quiet.lander.linearVelocity, quiet.lander.angularVelocity = (-1.5, 0.5), -0.7
    other = quiet.step(np.zeros(2, np.float32))[0]
    far = np.flatnonzero(np.abs(observation - other) > 0.1)
    assert set(far) == {2, 3, 5}


@pytest.mark.parametrize("name", PARTS)
def test_every_number_is_in_one_part(name: str) -> None:
    if name.startswith("jamba_rl/"):
        env_id = f"{name}-v0"
    else:
        newest = max((spec.version or 0 for spec in gymnasium.registry.values() if spec.name == name), default=0)
        env_id = name if "-v" in name else f"{name}-v{newest}"
    size = gymnasium.make(env_id).observation_space.shape[0]
    assert sorted(sum(PARTS[name].values(), ())) == list(range(size))


def vector(size: int) -> spaces.Box:
    return spaces.Box(-1.0, 1.0, (size,), np.float32)


def test_words_and_numbers_go_together() -> None:
    assert numbers_of(["velocities"], "hide", "HalfCheetah-v4", vector(17)) == list(range(8, 17))
    assert numbers_of(["positions"], "hide", "HalfCheetah-v5", vector(17)) == list(range(8))
    assert numbers_of(["velocities", 0, 2], "hide", "Pendulum-v1", vector(3)) == [0, 2]
    assert numbers_of([], "hide", "Pendulum-v1", vector(3)) == []


@pytest.mark.parametrize(
    ("parts", "env_id", "space", "said"),
    [
        ([3], "Pendulum-v1", vector(3), "hide: 3 is beyond the 3 observations"),
        (["velocities"], "Pusher-v5", vector(23), "hide: which are the velocities of Pusher-v5 is not known"),
        (["target"], "Hopper-v5", vector(11), "hide: Hopper-v5 has no target, only positions, velocities"),
        (["velocities"], "HalfCheetah-v5", vector(18), "not its usual ones"),
        ([0], "FrozenLake-v1", spaces.Discrete(4), "only a vector has numbers"),
        ([0], "CarRacing-v3", spaces.Box(0, 255, (9, 9, 3), np.uint8), "only a vector has numbers"),
    ],
)
def test_what_is_not_there_is_refused(parts: list, env_id: str, space: spaces.Space, said: str) -> None:
    with pytest.raises(UserError, match=said):
        numbers_of(parts, "hide", env_id, space)


@pytest.mark.parametrize("value", ["velocitys", -1, 1.5, True, None])
def test_a_part_is_a_number_or_a_word(value: object) -> None:
    with pytest.raises(ValueError, match="neither an observation number nor one of") as caught:
        as_part(value)
    assert ("did you mean 'velocities'" in str(caught.value)) == (value == "velocitys")
