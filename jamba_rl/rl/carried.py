"""What algorithms do whose policies carry a memory, whatever they learn from it."""

from __future__ import annotations

import io
import pathlib
from collections.abc import Iterable

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import BasePolicy

from jamba_rl.nn import State
from jamba_rl.rl.options import policy_named
from jamba_rl.rl.sequences import to_arrays, to_tensors


class CarriesMemory(BaseAlgorithm):
    """An algorithm of SB3 that keeps a memory between the steps it takes in its envs, in its files too."""

    _last_state: State | tuple[np.ndarray, ...] = ()

    def _get_policy_from_name(self, policy_name: str) -> type[BasePolicy]:
        return policy_named(policy_name, self.policy_aliases)

    def _take_up_memory(self, empty: State) -> None:
        """Keep a loaded memory, so that learning goes on in mid-episode; not with other envs, though.

        :param empty: the memory of these envs, to begin with
        """
        if [part.shape for part in self._last_state] == [part.shape for part in empty]:
            self._last_state = to_tensors(self._last_state, self.device)
        else:
            self._last_state, self._last_obs = empty, None

    def save(
        self,
        path: str | pathlib.Path | io.BufferedIOBase,
        exclude: Iterable[str] | None = None,
        include: Iterable[str] | None = None,
    ) -> None:
        """As SB3's; the memory in mid-episode goes with it, on no particular device."""
        state = self._last_state
        self._last_state = to_arrays(state)  # type: ignore[arg-type]
        try:
            super().save(path, exclude, include)
        finally:
            self._last_state = state
