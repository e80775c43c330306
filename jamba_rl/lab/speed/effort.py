"""How much work to spend on the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from jamba_rl.lab.speed.timing import Call, Times, interleaved

FEW = 3  # rounds of those who take seconds


def _silent(part: float) -> None:
    del part


@dataclass(frozen=True)
class Effort:
    """What all measurements share.

    :ivar rounds: timed rounds
    :ivar sample: least seconds of one timed sample
    :ivar stream_steps: steps of the long stream
    :ivar progress: called with the part of a long measurement that is done, from 0 to 1
    """

    rounds: int = 15
    sample: float = 0.1
    stream_steps: int = 1_000_000
    progress: Callable[[float], None] = _silent

    def time(self, contenders: Mapping[str, Call], slow: bool = False) -> dict[str, Times]:
        """Time contenders in turn; ``slow`` ones meet in a few rounds only."""
        return interleaved(contenders, min(self.rounds, FEW) if slow else self.rounds, self.sample)
