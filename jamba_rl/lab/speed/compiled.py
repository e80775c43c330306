"""Whether ``torch.compile`` makes a stack faster than calling it as it is."""

from __future__ import annotations

import torch

from jamba_rl.lab.speed.effort import Effort
from jamba_rl.lab.speed.passes import forward_backward
from jamba_rl.lab.speed.row import Absent, Figures, Row, make_row, slower
from jamba_rl.lab.speed.timing import Call
from jamba_rl.nn import Jamba, JambaConfig

MADE = "compiled by torch.compile"


def compiled(
    effort: Effort,
    pattern: str = "MA",
    d_model: int = 64,
    batch: int = 4,
    steps: int = 64,
    envs: int = 16,
    backend: str = "inductor",
) -> list[Row]:
    """Time a minibatch of PPO and a step of a rollout; what is compiled does without our kernels.

    :param batch: sequences of the minibatch
    :param envs: rows of the step
    :param backend: of ``torch.compile``
    """

    def minibatch() -> Figures:
        backbone = Jamba(JambaConfig(d_model=d_model, pattern=pattern))
        x = torch.randn(batch, steps, d_model, requires_grad=True)
        other = torch.compile(backbone, backend=backend)
        return _compare(
            effort,
            *(forward_backward(lambda f=f: f(x).hidden, [x, *backbone.parameters()]) for f in (backbone, other)),  # type: ignore[misc]
        )

    @torch.no_grad()
    def step() -> Figures:
        backbone = Jamba(JambaConfig(d_model=d_model, pattern=pattern)).eval()
        x, state = torch.randn(envs, d_model), backbone.initial_state(envs)
        other = torch.compile(backbone.step, backend=backend)
        return _compare(effort, lambda: backbone.step(x, state), lambda: other(x, state))

    what = f"stack {pattern} as it is, "
    return [
        make_row("compiled", what + f"forward + backward, B{batch} T{steps} d{d_model}", MADE, None, minibatch),
        make_row("compiled", what + f"one step, B{envs} d{d_model}", MADE, None, step),
    ]


def _compare(effort: Effort, ours: Call, other: Call) -> Figures:
    try:
        other()
    except Exception as error:  # whatever a compiler says: no row may take the others with it
        raise Absent(f"torch.compile failed here: {type(error).__name__}") from error
    times = effort.time({"ours": ours, "other": other})
    return slower(times["ours"], times["other"])
