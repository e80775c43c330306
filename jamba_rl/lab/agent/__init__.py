"""What learns, as data: an algorithm with its hyperparameters, and a network."""

from jamba_rl.lab.agent.base import Agent, Heads, Normalize, RecurrentAgent
from jamba_rl.lab.agent.load import ALGORITHMS, AnyAgent, kind_of, load_agent
from jamba_rl.lab.agent.ppo import PPOAgent
from jamba_rl.lab.agent.sac import SACAgent
from jamba_rl.lab.agent.stock import StockPPOAgent, StockSACAgent, WindowAgent

__all__ = [
    "ALGORITHMS",
    "Agent",
    "AnyAgent",
    "Heads",
    "Normalize",
    "PPOAgent",
    "RecurrentAgent",
    "SACAgent",
    "StockPPOAgent",
    "StockSACAgent",
    "WindowAgent",
    "kind_of",
    "load_agent",
]
