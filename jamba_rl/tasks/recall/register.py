"""The recall games that have a gymnasium id."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec

from jamba_rl import catalogue
from jamba_rl.catalogue import UserError
from jamba_rl.tasks.recall.cue import Cue
from jamba_rl.tasks.recall.env import RecallEnv
from jamba_rl.tasks.recall.game import Game
from jamba_rl.tasks.recall.parity import Parity
from jamba_rl.tasks.recall.repeat_previous import RepeatPrevious
from jamba_rl.tasks.recall.tmaze import TMaze

KINDS: dict[str, type] = {kind.__name__: kind for kind in (Cue, Parity, RepeatPrevious, TMaze)}
GAMES: tuple[Game, ...] = (
    Cue(50),
    Cue(200),
    Parity(50),
    RepeatPrevious(4, decks=1),  # POPGym's Easy, Medium and Hard
    RepeatPrevious(32, decks=2),
    RepeatPrevious(64, decks=3),
    RepeatPrevious(256, decks=8),
    TMaze(50),
    TMaze(100),
    TMaze(500),
)


def register() -> None:
    """Make gymnasium know the games; what it knows already stays."""
    for game in GAMES:
        spec = env_spec(game)
        if spec.id not in gymnasium.registry:
            gymnasium.register(spec.id, spec.entry_point, kwargs=spec.kwargs)


def env_spec(game: Game) -> EnvSpec:
    """What gymnasium makes a game of; it can do so without an entry in its registry.

    >>> gymnasium.make(env_spec(TMaze(length=7))).unwrapped.game
    TMaze(length=7)
    """
    assert dataclasses.is_dataclass(game)
    kind, arguments = type(game).__name__, dataclasses.asdict(game)
    first = next(iter(arguments.values()))
    return EnvSpec(f"jamba_rl/{kind}{first}-v0", entry_point=f"{__name__}:make", kwargs={"kind": kind, **arguments})


def make(kind: str, render_mode: None = None, **kwargs: Any) -> RecallEnv:
    """Make the env of a game, as gymnasium's entry point."""
    if render_mode is not None:
        raise UserError(f"render_mode must be None, there is nothing to see, was {render_mode!r}")
    return RecallEnv(_game(kind, kwargs))


def recall_game(base: str, kwargs: Mapping[str, Any]) -> Game | None:
    """The game behind a gymnasium id; None if the id is not one of ours.

    :param kwargs: what ``gymnasium.make`` would be given with the id
    :raises UserError: if the game does not take them

    >>> recall_game("jamba_rl/TMaze50-v0", {"length": 70})
    TMaze(length=70)
    """
    games = {env_spec(game).id: game for game in GAMES}
    game = games.get(base.rpartition(":")[2])
    if game is None:
        return None
    return _game(type(game).__name__, {**vars(game), **kwargs})


def _game(kind: str, kwargs: Mapping[str, Any]) -> Game:
    known = [field.name for field in dataclasses.fields(KINDS[kind])]
    for name in kwargs:
        if name not in known:
            raise catalogue.unknown(f"argument of {kind}", name, known)
    return KINDS[kind](**kwargs)
