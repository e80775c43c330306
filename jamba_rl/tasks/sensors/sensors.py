"""Sensors of a batch of envs: what they did until now decides what they show next."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jamba_rl.tasks.sensors import transforms
from jamba_rl.tasks.sensors.rules import Rules

SALT = 0x5E45  # the sensors' chance is not the env's, though both are seeded with the same number


class Sensors:
    """The sensors of n envs, each with its own chance.

    In the order of nature: a measurement is noisy, may be stuck, arrives late, may be lost on the way; a cue is gone
    after its time; at last what is hidden is left out. What an env shows depends on its own seed and past alone, so
    one env behaves as it would among others.

    :param rules: what happens to measurements
    :param n: how many envs
    """

    def __init__(self, rules: Rules, n: int) -> None:
        size = rules.measured.shape[0]
        self.rules, self.size = rules, n
        self._dtype = rules.space.dtype
        self._uniforms = (
            size if rules.freezing else 0,
            1 if rules.lost_frames else 0,
            size if rules.lost_sensors else 0,
        )
        self._uniform = np.zeros((n, sum(self._uniforms)))
        self._normal = np.zeros((n, size if rules.noise is not None else 0))
        self._age = np.zeros(n, np.int64)
        self._held = np.zeros((n, size))
        self._left = np.zeros((n, size), np.int64)  # observations that a sensor will still be stuck
        self._late = np.zeros((n, rules.delay + 1, size))  # oldest first
        self.seed([None] * n)

    def seed(self, seeds: Sequence[int | None]) -> None:
        """Begin the chance of every env anew; None for any."""
        self._rngs = [np.random.default_rng(None if seed is None else [SALT, seed]) for seed in seeds]

    def begin(self, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Show the first measurements ``x`` (rows, size) of new episodes of some envs."""
        if not self.rules.only_selects:
            self._age[rows] = 0
            self._left[rows] = 0
            x = self._measure(x, rows)
            self._late[rows] = x[:, None]
            x = self._arrive(x, rows)
        return self._show(x)

    def observe(self, x: np.ndarray) -> np.ndarray:
        """Show the next measurements ``x`` (n, size) of all envs."""
        if not self.rules.only_selects:
            rows = np.arange(self.size)
            self._age += 1
            x = self._measure(x, rows)
            if self.rules.delay:
                self._late[:, :-1] = self._late[:, 1:]
                self._late[:, -1] = x
                x = self._late[:, 0]
            x = self._arrive(x, rows)
        return self._show(x)

    def _measure(self, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Draw this step's chance, and what becomes of measurements before they are sent."""
        rules = self.rules
        for i in rows.tolist():
            rng = self._rngs[i]
            if rules.noise is not None:
                rng.standard_normal(out=self._normal[i])
            rng.random(out=self._uniform[i])
        if rules.noise is not None:
            x = transforms.add_noise(x, rules.noise, self._normal[rows])
        return self._freeze(x, rows) if rules.freezing else x

    def _freeze(self, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        left, held = self._left[rows], self._held[rows]
        begins = (left == 0) & (self._uniform[rows, : self._uniforms[0]] < self.rules.freezing)
        held = np.where(begins, x, held)
        left = np.where(begins, self.rules.frozen_steps, left)
        x = transforms.hold(x, held, left > 0)
        self._left[rows], self._held[rows] = np.maximum(left - 1, 0), held
        return x

    def _arrive(self, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """What becomes of measurements on their way."""
        rules, (first, frames, _) = self.rules, self._uniforms
        if frames:
            x = transforms.lose(x, self._uniform[rows, first : first + 1] < rules.lost_frames)
        if rules.lost_sensors:
            x = transforms.lose(x, self._uniform[rows, first + frames :] < rules.lost_sensors)
        if rules.cue is not None:
            x = transforms.blink(x, rules.cue, self._age[rows], rules.cue_steps)
        return x

    def _show(self, x: np.ndarray) -> np.ndarray:
        return transforms.select(x, self.rules.kept).astype(self._dtype, copy=False)
