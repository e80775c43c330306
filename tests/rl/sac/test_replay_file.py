"""A replay out of a file is whole and of the same env, or it is refused and the one that was there stays."""

import pickle
from typing import ClassVar

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3 import SAC
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv

from jamba_rl.rl import RecurrentSAC
from tests.rl.noise import Noise
from tests.rl.sac.tiny import clocks, tiny


def agent(env="Pendulum-v1", policy="GruPolicy", options=None, **kwargs):
    return tiny(policy, env, options, gradient_steps=0, **kwargs)


class Named(Noise):
    metadata: ClassVar = {"render_modes": ["rgb_array"]}
    render_mode = None

    def __init__(self, render_mode=None):
        super().__init__()


@pytest.fixture
def file(tmp_path):
    agent(stored_state=True).learn(48).save_replay_buffer(tmp_path / "replay")
    return tmp_path / "replay.pkl"


def refused(model, path, message):
    before, heads = model.replay_buffer, model.replay_buffer.heads.copy()
    with pytest.raises(ValueError, match=message):
        model.load_replay_buffer(path)
    assert model.replay_buffer is before
    assert np.array_equal(before.heads, heads)
    model.learn(16)  # goes on as before


def test_it_comes_back_as_it_was(file):
    model = agent(stored_state=True)
    model.load_replay_buffer(file.with_suffix(""))
    again = agent(stored_state=True).learn(48).replay_buffer
    assert model.replay_buffer.size() == again.size() == 48
    assert model.replay_buffer.buffer_size == again.buffer_size
    for name in ("actions", "rewards", "kinds", "begins"):
        assert np.array_equal(getattr(model.replay_buffer, name), getattr(again, name))
    assert np.array_equal(model.replay_buffer.frames[""], again.frames[""])
    for one, two in zip(model.replay_buffer.states, again.states, strict=True):
        assert np.array_equal(one, two)
    model.learn(600)  # once around
    assert model.replay_buffer.size() == 503


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: agent(Noise(), stored_state=True), r"is of observations Box.*\(3,\).*, and this agent of Box"),
        (lambda: agent(DummyVecEnv([lambda: gym.make("Pendulum-v1")] * 2), stored_state=True),
         "is of n_envs 1, and this agent of 2"),
        (lambda: agent(stored_state=False), "is of stored_state True, and this agent of False"),
        (lambda: agent(stored_state=True, sequence_length=8), "is of sequence_length 4, and this agent of 8"),
    ],
)  # fmt: skip
def test_experience_of_another_kind_is_refused(make, message, file):
    refused(make(), file, rf"^replay .*replay\.pkl {message}")


def test_the_env_is_told_by_its_name_where_spaces_are_the_same(tmp_path):
    gym.register("TestNoiseA-v0", Named)
    gym.register("TestNoiseB-v0", Named)
    try:
        agent("TestNoiseA-v0").learn(16).save_replay_buffer(tmp_path / "a")
        refused(agent("TestNoiseB-v0"), tmp_path / "a", "is of env TestNoiseA-v0, and this agent of TestNoiseB-v0")
        nameless = agent(Noise())  # nobody knows
        nameless.load_replay_buffer(tmp_path / "a")
        assert nameless.replay_buffer.size() == 17
    finally:
        del gym.registry["TestNoiseA-v0"], gym.registry["TestNoiseB-v0"]


def test_actions_of_another_space_are_refused(tmp_path):
    agent(Noise(actions=spaces.Box(-1, 1, (2,)))).learn(16).save_replay_buffer(tmp_path / "replay")
    refused(agent(Noise(actions=spaces.Box(-2, 1, (2,)))), tmp_path / "replay", "is of actions Box")


@pytest.mark.parametrize(
    ("policy", "options"),
    [
        ("GruPolicy", {"network": {"pattern": "G", "d_model": 16}}),
        ("GruPolicy", {"shared_encoder": True}),
        ("MlpPolicy", {}),
    ],
)
def test_states_of_another_network_are_refused(policy, options, file):
    refused(agent(policy=policy, options=options, stored_state=True), file, "state")


