"""The selective scan of Mamba with what surrounds it in a layer, over sequences and one step at a time.

Public: :func:`selective_scan`. The rest is for the layers of ``jamba_rl.nn``.
"""

from jamba_rl.nn.scan.conv import causal_conv_silu
from jamba_rl.nn.scan.fused import mamba_scan, mamba_scan_step
from jamba_rl.nn.scan.inner import InnerWeights, mamba_decay, mamba_inner
from jamba_rl.nn.scan.selective import selective_scan, selective_scan_step

__all__ = [
    "InnerWeights",
    "causal_conv_silu",
    "mamba_decay",
    "mamba_inner",
    "mamba_scan",
    "mamba_scan_step",
    "selective_scan",
    "selective_scan_step",
]
