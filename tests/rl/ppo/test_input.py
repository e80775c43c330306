"""Bad input: a clear error before anything is learned or written."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from sb3_contrib.ppo_recurrent import MlpLstmPolicy as TheirLstmPolicy
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.callbacks import CheckpointCallback
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from jamba_rl.rl import RecurrentPPO
from tests.rl.clock import SMALL, Clock, clock_model


class Broken(Clock):
    """A clock that breaks once: in its observation or its reward, when that is its ``at``-th observation."""

    def __init__(self, at: int = 10**9, value: float = np.nan, part: str = "observation", **kwargs):
        super().__init__(**kwargs)
        self.at, self.value, self.part, self.lived = at, value, part, -1

    def _observe(self):
        observation = super()._observe()
        if self.part == "observation" and self.lived == self.at:
            observation[1] = self.value
        return observation

    def reset(self, **kwargs):
        self.lived += 1
        return super().reset(**kwargs)

    def step(self, action):
        self.lived += 1
        observation, reward, terminated, truncated, info = super().step(action)
        return (
            observation,
            self.value if (self.part, self.lived) == ("reward", self.at) else reward,
            terminated,
            truncated,
            info,
        )


class BrokenDict(Broken):
    observation_space = spaces.Dict({"clock": Clock.observation_space})

    def _observe(self):
        return {"clock": super()._observe()}


def broken_model(*envs, normalize=False, **kwargs) -> RecurrentPPO:
    venv = DummyVecEnv([lambda env=env: env for env in envs])
    options = {"n_steps": 16, "batch_size": 16, "n_epochs": 1, "device": "cpu", "policy_kwargs": SMALL}
    return RecurrentPPO("JambaPolicy", VecNormalize(venv) if normalize else venv, **options | kwargs)


def learn_and_fail(model, message, tmp_path) -> None:
    """The error comes, the weights stay, and a checkpoint of the last good step is the last one."""
    before = {name: value.clone() for name, value in model.policy.state_dict().items()}
    with pytest.raises(ValueError, match=message):
        model.learn(10**4, callback=CheckpointCallback(1, tmp_path, "step"))
    if model.num_timesteps < model.n_steps * model.n_envs:
        assert all(torch.equal(value, before[name]) for name, value in model.policy.state_dict().items())
    assert len(list(tmp_path.glob("step_*.zip"))) == model.num_timesteps // model.n_envs
    assert all(bool(torch.isfinite(value).all()) for value in model.policy.state_dict().values())


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")  # of VecNormalize's statistics
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("part", ["observation", "reward"])
def test_a_value_that_is_no_number_is_named_with_env_and_step(part, normalize, value, tmp_path):
    model = broken_model(Clock(), Broken(8, value, part), Clock(), normalize=normalize)
    model.batch_size = 48
    what = r"observation\[1\]" if part == "observation" else "reward"
    learn_and_fail(model, rf"^{what} of env 1 is {value} at step 6 of the rollout, after 18 transitions", tmp_path)


def test_the_second_rollout_is_looked_at_too(tmp_path):
    learn_and_fail(broken_model(Broken(22)), r"of env 0 is nan at step 2 of the rollout, after 18 ", tmp_path)


def test_the_first_observation_is_looked_at_too(tmp_path):
    learn_and_fail(
        broken_model(Clock(), Broken(0)), r"observation\[1\] of env 1 is nan at step 0 .* after 0 ", tmp_path
    )


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_statistics_that_are_spoiled_already_are_told_from_the_env(tmp_path):
    model = broken_model(Clock(), normalize=True)
    model.get_vec_normalize_env().obs_rms.var[1] = np.nan
    learn_and_fail(model, r"^normalised observation\[1\] of env 0 is nan at step 0", tmp_path)


def test_the_key_of_a_dict_is_named(tmp_path):
    message = r"^observation\['clock'\]\[1\] of env 1 is nan at step 2"
    learn_and_fail(broken_model(BrokenDict(), BrokenDict(3)), message, tmp_path)


def test_the_last_observation_of_an_episode_is_looked_at_too(tmp_path):
    """It is bootstrapped from, though no rollout holds it."""
    model = broken_model(Clock(length=50), Broken(5))
    learn_and_fail(model, r"^terminal_observation\[1\] of env 1 is nan at step 4 .* after 8 ", tmp_path)


def test_whole_numbers_and_bits_pass():
    class Bits(Clock):
        observation_space = spaces.MultiBinary(2)

        def _observe(self):
            return np.array([self.t % 2, 1], np.int8)

    broken_model(Bits()).learn(16)


@pytest.mark.parametrize("length", [0, -1, 3, 32])
def test_a_window_that_does_not_divide_is_refused(length):
    with pytest.raises(ValueError, match=rf"sequence_length {length} must divide n_steps 16 and batch_size 16"):
        clock_model(sequence_length=length)


@pytest.mark.parametrize(("name", "value"), [("n_steps", 0), ("batch_size", 0), ("batch_size", -8)])
def test_nothing_to_learn_from_is_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} must be at least 1, was {value}"):
        clock_model(**{name: value})


def test_a_minibatch_that_does_not_divide_is_refused_with_what_would():
    with pytest.raises(
        ValueError, match=r"batch_size 12 must divide the 32 .* \(n_steps 16 x 2 envs\); near are 8 and 16"
    ):
        clock_model(batch_size=12)


def test_a_minibatch_that_no_longer_divides_on_load_is_refused_before_learning(tmp_path):
    clock_model(n_envs=2, batch_size=32).save(tmp_path / "model")
    before = (tmp_path / "model.zip").read_bytes()
    loaded = RecurrentPPO.load(tmp_path / "model", env=DummyVecEnv([Clock] * 3), device="cpu")
    loaded.predict(loaded.get_env().reset())  # to use it is no problem
    with pytest.raises(ValueError, match="batch_size 32 must divide the 48"):
        loaded.learn(48)
    assert loaded.num_timesteps == 0
    fitting = RecurrentPPO.load(tmp_path / "model", env=DummyVecEnv([Clock] * 3), device="cpu", batch_size=16)
    assert fitting.learn(48).num_timesteps == 48
    assert (tmp_path / "model.zip").read_bytes() == before


def test_a_window_of_one_step_is_warned_of_unless_it_is_meant():
    with pytest.warns(UserWarning, match="windows are 1 step long and no gradient flows through time"):
        clock_model(n_steps=5, n_envs=4, batch_size=4)
    clock_model(n_steps=5, n_envs=4, batch_size=4, sequence_length=1)
    clock_model(n_steps=5, n_envs=4, batch_size=4, policy="MlpPolicy")


@pytest.mark.parametrize("floor", [-0.1, float("inf"), float("nan")])
def test_a_floor_that_is_no_deviation_is_refused(floor):
    with pytest.raises(ValueError, match="advantage_floor must be a number, 0 or above, was"):
        clock_model(advantage_floor=floor)


@pytest.mark.parametrize("warm_up", [-0.1, 1.5, float("nan")])
def test_a_warm_up_longer_than_training_is_refused(warm_up):
    with pytest.raises(ValueError, match="warm_up is a fraction of training, from 0 to 1"):
        clock_model(warm_up=warm_up)


class Wider(Clock):
    observation_space = spaces.Box(-np.inf, np.inf, (3,), np.float32)


@pytest.mark.parametrize(
    ("env", "message"),
    [
        (lambda: Wider(), "Observation spaces do not match"),
        (lambda: Clock(action_space=spaces.Discrete(2)), "Action spaces do not match"),
    ],
)
def test_an_env_with_other_spaces_is_refused_on_load_and_set(env, message, tmp_path):
    model = clock_model(n_envs=1).learn(16)
    model.save(tmp_path / "model")
    before = (tmp_path / "model.zip").read_bytes()
    with pytest.raises(ValueError, match=message):
        RecurrentPPO.load(tmp_path / "model", env=DummyVecEnv([env]), device="cpu")
    venv = model.get_env()
    with pytest.raises(ValueError, match=message):
        model.set_env(DummyVecEnv([env]))
    assert model.get_env() is venv
    assert (tmp_path / "model.zip").read_bytes() == before


def test_a_buffer_that_holds_no_sequences_is_refused():
    with pytest.raises(ValueError, match="must be a SequenceRolloutBuffer or inherit from it, not RolloutBuffer"):
        clock_model(rollout_buffer_class=RolloutBuffer)


def test_an_unbounded_action_space_is_refused_as_by_sb3():
    with pytest.raises(AssertionError, match="finite lower and upper bound"):
        clock_model(env_kwargs={"action_space": spaces.Box(-np.inf, np.inf, (1,))})


def test_a_space_of_actions_that_ppo_cannot_take_is_refused():
    class Pairs(gym.Env):
        observation_space, action_space = spaces.Box(-1, 1, (1,)), spaces.Tuple([spaces.Discrete(2)])

    with pytest.raises(AssertionError, match="only supports"):
        RecurrentPPO("JambaPolicy", Pairs(), device="cpu")


@pytest.mark.parametrize(
    ("network", "said"),
    [({"patern": "M"}, "'patern' is unknown; did you mean 'pattern'"), ("MMA", "a dict of its fields.*was 'MMA'")],
)
def test_a_network_that_is_none_is_refused(network, said):
    with pytest.raises(ValueError, match=said):
        clock_model(policy_kwargs={"network": network})


def test_a_policy_of_others_is_refused():
    with pytest.raises(ValueError, match=r"jamba_rl's.*was sb3_contrib\."):
        clock_model(policy=TheirLstmPolicy)


def test_sequence_length_is_a_whole_number():
    with pytest.raises(ValueError, match=r"sequence_length must be a whole number above 0, was 8\.0"):
        clock_model(sequence_length=8.0)


@pytest.mark.parametrize("previous_action", [True, False])
def test_a_state_of_other_envs_is_refused(previous_action):
    model = clock_model(policy_kwargs=SMALL | {"previous_action": previous_action})
    _, state = model.predict(np.zeros((3, 2), np.float32))
    with pytest.raises(ValueError, match="the state is of 3 envs and the observation of 2"):
        model.predict(np.zeros((2, 2), np.float32), state)


def test_episode_starts_of_other_envs_are_refused():
    model = clock_model()
    with pytest.raises(ValueError, match="the episode_start is of 3 envs and the observation of 2"):
        model.predict(np.zeros((2, 2), np.float32), episode_start=np.ones(3, bool))
