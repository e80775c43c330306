"""What sensors show of what is there."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env as gymnasiums_check
from stable_baselines3.common.vec_env import DummyVecEnv

from jamba_rl.catalogue import UserError, check
from jamba_rl.tasks.sensors import SensorEnv, Sensors, SensorVecEnv, rules_of
from jamba_rl.tasks.sensors.seen import Seen

SPACE = spaces.Box(np.array([-2.0, 1.0, -8.0], np.float32), np.array([-1.0, 3.0, 8.0], np.float32))
FAULTS: dict[str, dict[str, Any]] = {
    "noise": {"noise": 0.3},
    "noise of a part": {"noise": {"velocities": 2.0, "0": 0.1}},
    "frames": {"dropout": {"frames": 0.3}},
    "sensors": {"dropout": {"sensors": 0.3}},
    "freeze": {"freeze": {"probability": 0.1, "steps": 4}},
    "delay": {"delay": 3},
    "cue": {"cue": {"shown": ["velocities"], "steps": 5}},
    "hide": {"hide": ["velocities"]},
    "keep": {"keep": [2, 0]},
    "all": {
        "noise": 0.3,
        "dropout": {"frames": 0.2, "sensors": 0.1},
        "freeze": {"probability": 0.1, "steps": 4},
        "delay": 2,
        "cue": {"shown": [0], "steps": 50},
        "hide": [1],
    },
}


def rules(space: spaces.Space = SPACE, **faults: Any):
    found = rules_of(check(Seen, faults, "test"), "Pendulum-v1", space)
    assert found is not None
    return found


def shown(steps: int = 2000, x: np.ndarray | None = None, **faults: Any) -> np.ndarray:
    """What sensors show of one episode: by default of x = t, t, t at step t."""
    sensors = Sensors(rules(**faults), 1)
    sensors.seed([0])
    x = np.repeat(np.arange(steps, dtype=np.float32)[:, None], 3, 1) + 1 if x is None else x
    seen = [sensors.begin(x[:1], np.arange(1))[0]]
    return np.stack(seen + [sensors.observe(row[None])[0] for row in x[1:]])


def test_noise_has_the_deviation_it_is_said_to_have() -> None:
    noise = shown(20_000, noise={"positions": 0.5, "velocities": 2.0}) - np.arange(1, 20_001)[:, None]
    np.testing.assert_allclose(noise.std(0), [0.5, 0.5, 2.0], rtol=0.02)
    np.testing.assert_allclose(noise.mean(0), 0.0, atol=0.05)
    assert abs(np.corrcoef(noise[:-1, 0], noise[1:, 0])[0, 1]) < 0.03  # new at every step
    assert abs(np.corrcoef(noise[:, 0], noise[:, 1])[0, 1]) < 0.03  # and in every sensor
    assert (shown(50, noise={"2": 2.0})[:, :2] == np.arange(1, 51)[:, None]).all()


def test_frames_are_lost_whole_and_sensors_by_themselves() -> None:
    whole = shown(20_000, dropout={"frames": 0.3}) == 0
    assert (whole.all(1) == whole.any(1)).all()
    assert whole[:, 0].mean() == pytest.approx(0.3, abs=0.015)
    each = shown(20_000, dropout={"sensors": 0.3}) == 0
    np.testing.assert_allclose(each.mean(0), 0.3, atol=0.015)
    assert each.all(1).mean() == pytest.approx(0.3**3, abs=0.005)


def test_what_is_not_lost_is_as_it_is() -> None:
    seen = shown(500, dropout={"frames": 0.2, "sensors": 0.2})
    expected = np.repeat(np.arange(1, 501)[:, None], 3, 1)
    assert (seen[seen != 0] == expected[seen != 0]).all()


def test_a_frozen_sensor_shows_the_same_for_its_steps() -> None:
    seen = shown(20_000, freeze={"probability": 0.05, "steps": 4})
    for column in seen.T:
        _, lengths = np.unique(column, return_counts=True)
        assert set(lengths[:-1]) <= {1, 4}
        # of the times at which it is free, every twentieth freezes it
        assert (lengths == 4).sum() / len(lengths) == pytest.approx(0.05, abs=0.006)
    assert (seen[:, 0] != seen[:, 1]).any()
    assert (shown(40, freeze={"probability": 1.0, "steps": 40}) == 1).all()


def test_measurements_arrive_late_and_the_first_is_shown_until_then() -> None:
    seen = shown(10, delay=3)[:, 0]
    assert seen.tolist() == [1, 1, 1, 1, 2, 3, 4, 5, 6, 7]


def test_a_cue_is_gone_after_its_steps() -> None:
    seen = shown(6, cue={"shown": [0, "velocities"], "steps": 2})
    assert seen[:, 0].tolist() == seen[:, 2].tolist() == [1, 2, 0, 0, 0, 0]
    assert seen[:, 1].tolist() == [1, 2, 3, 4, 5, 6]


def test_what_is_hidden_is_gone_and_what_is_kept_is_in_order() -> None:
    x = np.tile([[-1.5, 2.0, 5.0]], (3, 1))
    assert shown(x=x, hide=["velocities"])[1].tolist() == [-1.5, 2.0]
    assert shown(x=x, keep=[2, 0])[1].tolist() == [-1.5, 5.0]


def test_a_late_measurement_is_lost_when_it_arrives_and_noisy_when_it_was_made() -> None:
    late = shown(3000, dropout={"frames": 0.2}, delay=2)[:, 0]
    assert (late[2:][late[2:] != 0] == np.arange(1, 2999)[late[2:] != 0]).all()
    # noise of one measurement is drawn once: what is shown twice is the same
    assert len(set(shown(5, noise=0.3, delay=4)[:, 0])) == 1


@pytest.mark.parametrize("name", FAULTS)
def test_an_episode_does_not_know_the_one_before(name: str) -> None:
    sensors = Sensors(rules(**FAULTS[name]), 1)
    x, rows = np.array([[-1.5, 2.0, 5.0]]), np.arange(1)
    sensors.seed([3])
    first = [sensors.begin(x, rows), *(sensors.observe(x) for _ in range(60))]
    sensors.observe(x + 9)
    sensors.seed([3])
    second = [sensors.begin(x, rows), *(sensors.observe(x) for _ in range(60))]
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("name", FAULTS)
def test_observations_lie_in_their_space(name: str) -> None:
    found = rules(**FAULTS[name])
    sensors = Sensors(found, 4)
    generator = np.random.default_rng(0)
    measured = generator.uniform(SPACE.low, SPACE.high, (200, 4, 3)).astype(np.float32)
    seen = [sensors.begin(measured[0], np.arange(4)), *map(sensors.observe, measured[1:])]
    assert all(found.space.contains(row) for row in np.concatenate(seen))
    assert np.concatenate(seen).dtype == np.float32


def test_bounds_are_as_wide_as_needed_and_no_wider() -> None:
    assert rules(hide=[1]).space == spaces.Box(SPACE.low[[0, 2]], SPACE.high[[0, 2]])
    assert rules(delay=2).space == SPACE
    noisy = rules(noise={"1": 0.1}).space
    assert noisy.low.tolist() == [-2, -np.inf, -8]
    assert noisy.high.tolist() == [-1, np.inf, 8]
    for faults in ({"dropout": {"frames": 0.1}}, {"cue": {"shown": [0, 1], "steps": 1}}):
        space = rules(**faults).space
        assert space.low.tolist() == [-2, 0, -8]
        assert space.high.tolist() == [0, 3, 8]


def test_nothing_said_is_nothing_done() -> None:
    assert rules_of(Seen(), "Pendulum-v1", SPACE) is None
    assert rules_of(Seen(), "FrozenLake-v1", spaces.Discrete(3)) is None


@pytest.mark.parametrize("name", FAULTS)
def test_one_env_alone_shows_what_it_shows_among_others(name: str) -> None:
    """Over 1,000 steps with the ends of episodes, to the last bit."""
    alone = [
        SensorEnv(gymnasium.make("Pendulum-v1", max_episode_steps=60 + i), rules(**FAULTS[name])) for i in range(3)
    ]
    bare = [lambda i=i: gymnasium.make("Pendulum-v1", max_episode_steps=60 + i) for i in range(3)]
    together = SensorVecEnv(DummyVecEnv(bare), rules(**FAULTS[name]))
    together.seed(7)
    seen, actions = together.reset(), np.random.default_rng(0).uniform(-2, 2, (1000, 3, 1)).astype(np.float32)
    for i, env in enumerate(alone):
        np.testing.assert_array_equal(env.reset(seed=7 + i)[0], seen[i])
    ends = 0
    for action in actions:
        seen, rewards, dones, infos = together.step(action)
        for i, env in enumerate(alone):
            own, reward, terminated, truncated, _ = env.step(action[i])
            assert np.float32(reward) == rewards[i]
            assert (terminated or truncated) == dones[i]
            if dones[i]:
                np.testing.assert_array_equal(own, infos[i]["terminal_observation"])
                own = env.reset()[0]
                ends += 1
            np.testing.assert_array_equal(own, seen[i])
    assert ends > 40


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pendulum's own action bounds, and that a wrapper is checked
@pytest.mark.parametrize("name", FAULTS)
def test_it_passes_gymnasiums_check(name: str) -> None:
    space = gymnasium.make("Pendulum-v1").observation_space
    gymnasiums_check(SensorEnv(gymnasium.make("Pendulum-v1"), rules(space, **FAULTS[name])), skip_render_check=True)


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        ({"hide": [0, 1, 2]}, "hide: nothing of Pendulum-v1 would be left"),
        ({"hide": ["positions", "velocities"]}, "hide: nothing"),
        ({"keep": []}, "keep: nothing of Pendulum-v1 would be left"),
        ({"keep": [0], "hide": [1]}, "keep: say what to keep or what to hide, not both"),
        ({"hide": [3]}, r"hide: 3 is beyond the 3 observations of Pendulum-v1 \(0 to 2\)"),
        ({"noise": {"7": 0.1}}, "noise: 7 is beyond"),
        ({"noise": -0.1}, "noise: a standard deviation is a number, 0 or above, was -0.1"),
        ({"noise": {"velocitys": 0.1}}, "noise: 'velocitys' is neither .* did you mean 'velocities'"),
        ({"dropout": {"frames": 1.5}}, r"dropout.frames: .*less than or equal to 1.*was 1.5"),
        ({"dropout": {"sensor": 0.5}}, "unknown key 'dropout.sensor'; did you mean 'dropout.sensors'"),
        ({"freeze": {"probability": -1, "steps": 2}}, "freeze.probability: .*was -1"),
        ({"freeze": {"probability": 0.1}}, "key 'freeze.steps' is missing"),
        ({"delay": -1}, "delay: .*was -1"),
        ({"delay": 1.5}, "delay: .*was 1.5"),
        ({"cue": {"shown": ["target"], "steps": 3}}, "cue.shown: Pendulum-v1 has no target"),
        ({"cue": {"shown": [0], "steps": 0}}, "cue.steps: .*was 0"),
    ],
)
def test_what_makes_no_sense_is_refused_by_key(faults: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        rules(**faults)
    assert "\n" not in str(caught.value)
