"""What a Jamba was expected to gain over a simple state space model, and whether it does.

The numbers are those of DHC-Jamba-Enhanced's MUJOCO_BENCHMARKS.md, which calls them theoretical expectations: they were
never measured there.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from jamba_rl.lab.stats.bootstrap import Interval

FEWEST = 5  # runs a side: below that, intervals are too narrow to decide by


class Verdict(StrEnum):
    """What an interval says about an expectation."""

    CONFIRMED = "confirmed"
    REFUTED = "refuted"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Claim:
    """A change that was expected: at least ``least``, at most ``most``, as shares; negative ones are falls."""

    name: str
    least: float
    most: float

    @property
    def words(self) -> str:
        """What was expected.

        >>> Claim("steps", -0.2, -0.29).words
        '-20 to -29%'
        """
        return f"{100 * self.least:+.0f} to {100 * self.most:+.0f}%"


CLAIMS = {
    "reward": Claim("final reward", 0.20, 0.36),
    "steps": Claim("steps needed", -0.20, -0.29),
    "spread": Claim("spread of seeds", -0.37, -0.57),
}


def judge(claim: Claim, change: Interval, runs: int) -> Verdict:
    """Confirmed if even the near end of the interval is as much as was expected, refuted if not even the far end is.

    :param runs: of the agent that has fewer

    >>> print(judge(CLAIMS["reward"], Interval(0.4, 0.25, 0.6), runs=5))
    confirmed
    >>> print(judge(CLAIMS["steps"], Interval(0.1, -0.15, 0.2), runs=5))
    refuted
    """
    if runs < FEWEST or not change.known:
        return Verdict.UNDECIDED
    sign = 1 if claim.least > 0 else -1
    near, far = sorted((sign * change.low, sign * change.high))
    if near >= sign * claim.least:
        return Verdict.CONFIRMED
    return Verdict.REFUTED if far < sign * claim.least else Verdict.UNDECIDED
