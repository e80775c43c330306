"""What a recall game is: its rules, over many copies at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from gymnasium import spaces

from jamba_rl.catalogue import UserError


class Game(ABC):
    """Rules, which hold no state: an env keeps what was dealt to each copy, its episode, and the time in it.

    All chance is in ``deal``, so that a copy shows the same alone and among others. Every episode
    lasts ``steps`` steps and ends by termination. N is the number of copies. Games are dataclasses,
    whose first field is the one that their gymnasium id names.
    """

    observation_space: ClassVar[spaces.Space]  # of one copy
    action_space: ClassVar[spaces.Discrete]

    @property
    @abstractmethod
    def steps(self) -> int:
        """Steps of an episode."""

    @abstractmethod
    def deal(self, generator: np.random.Generator) -> np.ndarray:
        """Draw all that is random in an episode of one copy: integers, always of the same shape."""

    @abstractmethod
    def observe(self, episodes: np.ndarray, times: np.ndarray) -> np.ndarray:
        """What is seen, in a new array (N, ...).

        :param episodes: what was dealt to each copy (N, ...)
        :param times: steps since its reset (N,), 0 to ``steps``
        """

    @abstractmethod
    def play(self, episodes: np.ndarray, times: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """Rewards of actions, float32 (N,); what actions change is written into ``episodes``.

        :param times: steps since the reset at which the actions were chosen (N,), 0 to ``steps`` - 1
        """


def check_count(name: str, value: object) -> None:
    """Refuse what is no whole number from 1 up.

    >>> check_count("length", 0)
    Traceback (most recent call last):
    jamba_rl.catalogue.UserError: length must be a whole number of at least 1, was 0
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UserError(f"{name} must be a whole number of at least 1, was {value!r}")
