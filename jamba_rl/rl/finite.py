"""Experience that is no number is named before anything learns from it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from stable_baselines3.common.vec_env import VecNormalize

Observations = np.ndarray | dict[str, np.ndarray]


class ExperienceError(ValueError):
    """An env gave a value that is infinite or not a number."""


def check_experience(
    observations: Observations,
    rewards: np.ndarray | None = None,
    *,
    when: str,
    name: str = "observation",
    envs: Sequence[int] | None = None,
    normalizer: VecNormalize | None = None,
) -> None:
    """Raise ExperienceError if any value of a step is infinite or not a number.

    :param observations: a row per env
    :param rewards: a number per env
    :param when: in the message, when that was
    :param name: in the message, what the observations are
    :param envs: the envs that the rows are of; default all
    :param normalizer: what observations and rewards went through, if anything
    """
    parts = _parts(observations, rewards, name, "reward")
    if all(_is_finite(part) for _, part in parts):
        return
    if normalizer is not None:
        # running statistics spread one bad value over all envs: the guilty one shows in front of them
        original = None if rewards is None else normalizer.get_original_reward()
        parts = _parts(normalizer.get_original_obs(), original, name, "reward")
        parts += _parts(observations, rewards, f"normalised {name}", "normalised reward")
    what, part = next((what, part) for what, part in parts if not _is_finite(part))
    row, *place = np.argwhere(~np.isfinite(part))[0].tolist()
    env = row if envs is None else envs[row]
    raise ExperienceError(f"{what}{place or ''} of env {env} is {part[(row, *place)]} {when}; it was not learned from")


def one_row(observation: Observations) -> Observations:
    """One observation as a batch of one."""
    if isinstance(observation, dict):
        return {key: np.asarray(part)[None] for key, part in observation.items()}
    return np.asarray(observation)[None]


def _parts(
    observations: Observations, rewards: np.ndarray | None, name: str, reward: str
) -> list[tuple[str, np.ndarray]]:
    parts = [] if rewards is None else [(reward, rewards)]
    if isinstance(observations, dict):
        return parts + [(f"{name}[{key!r}]", part) for key, part in observations.items()]
    return [*parts, (name, observations)]


def _is_finite(array: np.ndarray) -> bool:
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())