def test_tapes_that_hold_no_window_are_refused(tmp_path):
    """Training would wait for ever."""
    agent(buffer_size=10).learn(16).save_replay_buffer(tmp_path / "replay")
    model = agent(sequence_length=16, batch_size=16)
    refused(model, tmp_path / "replay", r"replay .*replay is too small: .* 10 steps .* a window needs 16")


def test_a_damaged_file_is_refused(file):
    content = file.read_bytes()
    for rest in (content[: len(content) // 2], content[:-1], b"", b"no pickle at all"):
        file.write_bytes(rest)
        refused(agent(stored_state=True), file, r"^replay .*replay\.pkl cannot be read: ")
    file.write_bytes(content)
    agent(stored_state=True).load_replay_buffer(file)


def test_a_missing_file_is_named(tmp_path):
    refused(agent(), tmp_path / "nowhere", r"^replay .*nowhere cannot be read: No such file or directory")


def test_a_replay_of_others_is_refused(tmp_path):
    SAC("MlpPolicy", "Pendulum-v1", buffer_size=50, device="cpu").save_replay_buffer(tmp_path / "replay")
    refused(agent(), tmp_path / "replay", r"holds a ReplayBuffer and no SequenceReplayBuffer")
    (tmp_path / "list.pkl").write_bytes(pickle.dumps([1, 2]))
    refused(agent(), tmp_path / "list", r"holds a list and no SequenceReplayBuffer")


def test_how_windows_are_read_is_the_agents_own_affair(tmp_path):
    agent().learn(48).save_replay_buffer(tmp_path / "replay")
    given = {"sequence_length": 8, "burn_in": 2, "n_steps": 3, "gamma": 0.5}
    model = agent(batch_size=10, **given)
    model.load_replay_buffer(tmp_path / "replay")
    assert {name: getattr(model.replay_buffer, name) for name in given} == given
    assert model.replay_buffer.sample(30).actions.shape == (3, 10, 1)


def test_what_was_never_written_takes_no_room(tmp_path):
    sizes = []
    for buffer_size in (500, 50_000):
        model = agent(buffer_size=buffer_size, stored_state=True).learn(48)
        model.save_replay_buffer(tmp_path / "replay")
        sizes.append((tmp_path / "replay.pkl").stat().st_size)
        assert model.replay_buffer.actions.shape[1] >= buffer_size  # the one in use keeps its room
    assert sizes[0] == pytest.approx(sizes[1], abs=64)
    assert sizes[1] < 30_000


@pytest.mark.parametrize("steps", [48, 64, 480, 512, 1104])
def test_a_file_changes_nothing_wherever_the_head_is(steps, tmp_path):
    """Sampled windows are the same before and after, and so is what is written next."""
    model = agent(clocks(), buffer_size=512, stored_state=True).learn(steps)
    model.save_replay_buffer(tmp_path / "replay")
    other = agent(clocks(), buffer_size=512, stored_state=True)
    other.load_replay_buffer(tmp_path / "replay")
    samples = []
    for buffer in (model.replay_buffer, other.replay_buffer):
        np.random.seed(3)  # noqa: NPY002
        samples.append(buffer.sample(64))
    for one, two in zip(samples[0][1:], samples[1][1:], strict=True):
        assert one.equal(two)
    assert samples[0].observations.observations.equal(samples[1].observations.observations)
    for one, two in zip(samples[0].observations.state, samples[1].observations.state, strict=True):
        assert one.equal(two)


def test_names_come_from_other_processes_too(tmp_path):
    venv = SubprocVecEnv([lambda: gym.make("Pendulum-v1")])
    try:
        agent(venv).learn(16).save_replay_buffer(tmp_path / "replay")
    finally:
        venv.close()
    refused(agent("MountainCarContinuous-v0"), tmp_path / "replay", "is of observations")
    loaded = RecurrentSAC("GruPolicy", "Pendulum-v1", buffer_size=500, device="cpu")
    loaded.load_replay_buffer(tmp_path / "replay")
