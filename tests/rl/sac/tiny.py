"""Agents with a memory and a replay that are as quick as can be, of every kind."""

from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv

from jamba_rl.rl import RecurrentSAC
from tests.rl.clock import Clock
from tests.rl.conformance.tiny import tiny_kwargs


def tiny(policy, env, policy_kwargs=None, **kwargs) -> RecurrentSAC:
    """Make an agent that makes two updates after every eighth step, from the twenty-fifth on."""
    options = {"sequence_length": 4, "learning_starts": 20, "batch_size": 8, "buffer_size": 500, "train_freq": 8}
    options |= {"gradient_steps": 2, "seed": 0, "device": "cpu"} | kwargs
    return RecurrentSAC(policy, env, policy_kwargs=tiny_kwargs(policy, **(policy_kwargs or {})), **options)


def clocks(n_envs=2, **kwargs) -> DummyVecEnv:
    """Envs whose episodes have 5, 6, ... steps."""
    return DummyVecEnv([lambda i=i: Clock(length=5 + i, **kwargs) for i in range(n_envs)])


class StopAt(BaseCallback):
    """Stops training after so many calls."""

    def __init__(self, calls: int):
        super().__init__()
        self.calls = calls

    def _on_step(self):
        return self.n_calls < self.calls


def weights(model) -> dict:
    """A copy of all that was learned."""
    return {name: value.clone() for name, value in model.policy.state_dict().items()}


def same(one: dict, two: dict) -> bool:
    """Whether two sets of weights are equal bit for bit."""
    return one.keys() == two.keys() and all(bool((value == two[name]).all()) for name, value in one.items())
