"""HistoryReplayBuffer: the samples of SB3's buffer, at a fraction of its memory."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st
from stable_baselines3.common.buffers import DictReplayBuffer
from stable_baselines3.common.vec_env import DummyVecEnv

from jamba_rl.rl import HistoryReplayBuffer, VecHistory, VecHistoryNormalize
from tests.rl.window.test_history import Clock


def make(kind: type[DictReplayBuffer], venv: VecHistory, size: int, **kwargs) -> DictReplayBuffer:
    return kind(size, venv.observation_space, venv.action_space, "cpu", n_envs=venv.num_envs, **kwargs)


def clocks(ages: list[int], truncate: bool = False) -> DummyVecEnv:
    return DummyVecEnv([lambda age=age: Clock(age, truncate) for age in ages])


def play(venv, buffers: list[DictReplayBuffer], steps: int, seed: int = 0, first=None) -> dict[str, np.ndarray]:
    """Random steps, stored as SB3 stores them; return the last observation."""
    rng = np.random.default_rng(seed)
    obs = venv.reset() if first is None else first
    for _ in range(steps):
        actions = rng.uniform(-2, 2, (venv.num_envs, 1)).astype(np.float32)
        new, rewards, dones, infos = venv.step(actions)
        after = {key: part.copy() for key, part in new.items()}
        for i in np.flatnonzero(dones):
            for key, part in after.items():
                part[i] = infos[i]["terminal_observation"][key]
        for buffer in buffers:
            buffer.add(obs, after, actions / 2, rewards, dones, infos)
        obs = new
    return obs


def samples(buffer: DictReplayBuffer, steps: np.ndarray, env=None) -> dict[str, np.ndarray]:
    """Samples at these steps, of envs that depend on the seed alone."""
    np.random.seed(0)  # noqa: NPY002
    found = buffer._get_samples(steps, env)
    parts = {f"before {key}": part for key, part in found.observations.items()}
    parts |= {f"after {key}": part for key, part in found.next_observations.items()}
    return parts | {"action": found.actions, "reward": found.rewards, "done": found.dones}


def assert_same_samples(ours: DictReplayBuffer, naive: DictReplayBuffer, steps: np.ndarray, env=None) -> None:
    expected = samples(naive, steps, env)
    for key, part in samples(ours, steps, env).items():
        assert part.dtype == expected[key].dtype
        np.testing.assert_allclose(part, expected[key], atol=1e-5 if env is not None else 0, err_msg=key)


@settings(deadline=None, max_examples=60)
@given(
    length=st.integers(1, 6),
    ages=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    size=st.integers(1, 12),
    steps=st.integers(1, 50),
    truncate=st.booleans(),
    timeouts=st.booleans(),
)
def test_samples_are_those_of_sb3s_buffer(length, ages, size, steps, truncate, timeouts) -> None:
    """For episodes of any lengths, several envs, and rings that were written over many times."""
    venv = VecHistory(clocks(ages, truncate), length)
    ours = make(HistoryReplayBuffer, venv, size * len(ages), handle_timeout_termination=timeouts)
    assert ours.buffer_size == size + length - 1
    naive = make(DictReplayBuffer, venv, ours.buffer_size * len(ages), handle_timeout_termination=timeouts)
    play(venv, [ours, naive], steps)
    possible = np.arange(min(steps, size))
    newest_first = (ours.pos - 1 - possible) % ours.buffer_size
    assert_same_samples(ours, naive, np.repeat(newest_first, 4))

    drawn = []
    ours._get_samples = lambda steps, env: drawn.extend(steps)  # type: ignore[method-assign]
    ours.sample(1000)
    within = min(steps, ours.buffer_size) if not ours.full else size
    assert set(drawn) == {(ours.pos - 1 - i) % ours.buffer_size for i in range(within)}


def test_samples_are_normalised_as_sb3_does() -> None:
    venv = VecHistoryNormalize(VecHistory(clocks([4, 7]), 5), clip_obs=100.0)
    play(venv, [], 30)
    raw = VecHistory(clocks([4, 7]), 5)
    ours, naive = make(HistoryReplayBuffer, raw, 40), make(DictReplayBuffer, raw, 48)
    play(raw, [ours, naive], 100)
    assert_same_samples(ours, naive, (ours.pos - 1 - np.arange(20)) % ours.buffer_size, venv)
    normalised = samples(ours, np.array([ours.pos - 1]), venv)["before history"]
    assert abs(normalised[..., 0]).max() < 3  # the step, up to 7; the number of the episode is far beyond what was seen


@pytest.mark.parametrize("length", [8, 32])
def test_memory_is_a_fraction_of_sb3s(length: int) -> None:
    venv = DummyVecEnv([lambda: Clock()])
    venv.observation_space = spaces.Box(-1, 1, (17,), np.float32)
    histories = VecHistory(venv, length)

    def size(buffer: DictReplayBuffer) -> int:
        arrays = [
            *buffer.observations.values(),
            *buffer.next_observations.values(),
            getattr(buffer, "ages", np.empty(0)),
        ]
        return sum(array.nbytes for array in arrays)

    ours, naive = (size(make(kind, histories, 5000)) for kind in (HistoryReplayBuffer, DictReplayBuffer))
    assert ours < 1.1 * naive / length


def test_a_history_begins_where_steps_are_missing() -> None:
    """As after a pause in the middle of an episode: what was not kept is not made up."""
    venv = VecHistory(clocks([100]), 4)
    buffer = make(HistoryReplayBuffer, venv, 50)
    last = play(venv, [], 10)
    last = play(venv, [buffer], 3, first=last)
    assert buffer.ages[:3].ravel().tolist() == [1, 2, 3]
    last = play(venv, [], 2, first=last)
    play(venv, [buffer], 5, first=last)
    assert buffer.ages[3:8].ravel().tolist() == [1, 2, 3, 4, 4]
    found = samples(buffer, np.array([4]))
    assert found["before history"][0, :, 0].tolist() == [0, 0, 15, 16]
    assert found["before valid"][0].tolist() == [0, 0, 1, 1]
    assert found["after history"][0, :, 0].tolist() == [0, 15, 16, 17]
    assert found["after valid"][0].tolist() == [0, 1, 1, 1]


def test_what_it_cannot_keep_is_refused() -> None:
    venv = VecHistory(clocks([5]), 4)
    with pytest.raises(ValueError, match="HistoryWrapper"):
        HistoryReplayBuffer(10, spaces.Dict({"a": spaces.Box(-1, 1, (2,))}), venv.action_space)
    with pytest.raises(ValueError, match="optimize_memory_usage"):
        make(HistoryReplayBuffer, venv, 10, optimize_memory_usage=True)
    buffer = make(HistoryReplayBuffer, venv, 10)
    single = np.zeros((1, 2), np.float32)
    with pytest.raises(ValueError, match="VecHistoryNormalize around VecHistory"):
        buffer.add(single, single, np.zeros((1, 1)), np.zeros(1), np.zeros(1), [{}])
