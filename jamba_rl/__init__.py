"""Memory for reinforcement learning agents: Jamba for Stable-Baselines3.

The public names are imported when they are first used, so that `jamba-rl --help` need not wait for
torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from jamba_rl.version import __version__

if TYPE_CHECKING:
    from jamba_rl.rl import RecurrentPPO
    from jamba_rl.tasks import make_env

_HOMES = {"RecurrentPPO": "jamba_rl.rl", "make_env": "jamba_rl.tasks"}

__all__ = ["RecurrentPPO", "__version__", "make_env"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'jamba_rl' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
