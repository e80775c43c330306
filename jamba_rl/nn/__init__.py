"""Sequence models with explicit memory: torch only."""

from jamba_rl.nn.config import JambaConfig
from jamba_rl.nn.jamba import Jamba, JambaOutput
from jamba_rl.nn.mixer import State
from jamba_rl.nn.optimizer import parameter_groups
from jamba_rl.nn.scan import selective_scan
from jamba_rl.nn.tracing import BlockTrace, trace

__all__ = [
    "BlockTrace",
    "Jamba",
    "JambaConfig",
    "JambaOutput",
    "State",
    "parameter_groups",
    "selective_scan",
    "trace",
]
