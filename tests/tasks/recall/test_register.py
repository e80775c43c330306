from __future__ import annotations

import re

import gymnasium
import pytest
from gymnasium.utils.env_checker import check_env as gymnasiums_check
from stable_baselines3.common.env_checker import check_env as sb3s_check

from jamba_rl import catalogue
from jamba_rl.tasks import load_task
from jamba_rl.tasks.recall import Game, RecallEnv, RecallVecEnv, recall_game, register
from jamba_rl.tasks.recall.cue import Cue
from jamba_rl.tasks.recall.parity import Parity
from jamba_rl.tasks.recall.register import GAMES, env_spec
from jamba_rl.tasks.recall.repeat_previous import RepeatPrevious
from jamba_rl.tasks.recall.tmaze import TMaze

every_game = pytest.mark.parametrize("game", GAMES, ids=str)
TASKS = {
    "cue-50": Cue(50),
    "cue-200": Cue(200),
    "parity-50": Parity(50),
    "repeat-previous-4": RepeatPrevious(4, decks=1),
    "repeat-previous-32": RepeatPrevious(32, decks=2),
    "repeat-previous-64": RepeatPrevious(64, decks=3),
    "repeat-previous-256": RepeatPrevious(256, decks=8),
    "tmaze-50": TMaze(50),
    "tmaze-100": TMaze(100),
    "tmaze-500": TMaze(500),
}


@every_game
def test_every_game_is_registered_without_a_time_limit_of_gymnasiums(game: Game) -> None:
    spec = gymnasium.spec(env_spec(game).id)
    assert spec.max_episode_steps is None
    env = gymnasium.make(spec.id)
    assert isinstance(env.unwrapped, RecallEnv)
    assert env.unwrapped.game == game
    assert env.spec.id == spec.id


@every_game
def test_every_game_passes_the_checks_of_gymnasium_and_sb3(game: Game) -> None:
    env = gymnasium.make(env_spec(game).id, disable_env_checker=True).unwrapped
    gymnasiums_check(env, skip_render_check=True)
    sb3s_check(env)


def test_registering_again_changes_nothing() -> None:
    before = dict(gymnasium.registry)
    register()
    assert dict(gymnasium.registry) == before


def test_ids_name_what_is_recalled() -> None:
    ids = {env_spec(game).id for game in GAMES}
    assert {"jamba_rl/RepeatPrevious4-v0", "jamba_rl/TMaze50-v0", "jamba_rl/Cue50-v0", "jamba_rl/Parity50-v0"} <= ids
    assert len(ids) == len(GAMES)


@pytest.mark.parametrize(
    ("base", "kwargs", "game"),
    [
        ("jamba_rl/TMaze50-v0", {"length": 70}, TMaze(70)),
        ("jamba_rl/RepeatPrevious32-v0", {}, RepeatPrevious(32, decks=2)),
        ("jamba_rl/RepeatPrevious4-v0", {"lag": 60, "decks": 2}, RepeatPrevious(60, decks=2)),
        ("jamba_rl.tasks.recall:jamba_rl/Cue50-v0", {"delay": 3}, Cue(3)),
    ],
)
def test_arguments_change_the_game_in_gymnasium_and_in_batches_alike(base: str, kwargs: dict, game: Game) -> None:
    assert recall_game(base, kwargs) == game
    env = gymnasium.make(base, **kwargs)
    assert env.unwrapped.game == game
    env.reset(seed=0)
    for step in range(1, game.steps + 1):
        assert env.step(0)[2:4] == (step == game.steps, False)


def test_any_other_id_is_no_game() -> None:
    for base in ("Pendulum-v1", "jamba_rl/TMaze51-v0", "TMaze50-v0", "popgym-RepeatPreviousEasy-v0"):
        assert recall_game(base, {"length": 0}) is None


@pytest.mark.parametrize(
    ("base", "kwargs", "said"),
    [
        ("TMaze50", {"length": 0}, "length must be a whole number of at least 1, was 0"),
        ("TMaze50", {"length": True}, "length must be a whole number of at least 1, was True"),
        ("Parity50", {"length": "50"}, "length must be a whole number of at least 1, was '50'"),
        ("Cue50", {"delay": -3}, "delay must be a whole number of at least 1, was -3"),
        ("RepeatPrevious4", {"lag": 4.0}, "lag must be a whole number of at least 1, was 4.0"),
        ("RepeatPrevious4", {"decks": 0}, "decks must be a whole number of at least 1, was 0"),
        ("RepeatPrevious4", {"lag": 51}, "lag must be less than the 51 steps of decks=1, was 51"),
        ("RepeatPrevious32", {"lag": 104}, "lag must be less than the 103 steps of decks=2, was 104"),
        ("TMaze50", {"lenght": 5}, "unknown argument of TMaze 'lenght'; did you mean 'length'"),
    ],
)
def test_arguments_that_make_no_game_are_refused_in_one_line(base: str, kwargs: dict, said: str) -> None:
    base = f"jamba_rl/{base}-v0"
    for made in (lambda: gymnasium.make(base, **kwargs), lambda: recall_game(base, kwargs)):
        with pytest.raises(ValueError, match=re.escape(said)) as caught:
            made()
        assert "\n" not in str(caught.value)


def test_there_is_nothing_to_render() -> None:
    assert gymnasium.make("jamba_rl/Cue50-v0", render_mode=None).render_mode is None
    with pytest.raises(ValueError, match="render_mode must be None"):
        gymnasium.make("jamba_rl/Cue50-v0", render_mode="rgb_array")


def test_the_spec_of_a_batch_makes_its_game() -> None:
    spec = RecallVecEnv(RepeatPrevious(9, decks=3), 2).get_attr("spec")[0]
    assert spec.id not in gymnasium.registry
    assert gymnasium.make(spec).unwrapped.game == RepeatPrevious(9, decks=3)
    assert gymnasium.make(type(spec).from_json(spec.to_json())).unwrapped.game == RepeatPrevious(9, decks=3)


@pytest.mark.parametrize("name", TASKS)
def test_every_task_is_the_game_of_its_name(name: str) -> None:
    task = load_task(name)
    game = recall_game(task.base, task.kwargs)
    assert game == TASKS[name]
    assert load_task(task.base).protocol == task.protocol
    # a rollout is at least as long as what is to be recalled, up to a few hundred steps
    assert task.protocol.ppo.n_steps >= min(int(name.rpartition("-")[2]), 256)


def test_every_recall_task_is_tested() -> None:
    bases = {name: catalogue.load(catalogue.find("envs", name))["base"] for name in catalogue.names("envs")}
    games = {env_spec(game).id for game in GAMES}
    assert {name for name, base in bases.items() if base in games} == set(TASKS)
