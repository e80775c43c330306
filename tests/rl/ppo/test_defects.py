"""What is wrong with sb3_contrib's RecurrentPPO is right here; one test or more per defect."""

import warnings

import numpy as np
import pytest
import torch
from stable_baselines3.common.callbacks import BaseCallback
from torch import nn

from jamba_rl.rl import LstmPolicy, RecurrentPPO
from jamba_rl.rl.ppo.rollouts import SequenceRolloutBuffer
from tests.rl.clock import CLASSES, OURS, SMALL, Clock, clock_model, collect


@pytest.mark.parametrize(
    "kwargs",
    [
        {"lstm_hidden_size": 24, "n_lstm_layers": 2, "enable_critic_lstm": True, "lstm_kwargs": {"dropout": 0.1}},
        {"enable_critic_lstm": False, "share_features_extractor": False, "net_arch": {"pi": [8], "vf": []}},
        {"previous_action": False, "encoder_learning_rate_ratio": 0.3, "log_std_init": -1.0, "ortho_init": False},
    ],
)
def test_a_policy_with_arguments_of_its_own_saves_and_loads_alone(kwargs, tmp_path):
    """Its constructor's arguments were not all in the file, so that loading failed on the sizes."""
    policy = clock_model(policy="LstmPolicy", policy_kwargs=kwargs).policy
    policy.save(tmp_path / "policy")
    loaded = LstmPolicy.load(tmp_path / "policy", device="cpu")
    weights = loaded.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in policy.state_dict().items())
    obs = np.ones((1, 2), np.float32)
    assert np.array_equal(policy.predict(obs, deterministic=True)[0], loaded.predict(obs, deterministic=True)[0])
    for name, value in policy._get_constructor_parameters().items():
        if name not in ("lr_schedule", "observation_space", "action_space"):
            assert loaded._get_constructor_parameters()[name] == value, name


class Limits(Clock):
    """Keeps the actions it receives."""

    received: list[float]

    def __init__(self):
        super().__init__(length=50)
        self.received = []

    def step(self, action):
        self.received.append(float(action[0]))
        return super().step(action)


@pytest.mark.parametrize("squash", [True, False])
def test_squashed_actions_reach_the_env_in_its_own_units_in_training_as_in_predict(squash):
    """In training they were clipped to [-1, 1], and only in predict scaled to the bounds, here -2 and 2."""
    env = Limits()
    options = {**SMALL, "squash_output": squash, "log_std_init": 3.0}
    model = RecurrentPPO(
        "JambaPolicy",
        env,
        n_steps=32,
        batch_size=32,
        n_epochs=1,
        use_sde=True,
        policy_kwargs=options,
        seed=0,
        device="cpu",
    )
    model.learn(32)
    model.policy.reset_noise()
    predicted = np.concatenate([model.predict(np.full(2, float(i), np.float32))[0] for i in range(50)])
    assert max(np.abs(env.received)) > 1.5
    assert np.abs(predicted).max() > 1.5
    assert max(np.abs(env.received)) <= 2.0 >= np.abs(predicted).max()
    # what the rollout holds is what the policy chose, what the env received is that in its units
    chosen = model.rollout_buffer.actions[:, 0, 0]
    inside = 2.0 * chosen if squash else np.clip(chosen, -2.0, 2.0)
    np.testing.assert_allclose(env.received, inside, rtol=1e-5, atol=1e-5)


def test_a_minibatch_of_one_transition_makes_no_nan():
    """Such a remainder of a rollout had an advantage without a spread."""
    with pytest.raises(ValueError, match="batch_size 64 must divide the 65"):
        RecurrentPPO("JambaPolicy", "Pendulum-v1", n_steps=65, batch_size=64)
    with pytest.raises(AssertionError, match="batch_size"):
        RecurrentPPO("JambaPolicy", "Pendulum-v1", n_steps=64, batch_size=1)
    with pytest.raises(AssertionError, match="n_steps"):
        RecurrentPPO("JambaPolicy", "Pendulum-v1", n_steps=1, batch_size=128)
    model = clock_model(batch_size=1, normalize_advantage=False, sequence_length=1).learn(32)
    assert all(bool(torch.isfinite(p).all()) for p in model.policy.parameters())


@pytest.mark.parametrize("policy", OURS[:-1])
def test_loading_without_a_reset_goes_on_in_mid_episode(policy, tmp_path):
    """The observation was kept and the memory emptied."""
    model = clock_model(policy=policy).learn(32)
    model.save(tmp_path / "model")
    loaded = RecurrentPPO.load(tmp_path / "model", env=model.get_env(), device="cpu", force_reset=False)
    assert np.array_equal(loaded._last_obs, model._last_obs)
    assert any(bool(part.any()) for part in loaded._last_state)
    obs, starts = torch.as_tensor(model._last_obs), torch.as_tensor(model._last_episode_starts)
    for ours, theirs in zip(
        model.policy(obs, model._last_state, starts, deterministic=True),
        loaded.policy(obs, loaded._last_state, starts, deterministic=True),
        strict=True,
    ):
        for a, b in zip(ours, theirs, strict=True) if isinstance(ours, tuple) else [(ours, theirs)]:
            assert torch.equal(a, b)


