"""Files: a model, its parameters, its policy, with and without an env."""

import io
import pathlib
import warnings
from copy import deepcopy

import numpy as np
import pytest
import torch
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.envs import FakeImageEnv
from stable_baselines3.common.save_util import open_path
from stable_baselines3.common.utils import ConstantSchedule

from jamba_rl.rl import RecurrentPPO
from tests.rl.clock import OURS, Clock
from tests.rl.conformance.tiny import act, tiny

OBSERVATIONS = np.random.default_rng(0).normal(size=(2, 2)).astype(np.float32)


def clocks(n_envs=2):
    return make_vec_env(Clock, n_envs=n_envs, seed=0)


def same(one, two) -> bool:
    return one.keys() == two.keys() and all(torch.equal(value, two[name]) for name, value in one.items())


@pytest.mark.parametrize("policy", OURS)
@pytest.mark.parametrize("kwargs", [{}, {"shared_encoder": False}])
def test_a_model_survives_a_file_and_random_parameters(policy, kwargs, tmp_path):
    model = tiny(policy, clocks(), kwargs).learn(64)
    for given in (model.get_parameters(), tmp_path / "parameters"):
        if isinstance(given, pathlib.Path):
            model.save(given)
        original = deepcopy(model.policy.state_dict())
        random = {name: torch.rand_like(value) for name, value in original.items()}
        changed = deepcopy(model.get_parameters()) | {"policy": random}
        model.set_parameters(changed, exact_match=True)
        assert same(model.policy.state_dict(), random)
        actions = act(model, OBSERVATIONS)
        assert np.isfinite(actions).all()
        model.save(tmp_path / "model.zip")
        loaded = RecurrentPPO.load(str(tmp_path / "model.zip"), env=model.get_env(), device="cpu")
        assert same(loaded.policy.state_dict(), random)
        assert np.array_equal(act(loaded, OBSERVATIONS), actions)
        loaded.learn(64)
        model.set_parameters(given if isinstance(given, dict) else str(given), device="cpu")


def test_parameters_that_do_not_fit_are_refused():
    model = tiny("JambaPolicy", clocks())
    with pytest.raises(ValueError, match="invalid object name"):
        model.set_parameters({"no such thing": {}})
    with pytest.raises(ValueError, match="do not match"):
        model.set_parameters({"policy": model.policy.state_dict()}, exact_match=True)
    model.set_parameters({"policy": model.policy.state_dict()}, exact_match=False)


def test_optimizer_and_schedules_survive(tmp_path):
    model = tiny("JambaPolicy", clocks(), learning_rate=lambda remaining: remaining * 1e-3).learn(64)
    model.save(tmp_path / "model")
    loaded = RecurrentPPO.load(tmp_path / "model", device="cpu")
    ours, theirs = model.policy.optimizer.state_dict(), loaded.policy.optimizer.state_dict()
    assert ours["param_groups"] == theirs["param_groups"]
    for index, state in ours["state"].items():
        assert all(torch.equal(value, theirs["state"][index][name]) for name, value in state.items())
    assert loaded.lr_schedule(0.5) == 5e-4


def test_learning_after_a_file_is_learning_without_one(tmp_path):
    """Weights, optimizer, counters and the memory go on as if nothing had happened."""
    results = []
    for through_a_file in (False, True):
        venv = clocks()
        model = tiny("JambaPolicy", venv).learn(64)
        if through_a_file:
            model.save(tmp_path / "model")
            model = RecurrentPPO.load(tmp_path / "model", env=venv, device="cpu", force_reset=False)
        torch.manual_seed(1)
        model.learn(64, reset_num_timesteps=False)
        results.append(model.policy.state_dict())
    assert same(*results)


@pytest.mark.parametrize("kind", [str, pathlib.Path])
def test_paths_of_any_kind(kind, tmp_path):
    model = tiny("JambaPolicy", clocks())
    model.save(kind(tmp_path / "model"))
    loaded = RecurrentPPO.load(kind(tmp_path / "model"), device="cpu")
    assert np.array_equal(act(loaded, OBSERVATIONS), act(model, OBSERVATIONS))


def test_open_files(tmp_path):
    model = tiny("JambaPolicy", clocks())
    memory = io.BytesIO()
    model.save(memory)
    memory.seek(0)
    with open(tmp_path / "model.zip", "w+b") as file:
        model.save(file)
        file.seek(0)
        loaded = [RecurrentPPO.load(memory, device="cpu"), RecurrentPPO.load(file, device="cpu")]
    for other in loaded:
        assert np.array_equal(act(other, OBSERVATIONS), act(model, OBSERVATIONS))
    with open(tmp_path / "model.zip", "ab") as file, pytest.raises(ValueError, match="Expected a readable file"):
        RecurrentPPO.load(file)
    with open_path(tmp_path / "model", "r", suffix="zip") as file:
        RecurrentPPO.load(file, device="cpu")


