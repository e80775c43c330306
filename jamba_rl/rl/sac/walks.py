"""Windows that follow one another on a tape, so that memory can be carried from one update to the next."""

from __future__ import annotations

import numpy as np


class Walks:
    """Where every row of a batch has come to: some windows along a tape, one an update, and then on elsewhere.

    Frames are numbered from the first that a tape ever had, so that a frame that was written over is known as gone.
    """

    def __init__(self) -> None:
        self.envs = np.zeros(0, np.int64)
        self.frames = np.zeros(0, np.int64)  # that the next windows begin with
        self.left = np.zeros(0, np.int64)  # windows until the next begins elsewhere

    def go_on(
        self, elsewhere: tuple[np.ndarray, np.ndarray], first: np.ndarray, count: np.ndarray, windows: int, length: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Where the next windows begin, and which of them do not follow on the last.

        :param elsewhere: tapes and frames (B,) for rows whose walk is over, or has come to the end of its tape
        :param first: of every tape, the frame that its first window begins with
        :param count: of every tape, how many windows there are
        :param windows: of a walk
        :param length: frames of a window
        :return: tapes and frames (B,), and (B,) bool
        """
        envs, frames = elsewhere
        if len(self.left) != len(envs):
            # the first walks are shorter, each by another length, so that not all end at once
            self.left = 1 + np.random.permutation(len(envs)) % windows  # noqa: NPY002 - SB3 seeds this generator
            anew = np.ones(len(envs), bool)
        else:
            age = self.frames - first[self.envs]
            anew = (self.left == 0) | (age < 0) | (age >= count[self.envs])
            envs, frames = np.where(anew, envs, self.envs), np.where(anew, frames, self.frames)
            self.left = np.where(anew, windows, self.left)
        self.envs, self.frames, self.left = envs, frames + length, self.left - 1
        return envs, frames, anew
