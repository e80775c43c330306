"""What the last steps of an episode look like to an algorithm that has no memory of its own.

A history is a dict, so that what may be normalised is apart from what may not (SB3's ``VecNormalize``
refuses to scale ``valid``; as a column among the observations it would be scaled in silence), and
SB3's buffers keep each part with its own type. Of ``length`` steps, oldest first, the present one last:

- ``history`` (length, obs): the observations
- ``actions`` (length, act): the action before each of them, about unit scale; optional
- ``valid`` (length,): 1 where there was a step; before the start of the episode all parts are 0

A window of a long episode is thus told apart from a young episode, and a real zero from no step.
The previous actions are there by default because an agent that carries its memory sees them too:
what a hidden part of the env does can be told only from what was done to it.
"""

from __future__ import annotations

from typing import Any, SupportsFloat

import gymnasium
import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn, VecEnvWrapper

from jamba_rl.rl.finite import check_experience

Rows = dict[str, np.ndarray]
"""Parts of a history by name."""


def is_history(space: spaces.Space) -> bool:
    """Whether observations are histories, as ``HistoryWrapper`` and ``VecHistory`` make them."""
    return isinstance(space, spaces.Dict) and {"history", "valid"} <= space.spaces.keys() <= {
        "history",
        "actions",
        "valid",
    }


def pushed(rows: Rows, newest: Rows) -> Rows:
    """New histories (n, length, ...) with ``newest`` (n, ...) at the end and the oldest step gone.

    >>> pushed({"history": np.array([[[1], [2], [3]]])}, {"history": np.array([[4]])})["history"].ravel()
    array([2, 3, 4])
    """
    return {key: np.concatenate([part[:, 1:], newest[key][:, None]], axis=1) for key, part in rows.items()}


class ActionNumbers:
    """Actions as numbers of about unit scale.

    Bounded Box: clipped to the bounds, scaled to [-1, 1]; unbounded Box: as it is; Discrete and
    MultiDiscrete: one-hot; MultiBinary: as it is.

    :param space: the action space
    :raises ValueError: there is no such form

    >>> ActionNumbers(spaces.Discrete(3))(np.array([2, 0]))
    array([[0., 0., 1.],
           [1., 0., 0.]], dtype=float32)
    """

    def __init__(self, space: spaces.Space) -> None:
        self.choices: list[int] = []
        self.start: np.ndarray | int = 0
        self.bounds: tuple[np.ndarray, np.ndarray] | None = None
        scale = 1.0
        if isinstance(space, spaces.Box):
            if np.isfinite(space.low).all() and np.isfinite(space.high).all():
                self.bounds = (space.low.ravel().astype(np.float32), space.high.ravel().astype(np.float32))
            else:
                scale = np.inf
        elif isinstance(space, spaces.Discrete):
            self.choices, self.start = [int(space.n)], int(space.start)
        elif isinstance(space, spaces.MultiDiscrete):
            self.choices, self.start = [int(n) for n in space.nvec.reshape(-1)], space.start.reshape(-1)
        elif not isinstance(space, spaces.MultiBinary):
            raise ValueError(f"actions {space} have no place in a history: set previous_action=False")
        size = sum(self.choices) or spaces.flatdim(space)
        self.space = spaces.Box(-scale, scale, (size,), np.float32)

    def __call__(self, actions: np.ndarray) -> np.ndarray:
        """Encode (n, ...) to (n, act)."""
        rows = np.reshape(actions, (len(actions), -1))
        if self.choices:
            places = rows - self.start
            eyes = (np.eye(n, dtype=np.float32)[places[:, i]] for i, n in enumerate(self.choices))
            return np.concatenate(list(eyes), axis=1)
        rows = rows.astype(np.float32)
        if self.bounds is None:
            return rows
        low, high = self.bounds
        size = np.where(high > low, high - low, np.float32(1))  # what cannot be chosen is -1 throughout
        return (np.clip(rows, low, high) - low) / size * np.float32(2) - np.float32(1)


class HistoryForm:
    """What histories of an env are made of, and how they grow; it keeps none itself.

    :param observation_space: of one observation
    :param action_space: of one action
    :param length: steps to keep, the present one included
    :param previous_action: keep the actions too
    :raises ValueError: the length is below 1, or observations or actions cannot be kept
    """

    def __init__(
        self, observation_space: spaces.Space, action_space: spaces.Space, length: int, previous_action: bool = True
    ) -> None:
        if isinstance(length, bool) or not isinstance(length, int | np.integer) or length < 1:
            raise ValueError(f"length must be a whole number above 0, the steps to look back on; was {length!r}")
        self.observations = _vector(observation_space)
        self.encode = ActionNumbers(action_space) if previous_action else None
        parts: dict[str, spaces.Space] = {"history": _repeated(self.observations, length)}
        if self.encode is not None:
            parts["actions"] = _repeated(self.encode.space, length)
        parts["valid"] = spaces.MultiBinary(int(length))
        self.space = spaces.Dict(parts)

    def begun(self, observations: np.ndarray) -> Rows:
        """Histories (n, length, ...) of episodes that begin with ``observations`` (n, obs)."""
        n = len(observations)
        empty = {key: np.zeros((n, *part.shape), part.dtype) for key, part in self.space.spaces.items()}  # type: ignore[misc]
        return pushed(empty, self._newest(observations, None))

    def continued(self, rows: Rows, actions: np.ndarray, observations: np.ndarray) -> Rows:
        """The same after ``actions`` (n, ...) were taken and ``observations`` (n, obs) seen."""
        return pushed(rows, self._newest(observations, actions))

    def _newest(self, observations: np.ndarray, actions: np.ndarray | None) -> Rows:
        n = len(observations)
        newest = {"history": np.asarray(observations, self.observations.dtype), "valid": np.ones(n, np.int8)}
        if self.encode is not None:
            nothing = np.zeros((n, *self.encode.space.shape), np.float32)
            newest["actions"] = nothing if actions is None else self.encode(actions)
        return newest


