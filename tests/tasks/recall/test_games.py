from __future__ import annotations

import numpy as np
import pytest

from jamba_rl.tasks.recall import Game, RecallEnv, RecallVecEnv
from jamba_rl.tasks.recall.cue import Cue
from jamba_rl.tasks.recall.parity import Parity
from jamba_rl.tasks.recall.register import GAMES
from jamba_rl.tasks.recall.repeat_previous import RepeatPrevious
from jamba_rl.tasks.recall.tmaze import TMaze
from tests.tasks.recall.players import DOWN, LEFT, RIGHT, UP, anyhow, constantly, oracle, rewards_of

MANY = 2000


@pytest.mark.parametrize("game", GAMES, ids=str)
def test_whoever_remembers_gets_the_best_return(game: Game) -> None:
    np.testing.assert_allclose(rewards_of(game, oracle(game)).sum(0), 1.0, rtol=1e-5)


@pytest.mark.parametrize(
    ("game", "expected", "tolerance"),
    # tolerances of five standard errors and more
    [
        (RepeatPrevious(4), -0.5, 0.015),
        (RepeatPrevious(32, decks=2), -0.5, 0.015),
        (Cue(50), 0.25, 0.05),
        (Parity(50), 0.0, 0.02),
    ],
    ids=str,
)
def test_whoever_guesses_has_chance(game: Game, expected: float, tolerance: float) -> None:
    for policy in (anyhow(game), constantly(1)):
        assert rewards_of(game, policy, MANY).sum(0).mean() == pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize("side", [UP, DOWN])
def test_whoever_walks_the_maze_and_guesses_finds_the_goal_half_the_time(side: int) -> None:
    returns = rewards_of(TMaze(50), lambda seen: np.where(seen[-1][:, 0] == 1, side, RIGHT), MANY).sum(0)
    assert set(returns) == {0.0, 1.0}
    assert returns.mean() == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize("game", [Cue(9), TMaze(9)], ids=str)
def test_what_is_seen_after_the_cue_is_the_same_for_every_cue(game: Game) -> None:
    for actions in (np.full(game.steps, UP), np.append(np.full(game.steps - 1, RIGHT), UP)):
        venv = RecallVecEnv(game, 32)
        venv.seed(0)
        cues = venv.reset()
        assert len(np.unique(cues, axis=0)) == (4 if isinstance(game, Cue) else 2)
        for action in actions:
            observations, _, dones, infos = venv.step(np.full(32, action))
            if dones.all():
                observations = np.stack([info["terminal_observation"] for info in infos])
            assert len(np.unique(observations, axis=0)) == 1


@pytest.mark.parametrize("game", [RepeatPrevious(4), Parity(50)], ids=str)
def test_what_is_in_view_says_nothing_of_the_right_answer(game: Game) -> None:
    rewards = rewards_of(game, lambda seen: seen[-1], MANY)
    right = (rewards[3:] > 0).mean()  # by then something is asked, and the parity is not the bit itself
    expected = 12 / 51 if isinstance(game, RepeatPrevious) else 0.5  # a deck has twelve more cards of the suit
    assert right == pytest.approx(expected, abs=0.01)


def test_a_deck_is_shown_once_and_answers_count_from_the_lag_on() -> None:
    env = RecallEnv(RepeatPrevious(4))
    shown, rewards = [env.reset(seed=0)[0]], []
    for step in range(1, 52):
        answer = shown[-4] if len(shown) >= 4 else 0
        wrong = step == 10
        observation, reward, terminated, truncated, _ = env.step((answer + wrong) % 4)
        assert (terminated, truncated) == (step == 51, False)
        shown.append(observation)
        rewards.append(reward)
    assert np.bincount(shown).tolist() == [13, 13, 13, 13]
    # the first three cards are too few to ask for the fourth newest; 48 answers are left
    assert rewards[:3] == [0.0, 0.0, 0.0]
    np.testing.assert_allclose(rewards[3:], [1 / 48] * 6 + [-1 / 48] + [1 / 48] * 41, rtol=1e-6)


def test_at_lag_one_the_card_in_view_is_the_answer() -> None:
    rewards = rewards_of(RepeatPrevious(1), lambda seen: seen[-1])
    np.testing.assert_allclose(rewards, 1 / 51, rtol=1e-6)


@pytest.mark.parametrize("length", [1, 2, 5])
def test_the_maze_is_that_of_its_paper(length: int) -> None:
    # the rules in the words of the paper: cells, and a walk on them
    cells = {(x, 0) for x in range(length + 1)} | {(length, 1), (length, -1)}
    moves = {RIGHT: (1, 0), UP: (0, 1), LEFT: (-1, 0), DOWN: (0, -1)}
    env, generator = RecallEnv(TMaze(length)), np.random.default_rng(0)
    goals = set()
    for episode in range(200):
        first, _ = env.reset(seed=episode)
        goal, (x, y) = first[1], (0, 0)
        goals.add(float(goal))
        assert first[0] == 0
        for time in range(1, length + 2):
            action = int(generator.choice(4, p=[0.7, 0.1, 0.1, 0.1]))
            there = (x + moves[action][0], y + moves[action][1])
            x, y = there if there in cells else (x, y)
            observation, reward, terminated, _, _ = env.step(action)
            assert observation.tolist() == [x == length, y]
            assert terminated == (time == length + 1)
            expected = float(y == goal) if terminated else -1 / length * (x < time)
            assert reward == pytest.approx(expected)
    assert goals == {-1.0, 1.0}


def test_one_step_lost_in_the_maze_costs_all_later_ones_and_the_goal() -> None:
    for lost in (UP, LEFT):  # a wall stops both
        actions = iter([RIGHT, lost, RIGHT, RIGHT, RIGHT])
        rewards = rewards_of(TMaze(4), lambda seen, actions=actions: constantly(next(actions))(seen))
        np.testing.assert_array_equal(rewards, np.repeat([[0], [-0.25], [-0.25], [-0.25], [0]], 8, 1))
    np.testing.assert_allclose(rewards_of(TMaze(50), constantly(UP)).sum(0), -1.0, rtol=1e-6)  # -1 / 50, fifty times


def test_only_the_answer_to_the_go_signal_counts() -> None:
    game = Cue(5)
    chance = anyhow(game)
    rewards = rewards_of(game, lambda seen: oracle(game)(seen) if len(seen) == game.steps else chance(seen), 100)
    assert (rewards[:-1] == 0).all()
    assert (rewards[-1] == 1).all()
    early = rewards_of(game, lambda seen: chance(seen) if len(seen) == game.steps else oracle(game)(seen), 100)
    assert 0 < early.sum() < 60


def test_the_cue_is_shown_once_and_the_go_signal_after_the_delay() -> None:
    env = RecallEnv(Cue(5))
    seen = [env.reset(seed=3)[0], *(env.step(0)[0] for _ in range(7))]
    assert [observation.sum() for observation in seen] == [1, 0, 0, 0, 0, 0, 1, 0]
    assert seen[0][4] == 0
    assert seen[6][4] == 1


def test_parity_is_of_every_bit_so_far_and_each_answer_counts_alike() -> None:
    env = RecallEnv(Parity(20))
    bit, ones = env.reset(seed=0)[0], 0
    for step in range(20):
        ones += int(bit)
        answer = ones % 2 if step != 7 else 1 - ones % 2
        bit, reward, terminated, _, _ = env.step(answer)
        assert reward == pytest.approx(1 / 20 if step != 7 else -1 / 20)
        assert terminated == (step == 19)
    assert 0 < ones < 20
