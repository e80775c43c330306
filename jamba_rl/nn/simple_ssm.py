"""What DHC-Jamba-Enhanced calls a simple state-space model: two linear layers, one after the other."""

from __future__ import annotations

from torch import Tensor, nn

from jamba_rl.nn.config import JambaConfig
from jamba_rl.nn.mixer import Mixer, State


class SimpleSSM(Mixer):
    """y_t = W_u (W_p x_t + b_p) + b_u: a projection to S = d_hidden "states" and one back, with nothing in between.

    No state goes from a step to the next, so nothing is remembered, whatever the name: it is here because the source's
    comparisons are with it (``SimpleSSMPolicy`` of its run_mujoco_benchmark.py, S half of the width). The linear
    state-space model that its texts describe is ``LinearSSM``.
    """

    def __init__(self, config: JambaConfig) -> None:
        super().__init__()
        self.in_proj = nn.Linear(config.d_model, config.d_hidden)
        self.out_proj = nn.Linear(config.d_hidden, config.d_model)

    def forward(self, x: Tensor, state: State | None, reset: Tensor | None = None) -> tuple[Tensor, State]:  # noqa: D102
        return self.out_proj(self.in_proj(x)), ()

    def step(self, x: Tensor, state: State, reset: Tensor | None = None) -> tuple[Tensor, State]:  # noqa: D102
        return self.out_proj(self.in_proj(x)), ()

    def initial_state(self, batch: int) -> State:  # noqa: D102
        return ()
