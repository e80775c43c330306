"""What a task says of its sensors, in observation numbers of its env."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from gymnasium import spaces

from jamba_rl.catalogue import UserError
from jamba_rl.tasks.sensors.parts import numbers_of
from jamba_rl.tasks.sensors.seen import Seen


@dataclass(frozen=True)
class Rules:
    """How measurements (size,) become observations.

    :ivar measured: space of the measurements
    :ivar space: space of the observations
    :ivar kept: numbers that are seen
    :ivar noise: (size,) standard deviations; None for none
    :ivar lost_frames: probability that a whole frame is lost
    :ivar lost_sensors: probability that one sensor's measurement is lost
    :ivar freezing: probability that a sensor freezes, at each step
    :ivar frozen_steps: for how many observations it then shows the same
    :ivar delay: steps until a measurement arrives
    :ivar cue: (size,) bool, what is only seen in the first ``cue_steps`` observations; None for nothing
    """

    measured: spaces.Box
    space: spaces.Box
    kept: tuple[int, ...]
    noise: np.ndarray | None
    lost_frames: float
    lost_sensors: float
    freezing: float
    frozen_steps: int
    delay: int
    cue: np.ndarray | None
    cue_steps: int

    @property
    def only_selects(self) -> bool:
        """Whether observations are some of the measurements, and nothing else happens to them."""
        chance = self.lost_frames or self.lost_sensors or self.freezing
        return self.noise is None and not chance and not self.delay and self.cue is None


def rules_of(seen: Seen, env_id: str, space: spaces.Space) -> Rules | None:
    """Rules for an env; None where everything is seen as it is.

    :raises UserError: one line naming the key, if they do not fit its observations
    """
    if not seen.changes:
        return None
    numbers_of((), next(iter(seen.changes)), env_id, space)
    assert isinstance(space, spaces.Box)
    size = space.shape[0]
    cue = None
    if seen.cue is not None:
        cue = _mask(numbers_of(seen.cue.shown, "cue.shown", env_id, space), size)
    noise = _noise(seen.noise, env_id, space)
    loses = bool(seen.dropout.frames or seen.dropout.sensors)
    kept = _kept(seen, env_id, space)
    return Rules(
        measured=space,
        space=_space(space, kept, noise, np.full(size, True) if loses else cue),
        kept=tuple(kept),
        noise=noise,
        lost_frames=seen.dropout.frames,
        lost_sensors=seen.dropout.sensors,
        freezing=seen.freeze.probability if seen.freeze else 0.0,
        frozen_steps=seen.freeze.steps if seen.freeze else 1,
        delay=seen.delay,
        cue=cue,
        cue_steps=seen.cue.steps if seen.cue else 0,
    )


def _kept(seen: Seen, env_id: str, space: spaces.Box) -> list[int]:
    if seen.hide and seen.keep is not None:
        raise UserError("keep: say what to keep or what to hide, not both")
    size = space.shape[0]
    if seen.keep is not None:
        kept = numbers_of(seen.keep, "keep", env_id, space)
    else:
        hidden = numbers_of(seen.hide, "hide", env_id, space)
        kept = [number for number in range(size) if number not in hidden]
    if not kept:
        key = "hide" if seen.keep is None else "keep"
        raise UserError(f"{key}: nothing of {env_id} would be left to see")
    return kept


def _noise(noise: float | Mapping[str, float], env_id: str, space: spaces.Box) -> np.ndarray | None:
    deviations = np.zeros(space.shape)
    if isinstance(noise, Mapping):
        for part, deviation in noise.items():
            found = [int(part)] if part.isdecimal() else [part]
            deviations[numbers_of(found, "noise", env_id, space)] = deviation
    else:
        deviations[:] = noise
    return deviations if deviations.any() else None


def _space(space: spaces.Box, kept: list[int], noise: np.ndarray | None, lost: np.ndarray | None) -> spaces.Box:
    """Where observations lie: with noise anywhere, and what is lost is zero."""
    low, high = space.low.copy(), space.high.copy()
    if noise is not None:
        low[noise > 0.0], high[noise > 0.0] = -np.inf, np.inf
    if lost is not None:
        low[lost], high[lost] = np.minimum(low[lost], 0.0), np.maximum(high[lost], 0.0)
    return spaces.Box(low[kept], high[kept], dtype=space.dtype.type)


def _mask(numbers: list[int], size: int) -> np.ndarray:
    mask = np.zeros(size, bool)
    mask[numbers] = True
    return mask
