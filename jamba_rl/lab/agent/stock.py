"""Agents of Stable-Baselines3's own algorithms, which read their memory anew from a window of the past."""

from __future__ import annotations

from typing import Literal

from pydantic import PositiveInt

from jamba_rl.lab.agent.base import Agent
from jamba_rl.lab.agent.ppo import PPOHyperparameters
from jamba_rl.lab.agent.sac import SACHyperparameters


class WindowAgent(Agent):
    """What agents of stock algorithms have; ``history`` is how many steps they look back on, the present included."""

    history: PositiveInt


class StockPPOAgent(PPOHyperparameters, WindowAgent):
    """SB3's ``PPO`` on histories."""

    algorithm: Literal["sb3-ppo"]


class StockSACAgent(SACHyperparameters, WindowAgent):
    """SB3's ``SAC`` on histories.

    ``share_features_extractor`` gives actor and critic one memory, which the critic trains.
    """

    algorithm: Literal["sb3-sac"]
    share_features_extractor: bool
