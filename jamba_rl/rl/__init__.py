"""Agents with memory on Stable-Baselines3."""

from jamba_rl.rl.policies import JambaPolicy, LstmPolicy, MlpPolicy, RecurrentActorCriticPolicy, SSMPolicy
from jamba_rl.rl.ppo import RecurrentPPO

__all__ = ["JambaPolicy", "LstmPolicy", "MlpPolicy", "RecurrentActorCriticPolicy", "RecurrentPPO", "SSMPolicy"]
