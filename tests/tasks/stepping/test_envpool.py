"""EnvPool's envs behave as gymnasium's; only their random numbers are others."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest

from jamba_rl.catalogue import UserError
from jamba_rl.tasks import make_env
from jamba_rl.tasks.stepping import EnvPoolVecEnv
from jamba_rl.tasks.stepping.envpool import IDS

pytestmark = pytest.mark.filterwarnings("ignore:.*is out of date:DeprecationWarning")
UNSEEN = {"HalfCheetah": 1, "Hopper": 1, "Walker2d": 1, "Swimmer": 2, "Ant": 2, "InvertedPendulum": 0}


def steps(venv, n: int, seed: int = 0, scale: float = 1.0):
    """Observation before, action, and what came of it, n times; bounded actions."""
    generator, seen = np.random.default_rng(seed), venv.reset()
    for _ in range(n):
        actions = scale * generator.uniform(-1, 1, (venv.num_envs, *venv.action_space.shape)).astype(np.float32)
        before = seen
        seen, rewards, dones, infos = venv.step(actions)
        yield before, actions, seen, rewards, dones, infos


@pytest.mark.parametrize("name", ["HalfCheetah-v4", "Hopper-v4", "Walker2d-v4", "Swimmer-v4", "InvertedPendulum-v4",
                                  "HalfCheetah-v5", "Hopper-v5", "Ant-v5"])  # fmt: skip
def test_a_step_is_gymnasiums(name: str) -> None:
    """From the state that an observation tells, the same action leads to the same observation and reward."""
    own = gymnasium.wrappers.RescaleAction(gymnasium.make(name), np.float32(-1), np.float32(1))
    own.reset(seed=0)
    robot, unseen = own.unwrapped, UNSEEN[name.partition("-")[0]]
    compared = 0
    for before, actions, after, rewards, dones, infos in steps(EnvPoolVecEnv(name, 2, threads=1), 40, scale=0.5):
        for i in range(2):
            size = robot.model.nq - unseen
            velocities = before[i][size : size + robot.model.nv]
            if np.abs(velocities).max() >= 10:  # some envs clip what they show of velocities
                continue
            robot.set_state(np.concatenate([np.zeros(unseen), before[i][:size]]), velocities)
            robot.data.qacc_warmstart[:] = 0
            seen, reward, terminated, *_ = own.step(actions[i])
            last = infos[i]["terminal_observation"] if dones[i] else after[i]
            shown = slice(0, size + robot.model.nv)  # contact forces depend on what was before
            np.testing.assert_allclose(seen[shown], last[shown], atol=2e-3)
            if "Ant" not in name:
                assert reward == pytest.approx(rewards[i], abs=5e-3)
            assert terminated == (dones[i] and not infos[i]["TimeLimit.truncated"])
            compared += 1
    assert compared > 40


def test_spaces_are_gymnasiums_with_actions_scaled() -> None:
    for name in sorted(IDS):
        env, pool = gymnasium.make(name), EnvPoolVecEnv(name, 1, threads=1)
        assert pool.observation_space.shape == env.observation_space.shape, name
        assert pool.observation_space.dtype == env.observation_space.dtype, name
        assert pool.action_space == gymnasium.spaces.Box(-1, 1, env.action_space.shape), name
        pool.close()


def test_an_episode_that_ends_by_itself_shows_its_end_and_begins_anew() -> None:
    venv = EnvPoolVecEnv("Hopper-v5", 3, threads=1)
    ends, lengths = 0, np.zeros(3, int)
    for _, _, seen, _, dones, infos in steps(venv, 300):
        lengths += 1
        for i in range(3):
            assert infos[i]["TimeLimit.truncated"] is False
            if dones[i]:
                last = infos[i]["terminal_observation"]
                assert last[0] < 0.7 or abs(last[1]) > 0.2 or np.abs(last[2:]).max() > 100  # Hopper's own rule
                assert abs(seen[i][0] - 1.25) < 0.01  # and where it begins
                assert infos[i]["episode"]["l"] == lengths[i]
                lengths[i], ends = 0, ends + 1
            else:
                assert seen[i][0] >= 0.7
                assert "terminal_observation" not in infos[i]
    assert ends > 10


def test_time_limits_are_gymnasiums_or_the_tasks_and_truncate() -> None:
    for limit, expected in ((None, 1000), (30, 30)):
        venv, total = EnvPoolVecEnv("HalfCheetah-v5", 2, limit=limit, threads=1), np.zeros(2)
        for step, (_, _, seen, rewards, dones, infos) in enumerate(steps(venv, 2 * expected), 1):
            total += rewards
            assert dones.all() == dones.any() == (step % expected == 0)
            if dones.any():
                for i in range(2):
                    assert infos[i]["TimeLimit.truncated"] is True
                    assert infos[i]["episode"]["r"] == pytest.approx(total[i], rel=1e-4)
                    assert (infos[i]["terminal_observation"] != seen[i]).all()
                total[:] = 0


def test_the_first_episodes_may_end_at_different_times() -> None:
    venv = EnvPoolVecEnv("HalfCheetah-v5", 2, limit=30, first_limits=[10, 30], threads=1)
    ends = [(step, i, "episode" in infos[i]) for step, (*_, dones, infos) in enumerate(steps(venv, 60), 1)
            for i in np.flatnonzero(dones)]  # fmt: skip
    assert ends == [(10, 0, False), (30, 1, True), (40, 0, True), (60, 1, True)]


def test_a_seed_repeats_itself_and_copies_differ() -> None:
    def play(seed: int) -> np.ndarray:
        venv = EnvPoolVecEnv("Hopper-v5", 2, threads=2)
        venv.seed(seed)
        return np.stack([seen for *_, seen, _, _, _ in steps(venv, 100)])

    first = play(3)
    np.testing.assert_array_equal(first, play(3))
    assert (first != play(4)).any()
    assert (first[:, 0] != first[:, 1]).any()


def test_copy_i_has_the_seed_plus_i() -> None:
    def begin(seed: int) -> np.ndarray:
        venv = EnvPoolVecEnv("Hopper-v5", 2, threads=1)
        venv.seed(seed)
        return venv.reset()

    np.testing.assert_array_equal(begin(3)[1], begin(4)[0])
    assert (begin(3)[0] != begin(4)[0]).any()


def test_a_task_has_its_sensors_in_the_pool_too() -> None:
    venv = make_env("hopper-p", n_envs=2, stepping="envpool")
    assert venv.reset().shape == (2, 5)
    for *_, dones, infos in steps(venv, 100):
        for i in np.flatnonzero(dones):
            assert infos[i]["terminal_observation"].shape == (5,)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("base: Pendulum-v1\n", "EnvPool steps gymnasium's MuJoCo .* not Pendulum-v1"),
        ("base: HalfCheetah-v5\ndynamics: {mass: [1.0, 2.0]}\n", "dynamics: EnvPool's bodies cannot be changed"),
        ("base: HalfCheetah-v5\nkwargs: {legs: 3}\n", "EnvPool cannot make HalfCheetah-v5: .*legs"),
    ],
)
def test_what_it_cannot_do_is_refused(tmp_path, text: str, said: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(UserError, match=rf"env 'mine' \(mine.yaml\): {said}") as caught:
        make_env(str(tmp_path / "mine.yaml"), stepping="envpool")
    assert "\n" not in str(caught.value)
