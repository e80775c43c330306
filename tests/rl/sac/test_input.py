"""Bad input: a clear error before anything is learned."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from sb3_contrib.ppo_recurrent import MlpLstmPolicy as TheirLstmPolicy
from stable_baselines3.common.buffers import DictReplayBuffer, ReplayBuffer
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize
from stable_baselines3.sac import MlpPolicy as TheirPolicy

from jamba_rl.rl import RecurrentSAC
from jamba_rl.rl.finite import ExperienceError
from jamba_rl.rl.sac.replay import SequenceReplayBuffer
from tests.rl.clock import Clock
from tests.rl.ppo.test_input import Broken, BrokenDict
from tests.rl.sac.tiny import clocks, tiny


def broken_model(*envs, normalize=False, **kwargs) -> RecurrentSAC:
    venv = DummyVecEnv([lambda env=env: env for env in envs])
    return tiny("JambaPolicy", VecNormalize(venv) if normalize else venv, learning_starts=0, **kwargs)


def learn_and_fail(model, message) -> None:
    """The error comes; what is stored and what was learned is in order."""
    with pytest.raises(ExperienceError, match=message):
        model.learn(10**3)
    tape = model.replay_buffer
    assert all(np.isfinite(part).all() for part in (*tape.frames.values(), tape.rewards, tape.actions))
    assert all(bool(torch.isfinite(value).all()) for value in model.policy.state_dict().values())


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")  # of VecNormalize's statistics
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("part", ["observation", "reward"])
def test_a_value_that_is_no_number_is_named_with_env_and_step(part, normalize, value):
    model = broken_model(Clock(), Broken(8, value, part), Clock(), normalize=normalize)
    what = r"observation\[1\]" if part == "observation" else "reward"
    # seven steps of three envs: a new observation comes with the end of an episode too
    learn_and_fail(model, rf"^{what} of env 1 is {value} after 21 transitions; it was not learned from")


def test_much_later_ones_are_looked_at_too():
    learn_and_fail(broken_model(Broken(40)), r"observation\[1\] of env 0 is nan after 34 transitions")


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_the_first_observation_is_looked_at_too(normalize):
    learn_and_fail(broken_model(Clock(), Broken(0), normalize=normalize), r"observation\[1\] of env 1 is nan after ")


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_statistics_that_are_spoiled_already_are_told_from_the_env():
    model = broken_model(Clock(), normalize=True)
    model.get_vec_normalize_env().obs_rms.var[1] = np.nan
    with pytest.raises(ExperienceError, match=r"^normalised observation\[1\] of env 0 is nan"):
        model.learn(100)


def test_the_key_of_a_dict_is_named():
    learn_and_fail(broken_model(BrokenDict(), BrokenDict(3)), r"^observation\['clock'\]\[1\] of env 1 is nan after 6 ")


@pytest.mark.parametrize("kind", [Broken, BrokenDict])
def test_the_last_observation_of_an_episode_is_looked_at_too(kind):
    where = r"\['clock'\]" if kind is BrokenDict else ""
    model = broken_model(kind(length=50), kind(5))
    learn_and_fail(model, rf"^terminal_observation{where}\[1\] of env 1 is nan after 10 ")


def test_whole_numbers_and_bits_pass():
    class Bits(Clock):
        observation_space = spaces.MultiBinary(2)

        def _observe(self):
            return np.array([self.t % 2, 1], np.int8)

    assert broken_model(Bits()).learn(32)._n_updates > 0


@pytest.mark.parametrize(
    ("kwargs", "said"),
    [
        ({"sequence_length": 0}, "sequence_length must be a whole number, at least 1, was 0"),
        ({"sequence_length": 8.0}, r"sequence_length must be a whole number, at least 1, was 8\.0"),
        ({"burn_in": -1}, "burn_in must be a whole number, at least 0, was -1"),
        ({"n_steps": 0}, "n_steps must be a whole number, at least 1, was 0"),
        (
            {"buffer_size": 20, "sequence_length": 16},
            "room for 10 steps of each of 2 envs; a window needs 16",
        ),
        ({"buffer_size": 20, "burn_in": 8}, "room for 10 steps of each of 2 envs; a window needs 12"),
        ({"batch_size": 3, "burn_in": 2}, "batch_size 3 is less than one window, which has 6 steps"),
        ({"replay_buffer_kwargs": {"n_steps": 3}}, "n_steps is an argument of RecurrentSAC itself"),
        ({"optimize_memory_usage": True}, "leave out optimize_memory_usage"),
        ({"replay_buffer_class": ReplayBuffer}, "must be a SequenceReplayBuffer or inherit from it, not ReplayBuffer"),
        ({"replay_buffer_class": DictReplayBuffer}, "inherit from it, not DictReplayBuffer"),
        ({"ent_coef": "high"}, "could not convert string to float"),
        ({"train_freq": (1, "year")}, "must be either 'step' or 'episode'"),
    ],
)
def test_bad_options_are_refused(kwargs, said):
    with pytest.raises(ValueError, match=said):
        tiny("GruPolicy", clocks(2), **kwargs)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"target_critics": 5}, "target_critics must be from 1 to n_critics 2, was 5"),
        ({"target_critics": 0}, "target_critics must be from 1 to n_critics 2, was 0"),
        ({"encoder_learning_rate_ratio": 0.0}, r"encoder_learning_rate_ratio must be above 0, was 0\.0"),
        ({"encoder_learning_rate_ratio": float("nan")}, "must be above 0, was nan"),
        ({"frames": 0}, "frames must be a whole number above 0, was 0"),
        ({"frames": 2.0}, r"frames must be a whole number above 0, was 2\.0"),
        ({"share_features_extractor": True}, "set shared_encoder=True"),
        ({"network": {"patern": "M"}}, "'patern' is unknown; did you mean 'pattern'"),
        ({"network": {"pattern": "A", "window": None, "position": "rope"}}, "give attention a window"),
    ],
)
def test_bad_options_of_the_policy_are_refused(options, said):
    with pytest.raises(ValueError, match=said):
        RecurrentSAC("JambaPolicy", Clock(), policy_kwargs=options, device="cpu", buffer_size=500)


@pytest.mark.parametrize("policy", [TheirPolicy, TheirLstmPolicy])
def test_a_policy_of_others_is_refused(policy):
    with pytest.raises(ValueError, match=rf"policy must be jamba_rl's.*was {policy.__module__}"):
        RecurrentSAC(policy, Clock(), device="cpu", buffer_size=500)


def test_an_unknown_policy_is_refused_and_the_nearest_named():
    with pytest.raises(ValueError, match="Policy JambPolicy unknown; did you mean JambaPolicy"):
        RecurrentSAC("JambPolicy", Clock(), device="cpu", buffer_size=500)


def test_a_buffer_that_inherits_is_taken():
    class Own(SequenceReplayBuffer):
        pass

    model = tiny(
        "GruPolicy", clocks(), replay_buffer_class=Own, replay_buffer_kwargs={"handle_timeout_termination": False}
    )
    model.learn(32)
    assert type(model.replay_buffer) is Own
    ends = model.replay_buffer.kinds[0, : model.replay_buffer.heads[0]]
    assert set(ends.tolist()) == {0, 1}  # time's end is the end


def test_an_env_without_a_name_of_its_own_is_no_problem():
    class Plain(gym.Env):
        observation_space, action_space = Clock.observation_space, spaces.Box(-1, 1, (1,))
        t = 0

        def reset(self, *, seed=None, options=None):
            return np.zeros(2, np.float32), {}

        def step(self, action):
            self.t += 1
            return np.full(2, self.t, np.float32), 0.0, False, False, {}

    model = tiny("GruPolicy", Plain()).learn(32)
    assert model.replay_buffer.begins.sum() == 1
