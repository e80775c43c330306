"""Models of Stable-Baselines3's own algorithms, on histories."""

from __future__ import annotations

from stable_baselines3 import PPO, SAC
from stable_baselines3.common.vec_env import VecEnv

from jamba_rl.lab.agent import StockPPOAgent, StockSACAgent
from jamba_rl.lab.build.common import network_and_heads
from jamba_rl.lab.build.ppo import ppo_arguments
from jamba_rl.lab.build.sac import sac_arguments
from jamba_rl.lab.config import RunConfig
from jamba_rl.rl import HistoryReplayBuffer


def make_stock_ppo(config: RunConfig, venv: VecEnv) -> PPO:
    """Make an untrained model.

    :param venv: envs that show normalised histories
    :raises ValueError: if the hyperparameters do not fit together
    """
    agent, protocol = config.agent, config.task.protocol.ppo
    assert isinstance(agent, StockPPOAgent)
    return PPO(
        "JambaPolicy",
        venv,
        **ppo_arguments(agent, protocol),
        policy_kwargs=network_and_heads(agent) | {"log_std_init": protocol.log_std_init},
        seed=config.seed,
        device=config.device,
    )


def make_stock_sac(config: RunConfig, venv: VecEnv) -> SAC:
    """Make an untrained model.

    :param venv: envs that show normalised histories
    :raises ValueError: if the hyperparameters do not fit together
    """
    agent, protocol = config.agent, config.task.protocol.sac
    assert isinstance(agent, StockSACAgent)
    return SAC(
        "JambaPolicy",
        venv,
        **sac_arguments(agent, protocol),
        replay_buffer_class=HistoryReplayBuffer,
        policy_kwargs=network_and_heads(agent) | {"share_features_extractor": agent.share_features_extractor},
        seed=config.seed,
        device=config.device,
    )