class HistoryWrapper(gymnasium.Wrapper, gymnasium.utils.RecordConstructorArgs):
    """Shows the last ``length`` observations instead of one.

    For SB3's algorithms, whose policies see one observation at a time; read by
    ``JambaFeaturesExtractor``. The form is described at the top of this module.

    :param env: an env whose observations are vectors
    :param length: steps to look back on, the present one included
    :param previous_action: show the actions too
    :raises ValueError: the length is below 1, or observations or actions cannot be kept; later, if an observation or
        reward is infinite or not a number

    >>> env = HistoryWrapper(gymnasium.make("CartPole-v1"), length=4)
    >>> env.reset(seed=0)[0]["valid"], env.step(1)[0]["valid"]
    (array([0, 0, 0, 1], dtype=int8), array([0, 0, 1, 1], dtype=int8))
    """

    def __init__(self, env: gymnasium.Env, length: int, previous_action: bool = True) -> None:
        gymnasium.utils.RecordConstructorArgs.__init__(self, length=length, previous_action=previous_action)
        gymnasium.Wrapper.__init__(self, env)
        self._form = HistoryForm(env.observation_space, env.action_space, length, previous_action)
        self._rows: Rows = {}
        self._steps = 0
        self.observation_space = self._form.space

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Rows, dict[str, Any]]:
        """Begin an episode, and its history."""
        observation, info = self.env.reset(seed=seed, options=options)
        check_experience(np.asarray(observation)[None], when="when an episode began")
        self._rows = self._form.begun(np.asarray(observation)[None])
        return _first(self._rows), info

    def step(self, action: Any) -> tuple[Rows, SupportsFloat, bool, bool, dict[str, Any]]:
        """Step, and add to the history."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._steps += 1
        check_experience(np.asarray(observation)[None], np.array([reward]), when=f"after {self._steps} steps")
        self._rows = self._form.continued(self._rows, np.asarray(action)[None], np.asarray(observation)[None])
        return _first(self._rows), reward, terminated, truncated, info


class VecHistory(VecEnvWrapper):
    """``HistoryWrapper`` for a ``VecEnv``; an episode's ``terminal_observation`` is a history too.

    :param venv: envs whose observations are vectors
    :param length: steps to look back on, the present one included
    :param previous_action: show the actions too
    :raises ValueError: the length is below 1, or observations or actions cannot be kept; later, if an observation or
        reward is infinite or not a number
    """

    def __init__(self, venv: VecEnv, length: int, previous_action: bool = True) -> None:
        self._form = HistoryForm(venv.observation_space, venv.action_space, length, previous_action)
        self._rows: Rows = {}
        self._steps = 0
        self._taken = np.empty(0)
        super().__init__(venv, observation_space=self._form.space)

    def reset(self) -> Rows:
        """Begin an episode in every env, and its history."""
        observations = self.venv.reset()
        assert isinstance(observations, np.ndarray)
        check_experience(observations, when="when an episode began")
        self._rows = self._form.begun(observations)
        return dict(self._rows)

    def step_async(self, actions: np.ndarray) -> None:
        """Start a step."""
        self._taken = np.array(actions)
        self.venv.step_async(actions)

    def step_wait(self) -> VecEnvStepReturn:
        """Finish a step, and add to the histories."""
        observations, rewards, dones, infos = self.venv.step_wait()
        assert isinstance(observations, np.ndarray)
        self._steps += 1
        check_experience(observations, rewards, when=f"after {self._steps} steps")
        before, self._rows = self._rows, self._form.continued(self._rows, self._taken, observations)
        for i in np.flatnonzero(dones).tolist():
            one = slice(i, i + 1)
            if "terminal_observation" in infos[i]:
                last = np.asarray(infos[i]["terminal_observation"])[None]
                check_experience(last, when="when an episode ended", name="terminal_observation", envs=[i])
                ended = {key: part[one] for key, part in before.items()}
                infos[i]["terminal_observation"] = _first(self._form.continued(ended, self._taken[one], last))
            for key, part in self._form.begun(observations[one]).items():
                self._rows[key][one] = part  # these arrays are of this step: nobody else holds them yet
        return dict(self._rows), rewards, dones, infos


def _first(rows: Rows) -> Rows:
    return {key: part[0] for key, part in rows.items()}


def _repeated(space: spaces.Box, length: int) -> spaces.Box:
    """``length`` rows of ``space``, any of which may be zeros instead."""
    low, high = np.minimum(space.low, 0), np.maximum(space.high, 0)
    return spaces.Box(np.tile(low, (length, 1)), np.tile(high, (length, 1)), dtype=space.dtype)


def _vector(space: spaces.Space) -> spaces.Box:
    """``space`` itself, if it is of vectors."""
    if isinstance(space, spaces.Box) and len(space.shape) == 1:
        return space
    if isinstance(space, spaces.Box) and len(space.shape) == 3:
        raise ValueError(f"a history is of vectors, not of images such as {space}: for these SB3 has VecFrameStack")
    if is_history(space):
        raise ValueError("this env shows its history already")
    raise ValueError(f"a history is of vectors, not of {space}: wrap the env in gymnasium's FlattenObservation first")
