"""What a task changes about its env.

Every transform is one numpy function over ``[..., obs]``, so that it serves one env and a batch
of envs alike; the wrapper around it only keeps the spaces in step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from gymnasium import spaces

from jamba_rl.catalogue import UserError
from jamba_rl.tasks.spec import PARTS, env_name


def select(x: np.ndarray, kept: Sequence[int]) -> np.ndarray:
    """Return the kept observation numbers of ``x`` (..., obs).

    >>> select(np.arange(8).reshape(2, 4), [0, 3])
    array([[0, 3],
           [4, 7]])
    """
    return x[..., list(kept)]


class Select(gymnasium.ObservationWrapper, gymnasium.utils.RecordConstructorArgs):
    """Shows only the kept observation numbers, with their own bounds and dtype.

    >>> Select(gymnasium.make("Pendulum-v1"), kept=[0, 1]).observation_space
    Box(-1.0, 1.0, (2,), float32)
    """

    def __init__(self, env: gymnasium.Env, kept: Sequence[int]) -> None:
        gymnasium.utils.RecordConstructorArgs.__init__(self, kept=kept)
        gymnasium.ObservationWrapper.__init__(self, env)
        self.kept = tuple(kept)
        space = env.observation_space
        assert isinstance(space, spaces.Box)
        low, high = select(space.low, kept), select(space.high, kept)
        self.observation_space = spaces.Box(low, high, dtype=space.dtype.type)

    def observation(self, observation: Any) -> np.ndarray:
        """Select from one observation."""
        return select(observation, self.kept)


class FirstEpisodeCut(gymnasium.Wrapper, gymnasium.utils.RecordConstructorArgs):
    """Truncates the very first episode after ``steps`` steps; the later ones are whole."""

    def __init__(self, env: gymnasium.Env, steps: int) -> None:
        gymnasium.utils.RecordConstructorArgs.__init__(self, steps=steps)
        gymnasium.Wrapper.__init__(self, env)
        self.left = steps

    def step(self, action: Any) -> tuple[Any, SupportsFloat, bool, bool, dict[str, Any]]:
        """Step, and cut once."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        if self.left > 0:
            self.left = 0 if terminated or truncated else self.left - 1
            truncated = truncated or (self.left == 0 and not terminated)
        return observation, reward, terminated, truncated, info


def kept_numbers(hide: Sequence[int | str], env_id: str, space: spaces.Space) -> list[int]:
    """Observation numbers that remain when ``hide`` is hidden.

    :param hide: observation numbers, or ``positions`` and ``velocities``
    :param env_id: gymnasium id, by which the two words are looked up
    :raises UserError: if the observations are not a vector, a number is beyond it, the words are
        not known for this env, or nothing remains
    """
    if not (isinstance(space, spaces.Box) and len(space.shape) == 1):
        raise UserError(f"hide: {env_id} has observations {space}, and only of a vector can parts be hidden")
    size = space.shape[0]
    hidden: set[int] = set()
    for part in hide:
        hidden.update([part] if isinstance(part, int) else _part(part, env_id, size))
    beyond = sorted(number for number in hidden if number >= size)
    if beyond:
        raise UserError(f"hide: {beyond[0]} is beyond the {size} observations of {env_id} (0 to {size - 1})")
    if len(hidden) == size:
        raise UserError(f"hide: nothing of {env_id} would be left to see")
    return [number for number in range(size) if number not in hidden]


def _part(word: str, env_id: str, size: int) -> tuple[int, ...]:
    parts = PARTS.get(env_name(env_id))
    if parts is None:
        known = ", ".join(sorted(PARTS))
        raise UserError(f"hide: which are the {word} of {env_id} is not known (only of {known}); give their numbers")
    if sum(map(len, parts.values())) != size:
        raise UserError(f"hide: {env_id} has {size} observations here, not its usual ones; give numbers for {word!r}")
    return parts[word]
