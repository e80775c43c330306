from __future__ import annotations

from pathlib import Path

import gymnasium
import numpy as np
import pytest

from jamba_rl.catalogue import UserError
from jamba_rl.tasks import load_task, make_env

pytestmark = pytest.mark.filterwarnings("ignore:.*is out of date:DeprecationWarning")


def play(venv, steps: int) -> np.ndarray:
    seen = [venv.reset()]
    for _ in range(steps):
        actions = np.stack([venv.action_space.sample() * 0 for _ in range(venv.num_envs)])
        seen.append(venv.step(actions)[0])
    venv.close()
    return np.stack(seen)


def test_env_i_is_seeded_with_seed_plus_i() -> None:
    seen = make_env("Pendulum-v1", n_envs=3, seed=5).reset()
    for i in range(3):
        np.testing.assert_array_equal(seen[i], gymnasium.make("Pendulum-v1").reset(seed=5 + i)[0])


def test_hidden_parts_are_gone_and_the_rest_is_the_same() -> None:
    whole, part = play(make_env("pendulum", seed=1), 20), play(make_env("pendulum-p", seed=1), 20)
    np.testing.assert_array_equal(part, whole[..., :2])


def test_episodes_report_return_and_length() -> None:
    venv = make_env("pendulum-p", n_envs=1, seed=0)
    venv.reset()
    total = 0.0
    for _ in range(200):
        _, rewards, dones, infos = venv.step(np.zeros((1, 1), np.float32))
        total += rewards[0]
    assert dones[0]
    assert infos[0]["TimeLimit.truncated"]
    assert infos[0]["terminal_observation"].shape == (2,)
    assert infos[0]["episode"]["l"] == 200
    assert infos[0]["episode"]["r"] == pytest.approx(total, rel=1e-5)


def test_a_task_can_be_given_itself_or_as_a_file(tmp_path: Path) -> None:
    path = tmp_path / "heavy.yaml"
    path.write_text("base: Pendulum-v1\nkwargs: {g: 20.0}\nhide: [0]\n")
    venv = make_env(str(path))
    assert venv.observation_space.shape == (2,)
    assert venv.envs[0].unwrapped.g == 20.0
    assert make_env(load_task(str(path))).observation_space.shape == (2,)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("base: Pendulum-v1\nkwargs: {gravity: 20.0}\n", "gravity"),
        ("base: Pendulm-v1\n", "Pendulm"),
        ("base: HalfCheetah-v3\n", "gymnasium-robotics"),
        ("base: Pendulum-v1\nhide: [5]\n", "5 is beyond"),
        ("base: FrozenLake-v1\nhide: [0]\n", "only a vector has numbers"),
    ],
)
def test_what_cannot_be_made_is_one_line_with_the_tasks_name(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        make_env(str(path))
    message = str(caught.value)
    assert "env 'mine'" in message
    assert said in message
    assert "\n" not in message


def test_no_envs_are_refused() -> None:
    with pytest.raises(UserError, match="at least 1"):
        make_env("pendulum", n_envs=0)


def test_actions_are_scaled_to_one_and_reach_the_env_in_its_own_units() -> None:
    ours, plain = make_env("Pendulum-v1", seed=3), gymnasium.make("Pendulum-v1")
    assert ours.action_space == gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)
    ours.reset()
    plain.reset(seed=3)
    for action in (0.5, -1.0, 1.0):
        seen = ours.step(np.array([[action]], np.float32))[0][0]
        np.testing.assert_allclose(seen, plain.step(np.array([2 * action], np.float32))[0], rtol=1e-6)


def test_discrete_actions_stay_as_they_are() -> None:
    assert make_env("CartPole-v1").action_space == gymnasium.spaces.Discrete(2)


def test_staggered_copies_end_their_first_episode_at_different_times_and_the_next_at_the_limit() -> None:
    venv = make_env("pendulum", n_envs=4, seed=0, staggered=True)
    venv.reset()
    ends: list[list[int]] = [[] for _ in range(4)]
    infos = []
    for step in range(1, 401):
        _, _, dones, infos = venv.step(np.zeros((4, 1), np.float32))
        for i in np.flatnonzero(dones):
            ends[i].append(step)
            assert infos[i]["TimeLimit.truncated"]
            assert ("episode" in infos[i]) == (len(ends[i]) > 1 or i == 3)  # a cut episode is not reported
    assert ends == [[50, 250], [100, 300], [150, 350], [200, 400]]


def test_without_staggering_every_episode_is_whole() -> None:
    venv = make_env("pendulum", n_envs=2)
    venv.reset()
    dones = [venv.step(np.zeros((2, 1), np.float32))[2] for _ in range(200)]
    assert not np.any(dones[:-1])
    assert np.all(dones[-1])


def test_observations_of_several_parts_become_a_vector() -> None:
    venv = make_env("Blackjack-v1", n_envs=2)
    assert venv.reset().shape == (2, 32 + 11 + 2)


def test_observations_that_sb3_cannot_take_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Endless(gymnasium.Env):
        observation_space = gymnasium.spaces.Sequence(gymnasium.spaces.Discrete(2))
        action_space = gymnasium.spaces.Discrete(2)

    monkeypatch.setitem(gymnasium.registry, "Endless-v0", gymnasium.envs.registration.EnvSpec("Endless-v0", Endless))
    with pytest.raises(UserError, match=r"env 'Endless-v0': it has observations .* which SB3 cannot take"):
        make_env("Endless-v0")
