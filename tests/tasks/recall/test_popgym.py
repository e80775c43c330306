from __future__ import annotations

import sys

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3.common.env_checker import check_env

from jamba_rl.catalogue import UserError
from jamba_rl.tasks.recall.popgym import FlatTuple, flattened, import_popgym

DECKS = {4: ("Easy", 1), 32: ("Medium", 2), 64: ("Hard", 3)}


class Nested(gymnasium.Env):
    """Observations of every kind of part."""

    observation_space = spaces.Tuple(
        (
            spaces.Discrete(3),
            spaces.Dict({"far": spaces.Box(-2.0, 2.0, (2,)), "kind": spaces.MultiDiscrete([2, 3])}),
            spaces.MultiBinary(2),
        )
    )
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        parts = {"far": np.array([0.5, -1.5], np.float32), "kind": np.array([1, 0])}
        return (2, parts, np.array([1, 0], np.int8)), {}

    def step(self, action):
        return self.reset()[0], 0.0, False, False, {}


def test_parts_become_one_vector_numbers_as_they_are_and_choices_one_hot() -> None:
    env = FlatTuple(Nested())
    observation, _ = env.reset()
    assert observation.tolist() == [0, 0, 1, 0.5, -1.5, 0, 1, 1, 0, 0, 1, 0]
    assert observation.dtype == np.float32
    assert env.observation_space.contains(observation)
    assert env.observation_space.low.tolist() == [0, 0, 0, -2, -2, *[0] * 7]
    assert env.observation_space.high.tolist() == [1, 1, 1, 2, 2, *[1] * 7]
    check_env(env)


def test_only_what_sb3_cannot_take_is_flattened() -> None:
    assert isinstance(flattened(Nested()), FlatTuple)
    for space in (
        spaces.Discrete(3),
        spaces.MultiDiscrete([2, 3]),
        spaces.Box(0, 1, (2,)),
        spaces.Dict({"a": spaces.Discrete(2), "b": spaces.Box(0, 1, (3,))}),
    ):
        env = Nested()
        env.observation_space = space
        assert flattened(env) is env
    env = Nested()
    env.observation_space = spaces.Dict({"inner": spaces.Dict({"a": spaces.Discrete(2)})})
    assert flattened(env).observation_space.shape == (2,)


def test_parts_without_a_fixed_number_are_refused() -> None:
    env = Nested()
    env.observation_space = spaces.Tuple((spaces.Sequence(spaces.Discrete(2)),))
    with pytest.raises(UserError, match="do not make one vector"):
        FlatTuple(env)


def test_other_ids_are_not_popgyms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "popgym", None)  # importing it would fail
    assert not import_popgym("Pendulum-v1")
    assert not import_popgym("jamba_rl/RepeatPrevious4-v0")


@pytest.mark.parametrize("env_id", ["popgym-AutoencodeEasy-v0", "popgym:popgym-AutoencodeEasy-v0"])
def test_without_the_package_one_line_says_how_to_get_it(env_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "popgym", None)
    with pytest.raises(UserError, match="needs the package popgym: pip install popgym"):
        import_popgym(env_id)


@pytest.mark.parametrize(
    "name", ["AutoencodeEasy", "RepeatPreviousEasy", "BattleshipEasy", "ConcentrationEasy", "PositionOnlyPendulumEasy"]
)
def test_popgyms_envs_can_be_taken_by_sb3(name: str) -> None:
    assert import_popgym(f"popgym-{name}-v0")
    env = flattened(gymnasium.make(f"popgym-{name}-v0"))
    assert isinstance(env, FlatTuple) == (name == "AutoencodeEasy")
    check_env(env, warn=False)


@pytest.mark.parametrize("lag", DECKS)
def test_repeat_previous_is_popgyms_card_for_card(lag: int) -> None:
    level, _ = DECKS[lag]
    assert import_popgym(f"popgym-RepeatPrevious{level}-v0")
    ours, theirs = (
        gymnasium.make(f"jamba_rl/RepeatPrevious{lag}-v0"),
        gymnasium.make(f"popgym-RepeatPrevious{level}-v0"),
    )
    assert (ours.observation_space, ours.action_space) == (theirs.observation_space, theirs.action_space)
    generator = np.random.default_rng(0)
    for seed in (3, None, None):  # the second and third episode go on from the first
        shown = [ours.reset(seed=seed)[0]]
        assert theirs.reset(seed=seed)[0] == shown[0]
        done, total = False, 0.0
        while not done:
            right = shown[-lag] if len(shown) >= lag else 0
            action = int(right) if seed == 3 or generator.random() < 0.5 else int(generator.integers(4))
            observation, reward, terminated, truncated, _ = ours.step(action)
            expected = theirs.step(action)
            assert (observation, terminated, truncated) == (expected[0], expected[2], expected[3])
            assert reward == pytest.approx(expected[1], rel=1e-6)
            shown.append(observation)
            total, done = total + reward, terminated
        if seed == 3:
            assert total == pytest.approx(1.0, rel=1e-5)  # the oracle's, on both
