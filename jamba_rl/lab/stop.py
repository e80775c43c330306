"""When a run has learned what there is to learn, before its last step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import PositiveInt

from jamba_rl.catalogue import Data


class Stop(Data):
    """It is enough when ``times`` evaluations in a row have a ``metric`` of at least ``at``."""

    metric: Literal["mean_reward", "mean_length"] = "mean_reward"
    at: float
    times: PositiveInt = 1

    def reached(self, rows: Sequence[Mapping[str, str]]) -> bool:
        """Whether the newest evaluations are good enough.

        :param rows: of evaluations.csv

        >>> rows = [{"mean_reward": "1.0"}, {"mean_reward": "0.9"}]
        >>> Stop(at=0.9, times=2).reached(rows), Stop(at=0.9, times=3).reached(rows), Stop(at=0.95).reached(rows)
        (True, False, False)
        """
        newest = rows[-self.times :]
        return len(newest) == self.times and all(float(row[self.metric]) >= self.at for row in newest)
