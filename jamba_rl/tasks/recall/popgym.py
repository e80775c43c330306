"""POPGym's own envs (Morad et al. 2023, arXiv 2303.01859), in a form that SB3 can take."""

from __future__ import annotations

import importlib
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from jamba_rl.catalogue import UserError


def import_popgym(env_id: str) -> bool:
    """Import the package if a gymnasium id is one of its own, which registers the id.

    :return: whether it is
    :raises UserError: if the package is not installed

    >>> import_popgym("CartPole-v1")
    False
    """
    if not env_id.rpartition(":")[2].startswith("popgym-"):
        return False
    try:
        importlib.import_module("popgym")
    except ImportError as error:
        raise UserError(f"env {env_id!r} needs the package popgym: pip install popgym") from error
    return True


class FlatTuple(gymnasium.ObservationWrapper, gymnasium.utils.RecordConstructorArgs):
    """Observations of several parts as one vector: numbers as they are, choices one-hot; float32.

    Unlike gymnasium's ``FlattenObservation`` it has one dtype whatever the parts have, so that networks
    take it as any other vector.

    :raises UserError: if the parts have no fixed number
    """

    def __init__(self, env: gymnasium.Env) -> None:
        gymnasium.utils.RecordConstructorArgs.__init__(self)
        gymnasium.ObservationWrapper.__init__(self, env)
        flat = spaces.flatten_space(env.observation_space)
        if not isinstance(flat, spaces.Box):
            raise UserError(f"observations {env.observation_space} do not make one vector")
        self.observation_space = spaces.Box(flat.low.astype(np.float32), flat.high.astype(np.float32))

    def observation(self, observation: Any) -> np.ndarray:
        """Flatten one observation."""
        return np.asarray(spaces.flatten(self.env.observation_space, observation), np.float32)


def flattened(env: gymnasium.Env) -> gymnasium.Env:
    """The env itself, or in `FlatTuple` where its observations are a tuple, or one inside the other.

    >>> flattened(gymnasium.make("CartPole-v1")).observation_space.shape
    (4,)
    """
    space = env.observation_space
    parts = space.spaces.values() if isinstance(space, spaces.Dict) else [space]
    return FlatTuple(env) if any(isinstance(part, (spaces.Dict, spaces.Tuple)) for part in parts) else env
