"""In which order agents stand, and which of them play a part in comparisons."""

from __future__ import annotations

from collections.abc import Iterable

# Those with a memory, then those without: the frame-stacked MLP, the honest baseline, right behind them.
KINDS = (
    "jamba",
    "jamba-moe",
    "jamba-window",
    "mamba",
    "attention",
    "lstm",
    "gru",
    "ssm",
    "simple-ssm",
    "",  # agents of the user's own
    "mlp-framestack",
    "mlp",
)
OURS, FRAMES, MEMORYLESS = "jamba", "mlp-framestack", "mlp"
SIMPLE = ("ssm", "simple-ssm")  # state space models that a Jamba is expected to beat


def kind(agent: str) -> str:
    """What follows the algorithm in the name of an agent that ships; nothing for any other.

    >>> kind("ppo-mlp-framestack"), kind("my-lstm")
    ('mlp-framestack', '')
    """
    algorithm, _, rest = agent.partition("-")
    return rest if algorithm in ("ppo", "sac") and rest in KINDS else ""


def in_order(agents: Iterable[str]) -> list[str]:
    """Agents as they stand in tables and legends.

    >>> in_order(["sac-jamba", "ppo-mlp", "mine", "ppo-mlp-framestack", "ppo-lstm"])
    ['ppo-lstm', 'ppo-mlp-framestack', 'ppo-mlp', 'sac-jamba', 'mine']
    """
    return sorted(set(agents), key=lambda agent: (not kind(agent), agent.partition("-")[0], _rank(agent), agent))


def _rank(agent: str) -> int:
    return KINDS.index(kind(agent))
