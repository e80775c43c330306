"""Files of agents: a model, its parameters, its policy; training goes on as if nothing had happened."""

import copy
import io
import pathlib
import random
import warnings

import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3.common.noise import OrnsteinUhlenbeckActionNoise
from stable_baselines3.common.vec_env import DummyVecEnv

from jamba_rl.rl import RecurrentSAC
from tests.rl.clock import OURS, Clock
from tests.rl.conformance.tiny import act
from tests.rl.sac.tiny import clocks, same, tiny, weights

ROWS = np.random.default_rng(0).normal(size=(2, 2)).astype(np.float32)


def generators(state=None):
    """What all random generators stand at; or put them there."""
    if state is None:
        return random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    random.setstate(state[0])
    np.random.set_state(state[1])  # noqa: NPY002
    torch.set_rng_state(state[2])
    return state


def through_files(model, folder) -> RecurrentSAC:
    """The same agent out of files, in the same envs."""
    state, venv = generators(), model.get_env()
    model.seed = None  # else SB3 seeds the space of actions again
    model.save(folder / "model")
    model.save_replay_buffer(folder / "replay")
    loaded = RecurrentSAC.load(folder / "model", env=venv, device="cpu", force_reset=False)
    loaded.load_replay_buffer(folder / "replay")
    generators(state)
    return loaded


@pytest.mark.parametrize("policy", OURS)
@pytest.mark.parametrize("options", [{}, {"shared_encoder": True}])
def test_a_model_survives_a_file_and_random_parameters(policy, options, tmp_path):
    model = tiny(policy, clocks(), options).learn(64)
    given = copy.deepcopy(model.get_parameters())
    assert {"policy", "actor.optimizer", "critic.optimizer", "ent_coef_optimizer"} == given.keys()
    changed = {name: torch.rand_like(value) for name, value in model.policy.state_dict().items()}
    if options or model.policy.observation_change:  # under two names, one and the same
        model.policy.load_state_dict(changed)
        changed = weights(model)
    model.set_parameters(given | {"policy": changed}, exact_match=True)
    assert same(weights(model), changed)
    actions = act(model, ROWS)
    model.save(tmp_path / "model.zip")
    loaded = RecurrentSAC.load(str(tmp_path / "model.zip"), env=model.get_env(), device="cpu")
    assert same(weights(loaded), changed)
    assert np.array_equal(act(loaded, ROWS), actions)
    loaded.learn(64)
    model.set_parameters(given, device="cpu")


CONTINUED = [
    ("JambaPolicy", {}, {}),
    ("GruPolicy", {"shared_encoder": True}, {"stored_state": True, "burn_in": 2}),
    ("LstmPolicy", {"frames": 2}, {"stored_state": True, "learning_rate": lambda left: 1e-2 * left}),
    ("MlpPolicy", {}, {"ent_coef": 0.2, "n_steps": 3}),
    ("SSMPolicy", {"encoder_learning_rate_ratio": 0.3}, {"buffer_size": 60, "ent_coef": "auto_0.1"}),
    ("MambaPolicy", {}, {"use_sde": True}),
    ("AttentionPolicy", {}, {"learning_starts": 90}),
]


@pytest.mark.parametrize(("policy", "options", "kwargs"), CONTINUED)
def test_learning_after_a_file_is_learning_without_one(policy, options, kwargs, tmp_path):
    """Weights, optimizers, counters, schedules, the memory, the replay: bit for bit."""
    results = []
    for file in (False, True):
        noise = OrnsteinUhlenbeckActionNoise(np.zeros(1), 0.1 * np.ones(1))
        model = tiny(policy, clocks(), options, action_noise=noise, **kwargs).learn(72)
        model = through_files(model, tmp_path) if file else model
        model.policy.reset_noise() if kwargs.get("use_sde") and not file else None
        torch.manual_seed(5)
        results.append(model.learn(72, reset_num_timesteps=False))
    one, two = results
    assert same(weights(one), weights(two))
    for name in ("num_timesteps", "_n_updates", "_episode_num", "_current_progress_remaining"):
        assert getattr(one, name) == getattr(two, name)
    assert one._n_updates > 0
    assert one.num_timesteps == 160  # whole rounds of sixteen
    for a, b in zip(one._last_state, two._last_state, strict=True):
        assert torch.equal(a, b)
    for name in ("actions", "rewards", "kinds", "begins", "heads", "counts", "open"):
        assert np.array_equal(getattr(one.replay_buffer, name), getattr(two.replay_buffer, name))
    for a, b in zip(one.replay_buffer.states, two.replay_buffer.states, strict=True):
        assert np.array_equal(a, b)
    assert np.array_equal(one.replay_buffer.frames[""], two.replay_buffer.frames[""])
    parameters = [model.get_parameters() for model in results]
    for name in parameters[0].keys() - {"policy"}:
        assert parameters[0][name]["param_groups"] == parameters[1][name]["param_groups"]
        for index, state in parameters[0][name]["state"].items():
            assert all(torch.equal(value, parameters[1][name]["state"][index][key]) for key, value in state.items())
    if one.log_ent_coef is not None:
        assert torch.equal(one.log_ent_coef, two.log_ent_coef)


