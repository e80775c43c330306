"""Say again what was shown a while ago (RepeatPrevious of POPGym, Morad et al. 2023, arXiv 2303.01859)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from gymnasium import spaces

from jamba_rl.catalogue import UserError
from jamba_rl.tasks.recall.game import Game, check_count

DECK = 52
SUITS = 4


@dataclass(frozen=True)
class RepeatPrevious(Game):
    """Every step shows the suit of a card; the answer is the suit of the ``lag``-th newest card.

    Lags count as POPGym's k does, from the card in view: at lag 1 that card is the answer, at lag 4
    the one shown three steps earlier. As long as there are fewer than ``lag`` cards nothing is asked;
    each later answer is worth 1 / (cards - lag) if it is right and minus that if not. So returns lie
    in [-1, 1], and to guess among the suits has -0.5. A seed deals the cards that POPGym deals.

    :param lag: POPGym's Easy, Medium and Hard have 4, 32 and 64
    :param decks: of 52 cards each, which are shown once; POPGym's have 1, 2 and 3
    """

    lag: int = 4
    decks: int = 1

    observation_space: ClassVar[spaces.Discrete] = spaces.Discrete(SUITS)
    action_space: ClassVar[spaces.Discrete] = spaces.Discrete(SUITS)

    def __post_init__(self) -> None:
        check_count("lag", self.lag)
        check_count("decks", self.decks)
        if self.lag >= self.steps:
            raise UserError(f"lag must be less than the {self.steps} steps of decks={self.decks}, was {self.lag}")

    @property
    def cards(self) -> int:
        """Cards of all decks together."""
        return DECK * self.decks

    @property
    def steps(self) -> int:
        """One less than the cards: a reset shows the first."""
        return self.cards - 1

    def deal(self, generator: np.random.Generator) -> np.ndarray:
        """Suits in the order they are shown (cards,)."""
        cards = np.arange(self.cards)
        generator.shuffle(cards)
        return cards[::-1] % SUITS  # POPGym deals from the end

    def observe(self, episodes: np.ndarray, times: np.ndarray) -> np.ndarray:
        """The suits of the cards in view (N,)."""
        return episodes[np.arange(len(times)), times]

    def play(self, episodes: np.ndarray, times: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """Compare with the card asked for."""
        asked = times - (self.lag - 1)  # negative as long as nothing is asked: finds some card, which does not count
        right = episodes[np.arange(len(times)), asked] == actions
        worth = np.float32(1 / (self.cards - self.lag))
        return np.where(asked < 0, np.float32(0), np.where(right, worth, -worth))