def test_no_file_stays_open(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        model = tiny("JambaPolicy", clocks())
        model.save(tmp_path / "model")
        RecurrentPPO.load(tmp_path / "model", device="cpu")


def test_what_is_left_out_and_put_in(tmp_path):
    model = tiny("JambaPolicy", clocks(), verbose=0, n_epochs=7)
    model.save(tmp_path / "model", exclude=["n_epochs"])
    assert RecurrentPPO.load(tmp_path / "model", device="cpu").n_epochs == 10
    model.save(tmp_path / "model", exclude=["n_epochs"], include=["n_epochs"])
    assert RecurrentPPO.load(tmp_path / "model", device="cpu").n_epochs == 7


def test_what_is_given_on_loading_wins(tmp_path):
    model = tiny("JambaPolicy", clocks())
    model.save(tmp_path / "model")
    loaded = RecurrentPPO.load(tmp_path / "model", env=clocks(), device="cpu", n_steps=16, batch_size=16, warm_up=0.5)
    assert loaded.rollout_buffer.sequence_length == 16
    loaded.learn(32)
    with pytest.raises(ValueError, match="policy kwargs do not equal"):
        RecurrentPPO.load(tmp_path / "model", policy_kwargs={"network": {"pattern": "M"}})


@pytest.mark.parametrize("policy", OURS)
def test_an_env_is_set(policy):
    model = tiny(policy, clocks()).learn(64)
    other = clocks()
    model.set_env(other)
    assert model._last_obs is None
    model.learn(64, reset_num_timesteps=False)
    assert model.rollout_buffer.episode_starts[0].all()  # memory of the old env is forgotten
    model.set_env(model.get_env(), force_reset=False)
    assert model._last_obs is not None
    with pytest.raises(AssertionError, match="different number of environments"):
        model.set_env(clocks(3))
    alone = tiny(policy, Clock())
    alone.set_env(Clock())
    alone.learn(32)


@pytest.mark.parametrize("n_envs", [1, 3])
def test_a_model_loads_with_another_number_of_envs(n_envs, tmp_path):
    tiny("JambaPolicy", clocks(2)).learn(64).save(tmp_path / "model")
    for force_reset in (True, False):
        loaded = RecurrentPPO.load(tmp_path / "model", env=clocks(n_envs), device="cpu", force_reset=force_reset)
        assert [len(part) for part in loaded._last_state] == [n_envs] * len(loaded._last_state)
        assert not any(bool(part.any()) for part in loaded._last_state)
        loaded.learn(32 * n_envs, reset_num_timesteps=False)
        assert loaded.rollout_buffer.episode_starts[0].all()


def test_a_model_without_an_env_predicts_and_says_that_it_cannot_learn(tmp_path):
    model = tiny("JambaPolicy", clocks())
    model.save(tmp_path / "model")
    loaded = RecurrentPPO.load(tmp_path / "model", device="cpu")
    assert np.array_equal(act(loaded, OBSERVATIONS), act(model, OBSERVATIONS))
    with pytest.raises(AssertionError):
        loaded.learn(64)


def test_images_keep_their_wrapper(tmp_path):
    make = {"screen_height": 40, "screen_width": 40, "n_channels": 2, "channel_first": False}
    kwargs = {"features_extractor_kwargs": {"features_dim": 8}}
    model = tiny("CnnPolicy", FakeImageEnv(**make), kwargs).learn(32)
    image = model.get_env().reset()
    model.save(tmp_path / "model")
    loaded = RecurrentPPO.load(tmp_path / "model", env=FakeImageEnv(**make), device="cpu")
    assert np.array_equal(act(loaded, image), act(model, image))
    loaded.learn(32)


def test_an_old_file_without_our_later_options_loads(tmp_path):
    model = tiny("JambaPolicy", clocks())
    model.save(tmp_path / "model", exclude=["warm_up", "_last_state"])
    loaded = RecurrentPPO.load(tmp_path / "model", env=clocks(), device="cpu")
    assert loaded.warm_up == 0.0
    loaded.learn(64)


@pytest.mark.parametrize("use_sde", [False, True])
@pytest.mark.parametrize("policy", OURS)
def test_a_policy_survives_alone(policy, use_sde, tmp_path):
    model = tiny(policy, clocks(), use_sde=use_sde)
    weights = {name: torch.rand_like(value) for name, value in model.policy.state_dict().items()}
    model.policy.load_state_dict(weights)
    actions = act(model, OBSERVATIONS)
    model.policy.save(tmp_path / "policy.pkl")
    loaded = model.policy_class.load(tmp_path / "policy.pkl", device="cpu")
    assert np.array_equal(act(loaded, OBSERVATIONS), actions)


def test_schedules_are_of_plain_numbers(tmp_path):
    """numpy's numbers in a file would need numpy's own classes to be read."""
    model = tiny("JambaPolicy", clocks(), learning_rate=lambda _: np.sin(1.0), warm_up=0.1)
    assert type(model.lr_schedule(0.5)) is float
    model.save(tmp_path / "model")
    assert type(RecurrentPPO.load(tmp_path / "model", device="cpu").lr_schedule(0.5)) is float


def test_a_clip_range_is_changed_on_loading(tmp_path):
    tiny("JambaPolicy", clocks(), clip_range=0.2).save(tmp_path / "model")
    loaded = RecurrentPPO.load(tmp_path / "model", env=clocks(), device="cpu", clip_range=ConstantSchedule(0.1))
    assert loaded.learn(64).clip_range(0.5) == 0.1
