"""DHC-SSM, the baseline of DHC-Jamba: the same network around a simple state-space model.

Letters of the shape suffixes: B batch, T time, D features, S states.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from jamba_rl.models.classifier import ImageClassifier
from jamba_rl.nn.check import check_count, check_type
from jamba_rl.nn.images import SpatialEncoder


class TemporalSSM(nn.Module):
    """h_t = tanh(A h_{t-1} + B x_t); y_t = C h_t + D x_t, with matrices that do not depend on the input.

    In DHC-SSM-Enhanced the state was emptied at every call, which saw one token: A had no effect and no gradient. Here
    it runs over a sequence. Matrices begin as those of ``nn.Linear``; there they began a hundredth of that.
    """

    def __init__(self, features: int = 256, states: int = 64) -> None:
        super().__init__()
        recurrence = nn.RNN(features, states, bias=False, batch_first=True, device="meta")  # A and B, not yet drawn
        self.recurrence = recurrence.to_empty(device=torch.get_default_device())
        for weight in reversed(self.recurrence.all_weights[0]):
            nn.init.kaiming_uniform_(weight, math.sqrt(5))  # as nn.Linear does
        self.C = nn.Linear(states, features, bias=False)
        self.D = nn.Linear(features, features, bias=False)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Run (B, T, D) from a state (B, S), None for zeros; return y (B, T, D) and the state after it."""
        states_BTS, last_1BS = self.recurrence(x, None if state is None else state[None])
        return self.C(states_BTS) + self.D(x), last_1BS[0]


@dataclass(frozen=True)
class DHCSSMConfig:
    """A DHC-SSM; ``tokens`` and what follows as in ``DHCJambaConfig``."""

    input_channels: int = 3
    hidden_dim: int = 64
    state_dim: int = 64
    output_dim: int = 10
    tokens: str = "patches"
    pools: int = 2
    image_size: tuple[int, int] | None = None
    head_dropout: float = 0.3


class DHCSSMModel(ImageClassifier):
    """Images to classes through a ``TemporalSSM``.

    >>> DHCSSMModel(DHCSSMConfig()).num_parameters  # as DHC-SSM-Enhanced measured
    507402
    """

    architecture = "DHC-SSM"
    complexity = "O(n), n tokens"

    def __init__(self, config: DHCSSMConfig | None = None) -> None:
        config = DHCSSMConfig() if config is None else config
        check_type("config", config, DHCSSMConfig)
        check_count("state_dim", config.state_dim)
        encoder = SpatialEncoder(config.input_channels, config.hidden_dim, config.pools)
        super().__init__(encoder, config.output_dim, config.tokens, config.image_size, config.head_dropout)
        self.config = config
        self.temporal_ssm = TemporalSSM(encoder.features_dim, config.state_dim)

    def mix(self, tokens: Tensor) -> tuple[Tensor, Tensor]:  # noqa: D102
        return self.temporal_ssm(tokens)[0], tokens.new_zeros(())
