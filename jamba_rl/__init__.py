"""Memory for reinforcement learning agents: Jamba for Stable-Baselines3.

The public names are imported when they are first used, so that `jamba-rl --help` need not wait for
torch. Once Stable-Baselines3 is there too, its PPO and SAC know the policy `JambaPolicy`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

from jamba_rl.version import __version__

if TYPE_CHECKING:
    from jamba_rl.rl import (
        HistoryReplayBuffer,
        HistoryWrapper,
        JambaFeaturesExtractor,
        RecurrentPPO,
        RecurrentSAC,
        SequenceReplayBuffer,
        VecHistory,
        VecHistoryNormalize,
    )
    from jamba_rl.tasks import make_env

_HOMES = {
    "HistoryReplayBuffer": "jamba_rl.rl",
    "HistoryWrapper": "jamba_rl.rl",
    "JambaFeaturesExtractor": "jamba_rl.rl",
    "RecurrentPPO": "jamba_rl.rl",
    "RecurrentSAC": "jamba_rl.rl",
    "SequenceReplayBuffer": "jamba_rl.rl",
    "VecHistory": "jamba_rl.rl",
    "VecHistoryNormalize": "jamba_rl.rl",
    "make_env": "jamba_rl.tasks",
}

__all__ = [
    "HistoryReplayBuffer",
    "HistoryWrapper",
    "JambaFeaturesExtractor",
    "RecurrentPPO",
    "RecurrentSAC",
    "SequenceReplayBuffer",
    "VecHistory",
    "VecHistoryNormalize",
    "__version__",
    "make_env",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'jamba_rl' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__


class _AfterSB3(MetaPathFinder):
    """Imports `jamba_rl.rl`, which registers our policies, as soon as somebody else has imported SB3.

    SB3 has no place where a package could announce a policy without importing SB3 first, and to do
    that here would cost everybody seconds, also those who only read results.
    """

    searching = False

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Find SB3 as the other finders do, and add to what its loader does; find nothing else."""
        if name != "stable_baselines3" or self.searching:
            return None
        self.searching = True
        try:
            spec = find_spec(name)
        finally:
            self.searching = False
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module
            spec.loader.exec_module = lambda module: _load_then_register(load, module)  # type: ignore[method-assign]
        return spec


def _load_then_register(load: Callable[[ModuleType], None], module: ModuleType) -> None:
    load(module)
    # else it is jamba_rl.rl that imports SB3, and it registers when it is complete itself
    if "jamba_rl.rl" not in sys.modules:
        import_module("jamba_rl.rl")


if "stable_baselines3" in sys.modules:
    import_module("jamba_rl.rl")
else:
    sys.meta_path.insert(0, _AfterSB3())
