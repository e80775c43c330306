"""Agents with memory on Stable-Baselines3."""

from jamba_rl.rl.ppo.algorithm import RecurrentPPO
from jamba_rl.rl.ppo.policies import (
    AttentionPolicy,
    GruPolicy,
    JambaPolicy,
    LstmPolicy,
    MambaPolicy,
    MlpPolicy,
    RecurrentActorCriticPolicy,
    SSMPolicy,
)
from jamba_rl.rl.previous_reward import PreviousReward, VecPreviousReward
from jamba_rl.rl.sac.algorithm import RecurrentSAC
from jamba_rl.rl.sac.replay import SequenceReplayBuffer
from jamba_rl.rl.window.features import JambaFeaturesExtractor
from jamba_rl.rl.window.history import HistoryWrapper, VecHistory
from jamba_rl.rl.window.normalize import VecHistoryNormalize
from jamba_rl.rl.window.policies import WindowActorCriticPolicy, WindowSACPolicy, register
from jamba_rl.rl.window.replay import HistoryReplayBuffer

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
    "RecurrentSAC",
    "SSMPolicy",
    "SequenceReplayBuffer",
    "VecHistory",
    "VecHistoryNormalize",
    "VecPreviousReward",
    "WindowActorCriticPolicy",
    "WindowSACPolicy",
]

register()
