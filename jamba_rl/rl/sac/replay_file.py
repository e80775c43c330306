"""Experience out of a file: it has to be that of the same env, and whole."""

from __future__ import annotations

import io
import pathlib
import pickle
import textwrap
from typing import Any

from stable_baselines3.common.save_util import open_path
from stable_baselines3.common.vec_env import VecEnv

from jamba_rl.rl.sac.replay import SequenceReplayBuffer
from jamba_rl.rl.sac.walks import Walks


def env_name(venv: VecEnv | None) -> str | None:
    """The gymnasium id of envs; None if they have none."""
    try:
        spec = None if venv is None else venv.get_attr("spec")[0]
    except AttributeError:
        return None
    return None if spec is None else spec.id


def load_replay(
    path: str | pathlib.Path | io.BufferedIOBase, present: SequenceReplayBuffer, source: str | None
) -> SequenceReplayBuffer:
    """Load a buffer that takes the place of the present one.

    :param path: what ``save_replay_buffer`` wrote
    :param source: the gymnasium id of the env, if it has one
    :raises ValueError: if it cannot be read, or is of something else; names what
    """
    try:
        loaded = _unpickled(path)
    except Exception as error:  # a damaged pickle may raise anything
        raise ValueError(f"replay {_name(path)} cannot be read: {_reason(error)}") from error
    if not isinstance(loaded, SequenceReplayBuffer):
        raise ValueError(f"replay {_name(path)} holds a {type(loaded).__name__} and no SequenceReplayBuffer")
    wanted = _described(present) | {"env": source or loaded.source}
    for what, found in (_described(loaded) | {"env": loaded.source or source}).items():
        if found != wanted[what]:
            raise ValueError(f"replay {_name(path)} is of {what} {found}, and this agent of {wanted[what]}")
    for option in ("device", "sequence_length", "burn_in", "n_steps", "gamma", "context", "windows_in_a_row"):
        setattr(loaded, option, getattr(present, option))
    if _shapes(loaded.walks) != _shapes(present.walks):
        loaded.walks = present.walks  # it was read by another network
    try:
        loaded.check_room()
    except ValueError as error:
        raise ValueError(f"replay {_name(path)} is too small: {error}") from None
    return loaded


def _unpickled(path: str | pathlib.Path | io.BufferedIOBase) -> Any:
    """SB3's ``load_from_pkl``, which leaves a damaged file open."""
    if not isinstance(path, str | pathlib.Path):
        return pickle.load(path)
    with open_path(path, "r", suffix="pkl") as file:
        return pickle.load(file)


def _described(buffer: SequenceReplayBuffer) -> dict[str, Any]:
    """What must be the same for experience to be of use."""
    found = {
        "observations": buffer.observation_space,
        "actions": buffer.action_space,
        "n_envs": buffer.n_envs,
        "stored_state": buffer.stored_state,
    }
    if buffer.stored_state:  # they stand where windows of this length begin
        shapes = [part.shape[2:] for part in buffer.states]
        found |= {"sequence_length": buffer.sequence_length, "states of shapes": shapes}
    return found


def _shapes(walks: Walks) -> list[tuple[int, ...]]:
    return [part.shape[1:] for part in walks.left]


def _name(path: str | pathlib.Path | io.BufferedIOBase) -> str:
    return str(path) if isinstance(path, str | pathlib.Path) else str(getattr(path, "name", "stream"))


def _reason(error: Exception) -> str:
    reason = error.strerror if isinstance(error, OSError) else None
    return reason or textwrap.shorten(str(error), 160) or type(error).__name__
