"""One value to be tuned: a range or a choice."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic import Field, FiniteFloat, model_validator

from jamba_rl.catalogue import Data

if TYPE_CHECKING:
    from optuna import Trial

Number: TypeAlias = int | FiniteFloat


class Dimension(Data):
    """Numbers from ``low`` to ``high``, or some ``choices``.

    ``log`` is for what counts in factors, ``step`` lies between two values that are tried. Whole numbers are tried
    where both ends are whole.
    """

    low: Number | None = None
    high: Number | None = None
    log: bool = False
    step: Number | None = Field(default=None, gt=0)
    choices: tuple[Any, ...] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Dimension:
        if self.choices is not None:
            if self.low is not None or self.high is not None or self.log or self.step is not None:
                raise ValueError("give low and high, or choices, not both")
            if len(set(self._texts())) != len(self.choices) or not self.choices:
                raise ValueError(f"choices must be some, each once, was {list(self.choices)}")
            return self
        if self.low is None or self.high is None:
            raise ValueError("needs low and high, or choices")
        if not self.low < self.high:
            raise ValueError(f"low must be below high, was {self.low} and {self.high}")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError(f"log needs low above 0 and no step, was {self.low} and {self.step}")
        if self.step is not None and not _divides(self.step, self.high - self.low):
            raise ValueError(f"step must lead from low to high, was {self.step} from {self.low} to {self.high}")
        if self.whole and not isinstance(self.step, int | None):
            raise ValueError(f"step must be whole where low and high are, was {self.step}")
        return self

    @property
    def whole(self) -> bool:
        """Whether whole numbers are tried."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def examples(self) -> tuple[Any, ...]:
        """All choices, or both ends: what has to be valid before anything is tried."""
        return (self.low, self.high) if self.choices is None else self.choices

    def draw(self, trial: Trial, key: str) -> Any:
        """A value for a trial, or the one it has already; choices go as JSON, since Optuna knows no lists."""
        if self.choices is not None:
            return self.value(trial.suggest_categorical(key, self._texts()))
        assert self.low is not None
        assert self.high is not None
        if self.whole:
            return trial.suggest_int(key, int(self.low), int(self.high), log=self.log, step=int(self.step or 1))
        return trial.suggest_float(key, self.low, self.high, log=self.log, step=self.step)

    def value(self, drawn: Any) -> Any:
        """What Optuna has on record, as it is meant."""
        return drawn if self.choices is None else json.loads(drawn)

    def _texts(self) -> list[str]:
        return [json.dumps(choice) for choice in self.choices or ()]


def _divides(step: float, width: float) -> bool:
    """Whether some steps are as wide, but for rounding."""
    return abs(width / step - round(width / step)) < 1e-9
