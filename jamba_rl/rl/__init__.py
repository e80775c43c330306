"""Agents with memory on Stable-Baselines3."""

from jamba_rl.rl.features import JambaFeaturesExtractor
from jamba_rl.rl.history import HistoryWrapper, VecHistory
from jamba_rl.rl.history_normalize import VecHistoryNormalize
from jamba_rl.rl.policies import (
    AttentionPolicy,
    GruPolicy,
    JambaPolicy,
    LstmPolicy,
    MambaPolicy,
    MlpPolicy,
    RecurrentActorCriticPolicy,
    SSMPolicy,
)
from jamba_rl.rl.ppo import RecurrentPPO
from jamba_rl.rl.previous_reward import PreviousReward, VecPreviousReward
from jamba_rl.rl.window_policies import WindowActorCriticPolicy, WindowSACPolicy, register
from jamba_rl.rl.window_replay import HistoryReplayBuffer

__all__ = [
    "AttentionPolicy",
    "GruPolicy",
    "HistoryReplayBuffer",
    "HistoryWrapper",
    "JambaFeaturesExtractor",
    "JambaPolicy",
    "LstmPolicy",
    "MambaPolicy",
    "MlpPolicy",
    "PreviousReward",
    "RecurrentActorCriticPolicy",
    "RecurrentPPO",
    "SSMPolicy",
    "VecHistory",
    "VecHistoryNormalize",
    "VecPreviousReward",
    "WindowActorCriticPolicy",
    "WindowSACPolicy",
]

register()
