"""Recall tasks: what was seen must be known later, and nothing in view tells.

Importing this registers them with gymnasium, such as ``jamba_rl/TMaze50-v0``.
"""

from jamba_rl.tasks.recall.env import RecallEnv
from jamba_rl.tasks.recall.game import Game
from jamba_rl.tasks.recall.register import recall_game, register
from jamba_rl.tasks.recall.vec_env import RecallVecEnv

__all__ = ["Game", "RecallEnv", "RecallVecEnv", "recall_game", "register"]

register()
