from __future__ import annotations

import numpy as np
import pytest
from stable_baselines3 import A2C
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor, VecNormalize

from jamba_rl.tasks.recall import Game, RecallEnv, RecallVecEnv
from jamba_rl.tasks.recall.cue import Cue
from jamba_rl.tasks.recall.repeat_previous import RepeatPrevious
from jamba_rl.tasks.recall.tmaze import TMaze
from tests.tasks.recall.players import RIGHT, SMALL, UP

every_game = pytest.mark.parametrize("game", SMALL, ids=str)


def actions_for(game: Game, copies: int, steps: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(game.action_space.n, size=(steps, copies))


def play(venv: RecallVecEnv, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Observations and rewards from a reset on."""
    seen, rewards = [venv.reset()], []
    for row in actions:
        observations, given, _, _ = venv.step(row)
        seen.append(observations)
        rewards.append(given)
    return np.stack(seen), np.stack(rewards)


@every_game
def test_a_copy_shows_what_an_env_with_its_seed_shows(game: Game) -> None:
    venv = RecallVecEnv(game, 3)
    venv.seed(5)
    envs = [RecallEnv(game) for _ in range(3)]
    first = [env.reset(seed=5 + i)[0] for i, env in enumerate(envs)]
    np.testing.assert_array_equal(venv.reset(), first)
    ends = 0
    for actions in actions_for(game, 3, 1000):
        observations, rewards, dones, infos = venv.step(actions)
        for i, env in enumerate(envs):
            observation, reward, terminated, truncated, _ = env.step(actions[i])
            assert (rewards[i], dones[i]) == (reward, terminated)
            assert not truncated
            assert infos[i]["TimeLimit.truncated"] is False
            assert ("terminal_observation" in infos[i]) == terminated
            if terminated:
                ends += 1
                np.testing.assert_array_equal(infos[i]["terminal_observation"], observation)
                observation = env.reset()[0]
            np.testing.assert_array_equal(observations[i], observation)
    assert ends == 3 * (1000 // game.steps)


@every_game
def test_copies_together_give_what_sb3s_dummy_gives(game: Game) -> None:
    ours, theirs = RecallVecEnv(game, 4), DummyVecEnv([lambda: RecallEnv(game)] * 4)
    assert (ours.observation_space, ours.action_space) == (theirs.observation_space, theirs.action_space)
    for venv in (ours, theirs):
        assert venv.seed(2) == [2, 3, 4, 5]
    first, expected = ours.reset(), theirs.reset()
    assert first.dtype == expected.dtype
    np.testing.assert_array_equal(first, expected)
    for actions in actions_for(game, 4, 200):
        (*arrays, infos), (*others, their_infos) = ours.step(actions), theirs.step(actions)
        for array, other in zip(arrays, others, strict=True):
            assert (array.dtype, array.shape) == (other.dtype, other.shape)
            np.testing.assert_array_equal(array, other)
        assert [info.keys() for info in infos] == [info.keys() for info in their_infos]
    assert ours.reset_infos == theirs.reset_infos


@every_game
def test_a_seed_repeats_and_without_one_there_is_something_new(game: Game) -> None:
    venv, actions = RecallVecEnv(game, 16), actions_for(game, 16, 3 * game.steps)
    venv.seed(7)
    first = play(venv, actions)
    unseeded = play(venv, actions)
    venv.seed(7)
    again = play(venv, actions)
    other = RecallVecEnv(game, 16)
    other.seed(7)
    for part, repeated, elsewhere in zip(first, again, play(other, actions), strict=True):
        np.testing.assert_array_equal(part, repeated)
        np.testing.assert_array_equal(part, elsewhere)
    assert (first[0] != unseeded[0]).any()
    assert (first[0] != first[0][:, :1]).any()  # copies differ
    episodes = first[0][:-1].reshape(3, game.steps, 16, -1)
    assert (episodes[0] != episodes[1]).any()


def test_the_last_observation_is_of_the_old_episode_and_the_returned_one_of_the_new() -> None:
    venv = RecallVecEnv(TMaze(3), 8)
    venv.seed(0)
    starts = [venv.reset()]
    for _ in range(5):
        for action in (RIGHT, RIGHT, RIGHT):
            assert not venv.step(np.full(8, action))[2].any()
        observations, _, dones, infos = venv.step(np.full(8, UP))
        assert dones.all()
        assert [info["terminal_observation"].tolist() for info in infos] == [[1, 1]] * 8  # where they turned to
        assert (observations[:, 0] == 0).all()
        assert (np.abs(observations[:, 1]) == 1).all()  # a new cue
        starts.append(observations)
    assert (np.stack(starts) != starts[0]).any()


@every_game
def test_what_a_step_returned_is_not_changed_by_the_next(game: Game) -> None:
    venv = RecallVecEnv(game, 4)
    venv.seed(0)
    returned = [venv.reset()]
    copies = [returned[0].copy()]
    for actions in actions_for(game, 4, 2 * game.steps):
        observations, rewards, dones, infos = venv.step(actions)
        last = [np.asarray(info["terminal_observation"]) for info in infos if "terminal_observation" in info]
        infos[0]["mine"] = 1
        returned += [observations, rewards, dones, *last]
        copies += [part.copy() for part in (observations, rewards, dones, *last)]
    assert "mine" not in venv.step(actions)[3][0]
    for part, copy in zip(returned, copies, strict=True):
        np.testing.assert_array_equal(part, copy)


def test_first_limits_truncate_the_very_first_episodes_only() -> None:
    game = Cue(6)  # 8 steps
    venv = VecMonitor(RecallVecEnv(game, 4, first_limits=[2, 4, 6, 8]))
    venv.reset()
    ends: list[list[int]] = [[] for _ in range(4)]
    for step in range(1, 25):
        _, _, dones, infos = venv.step(np.zeros(4, np.int64))
        for i in np.flatnonzero(dones):
            ends[i].append(step)
            assert infos[i]["TimeLimit.truncated"] == (len(ends[i]) == 1 and i < 3)
            assert infos[i]["episode"]["l"] == np.diff([0, *ends[i]])[-1]
    assert ends == [[2, 10, 18], [4, 12, 20], [6, 14, 22], [8, 16, 24]]
    venv.reset()
    assert not np.any([venv.step(np.zeros(4, np.int64))[2] for _ in range(7)])


def test_attributes_are_those_of_envs() -> None:
    venv = RecallVecEnv(TMaze(70), 3)
    assert [spec.id for spec in venv.get_attr("spec")] == ["jamba_rl/TMaze70-v0"] * 3
    assert venv.get_attr("render_mode", 1) == [None]
    assert venv.render_mode is None
    assert venv.get_attr("length", [0, 2]) == [70, 70]
    assert venv.get_attr("action_space")[0] is venv.action_space
    assert venv.get_images() == [None, None, None]
    venv.set_attr("mark", "here", indices=1)
    assert venv.get_attr("mark", 1) == ["here"]
    assert not venv.has_attr("mark")  # two of the three have it not
    with pytest.raises(AttributeError, match="nowhere"):
        venv.get_attr("nowhere")
    assert venv.env_method("deal", np.random.default_rng(0), indices=0)[0].shape == (3,)
    assert venv.env_is_wrapped(Monitor) == [False, False, False]


def test_spaces_are_not_shared() -> None:
    first, second = RecallVecEnv(Cue(5), 1), RecallVecEnv(Cue(5), 1)
    env = RecallEnv(Cue(5))
    drawn = []
    for space in (first.action_space, second.action_space, env.action_space):
        space.seed(0)
    for space in (first.action_space, second.action_space, env.action_space):
        drawn.append([space.sample() for _ in range(20)])
    assert drawn[0] == drawn[1] == drawn[2]


def test_sb3_evaluates_and_learns_on_it() -> None:
    class Repeats:
        def predict(self, observation, state=None, episode_start=None, deterministic=False):
            return observation, state

    venv = VecMonitor(RecallVecEnv(RepeatPrevious(1), 4))
    returns, lengths = evaluate_policy(Repeats(), venv, 8, return_episode_rewards=True)
    assert returns == pytest.approx([1.0] * 8, rel=1e-5)
    assert lengths == [51] * 8
    for game in (RepeatPrevious(4), TMaze(3)):
        venv = VecNormalize(VecMonitor(RecallVecEnv(game, 2, first_limits=[1, 3])), norm_obs=isinstance(game, TMaze))
        model = A2C("MlpPolicy", venv, n_steps=4, policy_kwargs={"net_arch": [4]}, device="cpu").learn(16)
        assert model.num_timesteps == 16
