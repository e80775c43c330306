"""Windows that follow one another on a tape, with the memory that one leaves to the next."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from jamba_rl.nn import State
from jamba_rl.nn.mixer import keep


class Places(NamedTuple):
    """Where the windows of a batch begin."""

    envs: np.ndarray
    """(B,), whose tapes they are on."""
    frames: np.ndarray
    """(B,)."""


class Tapes(NamedTuple):
    """Where windows can begin, (n_envs,) each."""

    first: np.ndarray
    """Frames."""
    counts: np.ndarray
    """How many, from there on."""


class Walks:
    """Where every row of a batch has come to: some windows along a tape, one an update, and then on elsewhere.

    Frames are numbered from the first that a tape ever had, so that a frame that was written over is known as gone.
    """

    def __init__(self) -> None:
        self.next = Places(np.zeros(0, np.int64), np.zeros(0, np.int64))
        self.ahead = np.zeros(0, np.int64)  # windows until the next begins elsewhere
        self.anew = np.zeros(0, bool)  # whether the present ones follow on none
        self.left: tuple[np.ndarray, ...] = ()

    def leave(self, state: tuple[np.ndarray, ...]) -> None:
        """Keep what is remembered after the windows of the last batch, for those that follow on them.

        :param state: arrays with a row per window
        """
        self.left = state

    def go_on(self, elsewhere: Places, tapes: Tapes, windows: int, length: int) -> Places:
        """Where the next windows begin.

        :param elsewhere: for rows whose walk is over, or has come to the end of its tape; for all of them, if the last
            batch has left nothing, or had another number of rows
        :param windows: of a walk
        :param length: frames of a window
        """
        rows = len(elsewhere.envs)
        if len(self.ahead) != rows or any(len(part) != rows for part in self.left):
            # the first walks are shorter, each by another length, so that not all end at once
            self.ahead = 1 + np.random.permutation(rows) % windows  # noqa: NPY002 - SB3 seeds this generator
            self.anew, now = np.ones(rows, bool), elsewhere
        else:
            age = self.next.frames - tapes.first[self.next.envs]
            self.anew = (self.ahead == 0) | (age < 0) | (age >= tapes.counts[self.next.envs])
            self.ahead = np.where(self.anew, windows, self.ahead)
            now = Places(*(np.where(self.anew, *either) for either in zip(elsewhere, self.next, strict=True)))
        self.next, self.ahead = Places(now.envs, now.frames + length), self.ahead - 1
        return now

    def take(self, device: torch.device) -> State:
        """What was left to the present windows, empty in rows that begin anew; nothing if all of them do."""
        left, self.left = self.left, tuple(part[:0] for part in self.left)
        if self.anew.all():
            return ()
        anew = torch.as_tensor(self.anew, device=device)
        return tuple(keep(torch.as_tensor(part, device=device), anew) for part in left)
