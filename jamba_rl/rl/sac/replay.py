"""Replay of experience as it happened: one tape per env, sampled as windows of consecutive steps."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import BaseBuffer, ReplayBuffer
from stable_baselines3.common.vec_env import VecNormalize
from torch import Tensor

from jamba_rl.nn import State
from jamba_rl.rl.sac.returns import CUT, STEP, TERMINATED, returns_of
from jamba_rl.rl.sac.walks import Places, Tapes, Walks
from jamba_rl.rl.sequences import Sequences

Frames = np.ndarray | dict[str, np.ndarray]
ALONE = ""  # key of observations that are no dict


class ReplayedSequences(NamedTuple):
    """B windows of L steps out of the replay, and the frame after each."""

    observations: Sequences
    """``context`` + L + 1 frames each; the state, before the L steps, is empty unless it was stored or left."""
    actions: Tensor
    """(B, L, action dimensions), scaled to [-1, 1]."""
    returns: Tensor
    """(B, L), the discounted rewards of up to ``n_steps`` steps."""
    ahead: Tensor
    """(B, L), how many those were: the value of the frame so far ahead belongs behind them."""
    discounts: Tensor
    """(B, L), what that value counts; 0 where the episode had ended by itself."""
    mask: Tensor
    """(B, L), whether to learn from a step: not in the burn-in, and not where an episode had ended."""


class SequenceReplayBuffer(ReplayBuffer):
    """SB3's replay buffer as a tape per env, on which each frame stands once.

    The last frame of an episode is on the tape too, between it and the next: what follows a frame is always the
    frame behind it, which takes half the memory of SB3's buffer. A tape is a ring, its oldest frames are written over.

    Steps must be added in order, as SB3 does. Where one does not follow from the one before it, such as in the middle
    of an episode after a pause, the episode before counts as cut.

    Arguments of SB3's buffer, and:

    :param sequence_length: steps to learn from per window
    :param burn_in: steps before them that only fill the memory
    :param n_steps: rewards until the value of a later frame stands for the rest
    :param gamma: discount of those rewards
    :param context: frames before a window that are only looked back on
    :param stored_state: windows begin where a state was kept, every ``sequence_length`` frames; see ``add_state``
    :param windows_in_a_row: so many batches a row follows its tape, window behind window, before it begins elsewhere
    :raises ValueError: a number is out of its bounds
    """

    def __init__(
        self,
        buffer_size: int,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        device: torch.device | str = "auto",
        n_envs: int = 1,
        optimize_memory_usage: bool = False,
        handle_timeout_termination: bool = True,
        *,
        sequence_length: int = 32,
        burn_in: int = 0,
        n_steps: int = 1,
        gamma: float = 0.99,
        context: int = 0,
        stored_state: bool = False,
        windows_in_a_row: int = 1,
    ) -> None:
        BaseBuffer.__init__(self, buffer_size, observation_space, action_space, device, n_envs)
        if optimize_memory_usage:
            raise ValueError("SequenceReplayBuffer keeps each frame once anyway: leave out optimize_memory_usage")
        for name, number, lowest in (
            ("sequence_length", sequence_length, 1),
            ("burn_in", burn_in, 0),
            ("n_steps", n_steps, 1),
            ("context", context, 0),
            ("windows_in_a_row", windows_in_a_row, 1),
        ):
            if isinstance(number, bool) or not isinstance(number, int) or number < lowest:
                raise ValueError(f"{name} must be a whole number, at least {lowest}, was {number!r}")
        self.sequence_length, self.burn_in, self.n_steps, self.gamma = sequence_length, burn_in, n_steps, gamma
        if windows_in_a_row > 1 and (burn_in or stored_state):
            raise ValueError(
                "windows_in_a_row carries the memory from window to window: leave out burn_in and stored_state"
            )
        self.context, self.stored_state, self.windows_in_a_row = context, stored_state, windows_in_a_row
        self.source: str | None = None  # the env, in files
        self.handle_timeout_termination = handle_timeout_termination
        self.optimize_memory_usage = False
        size = max(buffer_size // n_envs, 1) + 1  # and the frame after the newest step
        if stored_state:
            size += -size % sequence_length  # so that states stay where they are as the ring goes round
        self.buffer_size = size
        self.check_room()
        parts = observation_space.spaces if isinstance(observation_space, spaces.Dict) else {ALONE: observation_space}
        self.frames = {key: np.zeros((n_envs, size, *part.shape), part.dtype) for key, part in parts.items()}  # type: ignore[misc]
        self.actions = np.zeros((n_envs, size, self.action_dim), np.float32)
        self.rewards = np.zeros((n_envs, size), np.float32)
        self.kinds = np.zeros((n_envs, size), np.uint8)
        self.begins = np.zeros((n_envs, size), bool)
        self.reset()

    def check_room(self) -> None:
        """Raise ValueError if no window could ever be on a tape."""
        needed = self.length + (self.sequence_length if self.stored_state else 0)
        if self.buffer_size <= needed:
            raise ValueError(
                f"the replay has room for {self.buffer_size - 1} steps of each of {self.n_envs} envs; "
                f"a window needs {needed}"
            )

    @property
    def length(self) -> int:
        """Steps of a window, with those that only fill the memory."""
        return self.burn_in + self.sequence_length

    def reset(self) -> None:
        """Empty the tapes."""
        super().reset()
        self.heads = np.zeros(self.n_envs, np.int64)  # where the next frame goes
        self.counts = np.zeros(self.n_envs, np.int64)  # frames before it
        self.written = np.zeros(self.n_envs, np.int64)  # frames there ever were
        self.walks = Walks()
        self.open = np.zeros(self.n_envs, bool)  # whether the frame after the newest step is at the head
        self.states: list[np.ndarray] = []  # of each part, (n_envs, buffer_size / sequence_length, ...)
        self._state: tuple[np.ndarray, ...] = ()

    def __getstate__(self) -> dict[str, Any]:
        """Leave out of files what was never written."""
        found = dict(self.__dict__)
        used = self.buffer_size if (self.counts != self.heads).any() else int(self.heads.max()) + 1
        for name in ("actions", "rewards", "kinds", "begins"):
            found[name] = found[name][:, :used]
        found["frames"] = {key: part[:, :used] for key, part in self.frames.items()}
        found["states"] = [part[:, : used // self.sequence_length + 1] for part in self.states]
        return found

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for name in ("actions", "rewards", "kinds", "begins"):
            setattr(self, name, _grown(getattr(self, name), self.buffer_size))
        self.frames = {key: _grown(part, self.buffer_size) for key, part in self.frames.items()}
        self.states = [_grown(part, self.buffer_size // self.sequence_length) for part in self.states]

    def size(self) -> int:
        """Return the number of frames on the shortest tape."""
        return int(self.counts.min())

    def cut(self, envs: np.ndarray) -> None:
        """End the episodes of some envs, (n_envs,) bool: what is added next does not follow.

        It shows by itself where the next frame is another than was expected, which frames of few values need not be.
        """
        self._end(np.flatnonzero(self.open & envs), np.full(self.n_envs, CUT))

    def add_state(self, state: tuple[np.ndarray, ...]) -> None:
        """Keep what is remembered before the step that is added next, if windows begin there.

        :param state: arrays with a row per env
        """
        if not self.states:
            places = self.buffer_size // self.sequence_length
            self.states = [np.zeros((self.n_envs, places, *part.shape[1:]), part.dtype) for part in state]
        self._state = state

    def add(
        self,
        obs: Frames,
        next_obs: Frames,
        action: np.ndarray,
        reward: np.ndarray,
        done: np.ndarray,
        infos: list[dict[str, Any]],
    ) -> None:
        """Add one step of every env."""
        everyone, done = np.arange(self.n_envs), np.asarray(done, bool)
        now, after = self._rows(obs), self._rows(next_obs)
        follows = self.open & self._at_head(now)
        self.cut(~follows)
        self._write(now)
        self._write_state()
        self.actions[everyone, self.heads] = np.reshape(action, (self.n_envs, -1))
        self.rewards[everyone, self.heads] = reward
        self.kinds[everyone, self.heads] = STEP
        self.begins[everyone, self.heads] = ~follows
        self._advance(everyone)
        self._write(after)
        self.begins[everyone, self.heads] = False
        self.open[:] = True
        by_time = np.array([info.get("TimeLimit.truncated", False) for info in infos], bool)
        self._end(np.flatnonzero(done), np.where(by_time & self.handle_timeout_termination, CUT, TERMINATED))

    @property
    def ready(self) -> bool:
        """Whether there is a window to sample."""
        return bool(self._starts()[1].any())

    def sample(self, batch_size: int, env: VecNormalize | None = None) -> ReplayedSequences:  # type: ignore[override]
        """Sample windows, normalised by ``env``: each as likely as any other, or behind those of the batch before.

        :param batch_size: steps to read, in windows of ``burn_in + sequence_length``, one at least
        :raises ValueError: no tape is as long as a window
        """
        start, count = self._starts()
        if not count.any():
            raise ValueError(f"a window has {self.length} steps and the replay holds {self.size()} yet")
        envs, first = self._anywhere(max(batch_size // self.length, 1), start, count)
        state = self._stored(envs, first)
        if self.windows_in_a_row > 1:
            gone = self.written - self.counts  # frames that were written over
            places, tapes = Places(envs, gone[envs] + first), Tapes(gone + start, count)
            envs, frames = self.walks.go_on(places, tapes, self.windows_in_a_row, self.length + 1)
            first, state = frames - gone[envs], self.walks.take(self.device)
        return self._windows(envs, first, state, env)

    def _anywhere(self, rows: int, start: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Tapes and ages of the frames that so many windows begin with, each as likely as any other."""
        # SB3 seeds this generator
        chosen = np.random.randint(0, count.sum(), size=rows)  # noqa: NPY002
        ends = count.cumsum()
        envs = np.searchsorted(ends, chosen, side="right")
        return envs, start[envs] + (chosen - (ends - count)[envs]) * self._stride

    def _windows(
        self, envs: np.ndarray, first: np.ndarray, state: State, env: VecNormalize | None
    ) -> ReplayedSequences:
        """Windows of tapes ``envs`` (B,) that begin with the ``first``-oldest frames (B,)."""
        oldest, c = (self.heads - self.counts)[envs], self.context
        ages = np.maximum(first[:, None] + np.arange(-c, self.length + 1), 0)
        places = (oldest[:, None] + ages) % self.buffer_size
        at = (envs[:, None], places)
        resets, kinds = self.begins[at], self.kinds[at][:, c:]
        # the frame at the head is no step yet
        kinds = np.where(self.open[envs][:, None] & (places[:, c:] == self.heads[envs][:, None]), CUT, kinds)
        resets[first < max(c, 1), c] = True  # of what was before the oldest frame nobody knows
        previous = self.actions[envs[:, None], places - 1]
        previous[resets] = 0.0
        frames = {key: part[at].reshape(-1, *part.shape[2:]) for key, part in self.frames.items()}
        seen = self._normalize_obs(frames.get(ALONE, frames), env)
        observations = (
            {key: self.to_torch(part) for key, part in seen.items()} if isinstance(seen, dict) else self.to_torch(seen)
        )
        rewards = self._normalize_reward(self.rewards[at][:, c:-1], env)
        returns, ahead, discounts = returns_of(rewards, kinds, self.n_steps, self.gamma)
        mask = (kinds[:, :-1] == STEP) & (np.arange(self.length) >= self.burn_in)
        return ReplayedSequences(
            Sequences(observations, self.to_torch(previous), self.to_torch(resets), state),
            self.to_torch(self.actions[at][:, c:-1]),
            *map(self.to_torch, (returns, ahead, discounts, mask)),
        )

    @property
    def _stride(self) -> int:
        """Frames from the start of a window to that of the next."""
        return self.sequence_length if self.stored_state else 1

    def _starts(self) -> tuple[np.ndarray, np.ndarray]:
        """Of each tape, which of its frames the first window begins with, and how many windows there are."""
        oldest = self.heads - self.counts
        start = -oldest % self._stride
        room = self.counts + self.open - self.length - start
        return start, np.maximum(-(-room // self._stride), 0)

    def _stored(self, envs: np.ndarray, first: np.ndarray) -> State:
        places = ((self.heads - self.counts)[envs] + first) % self.buffer_size
        return tuple(self.to_torch(part[envs, places // self.sequence_length]) for part in self.states)

    def _rows(self, obs: Frames) -> dict[str, np.ndarray]:
        parts = obs if isinstance(obs, dict) else {ALONE: obs}
        return {key: np.asarray(part).reshape(self.n_envs, *self.frames[key].shape[2:]) for key, part in parts.items()}

    def _at_head(self, rows: dict[str, np.ndarray]) -> np.ndarray:
        """Whether these are the frames at the heads, (n_envs,)."""
        everyone = np.arange(self.n_envs)
        same = [
            (self.frames[key][everyone, self.heads] == part.astype(self.frames[key].dtype))
            .reshape(self.n_envs, -1)
            .all(1)
            for key, part in rows.items()
        ]
        found: np.ndarray = np.logical_and.reduce(same)
        return found

    def _write(self, rows: dict[str, np.ndarray]) -> None:
        for key, part in rows.items():
            self.frames[key][np.arange(self.n_envs), self.heads] = part

    def _end(self, envs: np.ndarray, kinds: np.ndarray) -> None:
        """Make the frames at the heads of some tapes the last of their episodes."""
        at = (envs, self.heads[envs])
        self.kinds[at] = kinds[envs]
        self.actions[at], self.rewards[at] = 0.0, 0.0
        self.open[envs] = False
        self._advance(envs)

    def _write_state(self) -> None:
        """Keep the state of the envs whose head is where windows begin; of frames that end an episode it is unknown."""
        envs = np.flatnonzero(self.heads % self.sequence_length == 0)
        for kept, part in zip(self.states, self._state, strict=True):
            kept[envs, self.heads[envs] // self.sequence_length] = part[envs]

    def _advance(self, envs: np.ndarray) -> None:
        self.heads[envs] = (self.heads[envs] + 1) % self.buffer_size
        self.counts[envs] = np.minimum(self.counts[envs] + 1, self.buffer_size - 1)
        self.written[envs] += 1


def _grown(array: np.ndarray, size: int) -> np.ndarray:
    """Arrays (n_envs, used, ...) with room for ``size``."""
    if array.shape[1] >= size:
        return np.ascontiguousarray(array[:, :size])
    room = np.zeros((array.shape[0], size, *array.shape[2:]), array.dtype)
    room[:, : array.shape[1]] = array
    return room
