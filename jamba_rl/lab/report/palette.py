"""Colours and dashes of agents: told apart by the colour-blind, on light and on dark ground."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from jamba_rl.lab.report.order import kind

# light ground, dark ground
COLOURS = {
    "jamba": ("#0b62c4", "#62a8ff"),
    "lstm": ("#d4610a", "#ff9f57"),
    "ssm": ("#007a65", "#45d6b5"),
    "mamba": ("#8a3fb5", "#cb92ec"),
    "attention": ("#c2255c", "#ff84ab"),
    "gru": ("#857000", "#d9c43c"),
    "jamba-moe": ("#0093b8", "#6fdcf5"),
    "jamba-window": ("#5156c8", "#a3a7ff"),
    "simple-ssm": ("#5a8a2c", "#a5d46f"),
    "mlp-framestack": ("#20262e", "#e6e9ee"),
    "mlp": ("#8c929b", "#868e99"),
}
OTHERS = (("#a0522d", "#d9a07f"), ("#ad4f9c", "#e79bd9"), ("#3d7a4c", "#86c596"), ("#6b5b95", "#b3a6d6"))
# eleven colours are more than any eye tells apart: those that are seldom side by side also differ in their dashes
DASHES: dict[str, tuple[int, ...]] = {
    "jamba-moe": (14, 3),
    "jamba-window": (5, 2),
    "mamba": (10, 3, 2, 3),
    "attention": (10, 2, 2, 2, 2, 2),
    "gru": (9, 3),
    "simple-ssm": (4, 2),
    "mlp-framestack": (2, 3),
    "mlp": (6, 4),
}
AGAIN: tuple[tuple[int, ...], ...] = ((), (8, 3), (8, 3, 2, 3), (4, 2), (2, 2))  # of a colour that is taken already


@dataclass(frozen=True)
class Style:
    """How an agent is drawn; no dashes are a whole line."""

    light: str
    dark: str
    dashes: tuple[int, ...]


@dataclass(frozen=True)
class Ground:
    """What is drawn on, and what is not of an agent.

    :ivar card: behind figures and tables
    :ivar faint: small print, still legible
    """

    name: Literal["light", "dark"]
    card: str
    ink: str
    faint: str
    grid: str

    def of(self, style: Style) -> str:
        """Colour of an agent."""
        return style.dark if self.name == "dark" else style.light


LIGHT = Ground("light", card="#ffffff", ink="#1b2027", faint="#69727e", grid="#e9ebef")
DARK = Ground("dark", card="#1a1e25", ink="#e8ebf0", faint="#8f99a6", grid="#2a303a")


def styles(agents: Sequence[str]) -> dict[str, Style]:
    """A style for each agent; an agent that ships has the same colour in every report.

    >>> styles(["ppo-jamba"])["ppo-jamba"].light == styles(["ppo-lstm", "sac-jamba"])["sac-jamba"].light
    True
    """
    taken: dict[str, int] = {}
    made = {}
    others = [agent for agent in agents if not kind(agent)]
    for agent in agents:
        light, dark = COLOURS[kind(agent)] if kind(agent) else OTHERS[others.index(agent) % len(OTHERS)]
        again = taken[light] = taken.get(light, -1) + 1
        made[agent] = Style(light, dark, AGAIN[again % len(AGAIN)] if again else DASHES.get(kind(agent), ()))
    return made