def test_a_file_written_in_mid_rollout_holds_observation_and_memory_of_one_moment(tmp_path):
    class SaveAt(BaseCallback):
        def _on_step(self):
            if self.n_calls == 3:
                self.model.save(tmp_path / "model")
                self.obs, self.state = self.model._last_obs, self.model._last_state
            return True

    callback = SaveAt()
    model = clock_model().learn(32, callback=callback)
    loaded = RecurrentPPO.load(tmp_path / "model", env=model.get_env(), device="cpu", force_reset=False)
    assert loaded._last_obs[:, 0].tolist() == [2.0, 2.0]  # two steps are behind both
    assert np.array_equal(loaded._last_obs, callback.obs)
    assert all(torch.equal(a, b) for a, b in zip(loaded._last_state, callback.state, strict=True))
    assert any(bool(part.any()) for part in loaded._last_state)


def test_learning_goes_on_where_a_callback_stopped_it():
    class Stop(BaseCallback):
        def _on_step(self):
            return self.n_calls < 3

    model = clock_model().learn(32, callback=Stop())
    assert model._last_obs[:, 0].tolist() == [3.0, 3.0]
    collected = model.learn(32, reset_num_timesteps=False).rollout_buffer
    assert collected.observations[:2, 0, 0].tolist() == [3.0, 4.0]


def test_the_rollout_buffer_can_be_chosen():
    class Counting(SequenceRolloutBuffer):
        def __init__(self, *args, start=0, **kwargs):
            self.count = start
            super().__init__(*args, **kwargs)

        def add(self, *args, **kwargs):
            self.count += 1
            super().add(*args, **kwargs)

    model = clock_model(rollout_buffer_class=Counting, rollout_buffer_kwargs={"start": 100}).learn(32)
    assert isinstance(model.rollout_buffer, Counting)
    assert model.rollout_buffer.count == 116


def test_a_callback_sees_the_values_of_the_end_of_the_rollout_when_it_ends():
    class Look(BaseCallback):
        def _on_step(self):
            self.at_step = self.locals["values"]
            return True

        def _on_rollout_end(self):
            self.at_end = self.locals["values"]
            self.advantages = self.locals["rollout_buffer"].advantages.copy()

    look = Look()
    clock_model().learn(32, callback=look)
    assert not torch.equal(look.at_step, look.at_end)
    assert look.at_end.shape == (2, 1)
    assert look.advantages.any()


@pytest.mark.parametrize("n_envs", [1, 2, 4])
def test_every_minibatch_has_the_size_that_was_asked_for(n_envs):
    """Episodes of 5 to 8 steps: padding made the number of valid transitions differ."""
    model = clock_model(n_envs=n_envs, n_steps=32, batch_size=16)
    collect(model)
    batches = list(model.rollout_buffer.get(16))
    assert len(batches) == 2 * n_envs
    for batch in batches:
        assert {len(part) for part in (batch.observations.observations, *batch[1:])} == {16}


@pytest.mark.parametrize(("cls", "kwargs"), [*((cls, {}) for cls in CLASSES), (LstmPolicy, {"shared_lstm": True})])
def test_a_shared_encoder_learns_from_the_values_too(cls, kwargs):
    policy = clock_model(policy=cls, policy_kwargs=kwargs).policy
    policy.predict_values(torch.ones(2, 2)).sum().backward()
    assert any(bool(p.grad.any()) for p in policy.encoder.backbone.parameters() if p.grad is not None)


def test_one_call_of_the_lstm_does_for_a_window_without_resets():
    """It was called once per time step whenever a piece began an episode."""
    model = clock_model(policy="LstmPolicy", env_kwargs={"truncate": True}, sequence_length=16)
    lstm = next(m for m in model.policy.modules() if isinstance(m, nn.LSTM))
    collect(model)
    calls = []
    lstm.register_forward_hook(lambda *_: calls.append(1))
    for batch in model.rollout_buffer.get(16):
        model.policy.evaluate_actions(batch.observations, batch.actions)
    # 2 minibatches of a 16-step window; episodes of 5 and of 6 steps begin 3 times inside or at the start
    assert len(calls) <= 8


def test_a_list_of_defaults_for_every_env_finds_a_policy():
    """The zoo's default for unlisted envs is MlpPolicy, which contrib's RecurrentPPO does not know."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        RecurrentPPO("MlpPolicy", "Pendulum-v1", device="cpu")
