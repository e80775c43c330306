"""The policies by name; they differ in their backbone only."""

from __future__ import annotations

from jamba_rl.rl.ppo import policies as ppo
from jamba_rl.rl.sac.policy import RecurrentSACPolicy


class JambaPolicy(RecurrentSACPolicy):
    """The hybrid: Mamba latches and integrates, attention recalls exactly."""

    default_network = ppo.JambaPolicy.default_network


class MambaPolicy(RecurrentSACPolicy):
    """Mamba alone."""

    default_network = ppo.MambaPolicy.default_network


class AttentionPolicy(RecurrentSACPolicy):
    """Attention alone, over the last 64 steps."""

    default_network = ppo.AttentionPolicy.default_network


class SSMPolicy(RecurrentSACPolicy):
    """The linear, time-invariant state-space baseline."""

    default_network = ppo.SSMPolicy.default_network


class GruPolicy(RecurrentSACPolicy):
    """One GRU."""

    default_network = ppo.GruPolicy.default_network


class LstmPolicy(RecurrentSACPolicy):
    """One LSTM."""

    default_network = ppo.LstmPolicy.default_network


class MlpPolicy(RecurrentSACPolicy):
    """No memory: the same network with the mixer taken out, and a feed-forward for its parameters."""

    default_network = ppo.MlpPolicy.default_network


OURS = (JambaPolicy, MambaPolicy, AttentionPolicy, SSMPolicy, LstmPolicy, GruPolicy, MlpPolicy)
_BY_NAME = {policy.__name__: policy for policy in OURS}
POLICIES: dict[str, type[RecurrentSACPolicy]] = {name: _BY_NAME[kind.__name__] for name, kind in ppo.POLICIES.items()}
"""Every policy that ``RecurrentSAC`` knows by name; the names are those of ``RecurrentPPO``."""
