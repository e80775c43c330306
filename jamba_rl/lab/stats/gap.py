"""What memory buys: how much of the way from the memoryless agent to one that sees everything.

A task that hides something has a twin that does not. The *gap* is how much better an MLP is there; an agent with memory
closes as much of it as it regains.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jamba_rl.lab.stats.bootstrap import Scores


def gap_size(sighted: Sequence[Scores], memoryless: Sequence[Scores]) -> Scores:
    """Mean score of the MLP that sees everything minus that of the one that does not; of one task."""
    (seeing,), (blind,) = sighted, memoryless
    return seeing.mean(axis=-1) - blind.mean(axis=-1)


def gap_closed(strata: Sequence[Scores]) -> Scores:
    """Share of the gap that is closed, (agent - memoryless) / (sighted - memoryless), averaged over tasks.

    :param strata: per task three: of the agent, of the memoryless agent, of the sighted MLP

    >>> float(gap_closed([np.array([7.0]), np.array([1.0]), np.array([9.0])]))
    0.75
    """
    means = [runs.mean(axis=-1) for runs in strata]
    agents, memoryless, sighted = means[0::3], means[1::3], means[2::3]
    shares = [(a - m) / (s - m) for a, m, s in zip(agents, memoryless, sighted, strict=True)]
    return np.mean(shares, axis=0)