def test_a_new_env_starts_the_memory_anew(tmp_path):
    model = tiny("JambaPolicy", clocks()).learn(72)
    assert any(bool(part.any()) for part in model._last_state)
    through_files(model, tmp_path)
    loaded = RecurrentSAC.load(tmp_path / "model", env=clocks(), device="cpu", learning_starts=10**6)
    loaded.load_replay_buffer(tmp_path / "replay")
    tape, heads = loaded.replay_buffer, loaded.replay_buffer.heads.copy()
    loaded.learn(8, reset_num_timesteps=False)
    for i, head in enumerate(heads):
        begin = head + int(np.argmax(tape.begins[i, head : head + 2]))
        assert tape.begins[i, begin]
        assert tape.frames[""][i, begin].tolist() == [0, 1]
        assert tape.kinds[i, begin - 1] == 2  # cut


@pytest.mark.parametrize("n_envs", [1, 3])
@pytest.mark.parametrize("stored_state", [False, True])
def test_a_model_loads_with_another_number_of_envs(n_envs, stored_state, tmp_path):
    tiny("JambaPolicy", clocks(2), stored_state=stored_state).learn(64).save(tmp_path / "model")
    for force_reset in (True, False):
        loaded = RecurrentSAC.load(tmp_path / "model", env=clocks(n_envs), device="cpu", force_reset=force_reset)
        assert {len(part) for part in loaded._last_state} == {n_envs}
        assert not any(bool(part.any()) for part in loaded._last_state)
        loaded.learn(48 * n_envs, reset_num_timesteps=False)
        assert loaded.replay_buffer.begins[:, 0].all()
        assert loaded._n_updates > 12


def test_a_model_without_an_env_predicts_and_says_that_it_cannot_learn(tmp_path):
    model = tiny("JambaPolicy", clocks()).learn(64)
    model.save(tmp_path / "model")
    loaded = RecurrentSAC.load(tmp_path / "model", device="cpu")
    assert np.array_equal(act(loaded, ROWS), act(model, ROWS))
    with pytest.raises(AssertionError):
        loaded.learn(64)
    loaded.set_env(clocks())
    assert loaded.learn(64).num_timesteps == 64


def test_paths_and_open_files(tmp_path):
    model, memory = tiny("JambaPolicy", clocks()), io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        for path in (str(tmp_path / "one"), pathlib.Path(tmp_path / "two"), memory):
            model.save(path)
            memory.seek(0)
            loaded = RecurrentSAC.load(path, device="cpu")
            assert np.array_equal(act(loaded, ROWS), act(model, ROWS))


def test_saving_leaves_the_agent_as_it_is(tmp_path):
    model = tiny("JambaPolicy", clocks(), stored_state=True).learn(72)
    before = [part.clone() for part in model._last_state]
    model.save(tmp_path / "model")
    with pytest.raises(OSError, match=r"exists|irectory"):
        model.save(tmp_path / "model.zip" / "below")
    assert all(torch.equal(a, b) for a, b in zip(model._last_state, before, strict=True))


def test_what_is_given_on_loading_wins(tmp_path):
    model = tiny("JambaPolicy", clocks(), stored_state=True).learn(64)
    model.save(tmp_path / "model", exclude=["_last_state", "tau"])
    given = {"sequence_length": 6, "burn_in": 1, "stored_state": False, "n_steps": 3, "gamma": 0.5}
    loaded = RecurrentSAC.load(tmp_path / "model", env=clocks(), device="cpu", **given)
    assert {name: getattr(loaded.replay_buffer, name) for name in given} == given
    assert loaded.tau == 0.005
    loaded.learn(64)
    with pytest.raises(ValueError, match="policy kwargs do not equal"):
        RecurrentSAC.load(tmp_path / "model", policy_kwargs={"network": {"pattern": "M"}})


def test_an_env_is_set():
    model = tiny("JambaPolicy", clocks()).learn(72)
    model.set_env(clocks())
    assert model._last_obs is None
    head = model.replay_buffer.heads.copy()
    model.learn(8, reset_num_timesteps=False)
    assert model.replay_buffer.begins[0, head[0] : head[0] + 2].any()
    with pytest.raises(AssertionError, match="different number of environments"):
        model.set_env(clocks(3))


class Wider(Clock):
    observation_space = spaces.Box(-9, 9, (3,))


def test_an_env_with_other_spaces_is_refused(tmp_path):
    model = tiny("JambaPolicy", clocks(1))
    model.save(tmp_path / "model")
    for use in (model.set_env, lambda env: RecurrentSAC.load(tmp_path / "model", env=env)):
        with pytest.raises(ValueError, match="Observation spaces do not match"):
            use(DummyVecEnv([Wider]))


@pytest.mark.parametrize("use_sde", [False, True])
@pytest.mark.parametrize("policy", OURS)
def test_a_policy_survives_alone(policy, use_sde, tmp_path):
    options = {"shared_encoder": use_sde, "frames": 2, "n_critics": 3, "target_critics": 2, "critic_layer_norm": True}
    model = tiny(policy, clocks(), options, use_sde=use_sde)
    model.policy.load_state_dict({name: torch.rand_like(value) for name, value in weights(model).items()})
    model.policy.save(tmp_path / "policy.pkl")
    loaded = model.policy_class.load(tmp_path / "policy.pkl", device="cpu")
    assert same(loaded.state_dict(), weights(model))
    state = None
    for _ in range(2):
        action, state = loaded.predict(ROWS, state, deterministic=True)
    assert np.array_equal(action, act(model, ROWS)[1])
    assert (loaded.target_critics, loaded.critic_layer_norm, loaded.shared_encoder) == (2, True, use_sde)
