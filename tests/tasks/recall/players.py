"""Who plays in these tests: policies of all that was seen so far, for many copies at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from jamba_rl.tasks.recall import Game, RecallVecEnv
from jamba_rl.tasks.recall.cue import CUES, Cue
from jamba_rl.tasks.recall.parity import Parity
from jamba_rl.tasks.recall.repeat_previous import RepeatPrevious
from jamba_rl.tasks.recall.tmaze import TMaze

SMALL = (RepeatPrevious(4), RepeatPrevious(40, decks=2), TMaze(6), Cue(5), Parity(11))
RIGHT, UP, LEFT, DOWN = range(4)

Policy = Callable[[Sequence[np.ndarray]], np.ndarray]  # from observations since the reset (T of N, ...) to actions (N,)


def oracle(game: Game) -> Policy:
    """Has seen all and knows the rules."""
    if isinstance(game, RepeatPrevious):
        return lambda seen: seen[-game.lag] if len(seen) >= game.lag else np.zeros_like(seen[-1])
    if isinstance(game, TMaze):
        return lambda seen: np.where(seen[-1][:, 0] == 0, RIGHT, np.where(seen[0][:, 1] > 0, UP, DOWN))
    if isinstance(game, Cue):
        return lambda seen: np.argmax(seen[0][:, :CUES], 1)
    assert isinstance(game, Parity)
    return lambda seen: np.sum(seen, 0) % 2


def anyhow(game: Game, seed: int = 0) -> Policy:
    """Acts at random."""
    generator = np.random.default_rng(seed)
    return lambda seen: generator.integers(game.action_space.n, size=len(seen[-1]))


def constantly(action: int) -> Policy:
    return lambda seen: np.full(len(seen[-1]), action)


def rewards_of(game: Game, policy: Policy, episodes: int = 8, seed: int = 0) -> np.ndarray:
    """Rewards (steps, episodes) of one episode in each of as many copies."""
    venv = RecallVecEnv(game, episodes)
    venv.seed(seed)
    seen, rewards = [venv.reset()], []
    for step in range(1, game.steps + 1):
        observations, given, dones, _ = venv.step(policy(seen))
        assert dones.all() == dones.any() == (step == game.steps)
        seen.append(observations)
        rewards.append(given)
    return np.stack(rewards).astype(np.float64)
