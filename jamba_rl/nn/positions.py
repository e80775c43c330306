"""How a step knows where in its episode it is: rotary angles, and learned vectors.

The third way, a learned bias per lag, is a part of ``attention``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from jamba_rl.nn.config import JambaConfig
from jamba_rl.nn.episodes import age_after, episode_starts, positions
from jamba_rl.nn.mixer import Mixer, State


def rotate(heads: Tensor, position: Tensor, base: float) -> Tensor:
    """Turn each pair of features (2k, 2k + 1) by the angle ``position * base**(-2k / K)`` (RoPE, Su et al. 2021).

    The angle is taken in double precision: in single precision an episode of a million steps would
    be off by 0.02.

    :param heads: (B, T, H, K)
    :param position: (B, T)
    """
    K = heads.shape[-1]
    rate_K2 = base ** (-torch.arange(0, K, 2, dtype=torch.double, device=heads.device) / K)
    angle_BT1K2 = position[:, :, None, None] * rate_K2
    cos, sin = angle_BT1K2.cos().to(heads.dtype), angle_BT1K2.sin().to(heads.dtype)
    even, odd = heads[..., 0::2], heads[..., 1::2]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2)


class LearnedPosition(Mixer):
    """Adds a learned vector to the input of a stack, by steps since the start of the episode.

    Steps from ``max_positions`` on share the last vector. The state is (age (B,),), the number of
    steps since the episode began.
    """

    def __init__(self, config: JambaConfig) -> None:
        super().__init__()
        self.table = nn.Embedding(config.max_positions, config.d_model)
        nn.init.normal_(self.table.weight, std=0.02)

    def forward(self, x: Tensor, state: State | None, reset: Tensor | None = None) -> tuple[Tensor, State]:  # noqa: D102
        (age,) = self.initial_state(len(x)) if state is None else state
        starts_BT = episode_starts(age, reset, x.shape[1])
        position_BT = positions(starts_BT).clamp(max=self.table.num_embeddings - 1)
        return x + self.table(position_BT), (age_after(starts_BT),)

    def step(self, x: Tensor, state: State, reset: Tensor | None = None) -> tuple[Tensor, State]:  # noqa: D102
        y, state = self.forward(x[:, None], state, None if reset is None else reset[:, None])
        return y[:, 0], state

    def initial_state(self, batch: int) -> State:  # noqa: D102
        return (torch.zeros(batch, dtype=torch.long, device=self.table.weight.device),)
