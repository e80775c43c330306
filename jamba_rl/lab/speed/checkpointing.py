"""What gradient checkpointing saves, and what it costs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.profiler import record_function

from jamba_rl.lab.speed.effort import Effort
from jamba_rl.lab.speed.memory import live_bytes
from jamba_rl.lab.speed.passes import forward_backward
from jamba_rl.lab.speed.row import Bar, Figures, Row, make_row, share
from jamba_rl.nn import Jamba, JambaConfig

MB = 1e6
END_OF_FORWARD = "end of forward"


def checkpointing(
    effort: Effort, pattern: str = "MMMAMMMA", d_model: int = 128, batch: int = 8, steps: int = 256
) -> list[Row]:
    """Compare a stack with dense feed-forwards and its twin that computes branches again: memory and time.

    Memory is what torch's allocator has live, beyond what was live before: at the end of the forward pass
    (activations kept for the backward pass, and the output), and at the worst moment of both passes (the gradients of
    all weights included).
    """
    x = torch.randn(batch, steps, d_model, requires_grad=True)
    sizes: dict[str, Any] = {"d_model": d_model, "pattern": pattern, "ffn_pattern": "D"}
    plain, light = (Jamba(JambaConfig(**sizes, gradient_checkpointing=on)).train() for on in (False, True))
    light.load_state_dict(plain.state_dict())
    without, kept = memory(plain, x), memory(light, x)

    def saved(moment: str) -> Figures:
        ours, peer = kept[moment] / MB, without[moment] / MB
        return Figures(100 * (1 - ours / peer), ours=ours, peer=peer, unit="MB")

    def slowdown() -> Figures:
        calls = {
            name: forward_backward(lambda stack=stack: stack(x).hidden, [x, *stack.parameters()])  # type: ignore[misc]
            for name, stack in (("plain", plain), ("light", light))
        }
        times = effort.time(calls)
        return share(times["light"], times["plain"])

    what = f"gradient checkpointing, {len(pattern)} layers {pattern}, B{batch} T{steps} d{d_model}: "
    least, against = Bar(40, "%", at_least=True), "without"
    return [
        make_row("checkpointing", what + "memory saved, forward", against, least, lambda: saved("forward")),
        make_row("checkpointing", what + "memory saved, peak", against, least, lambda: saved("peak")),
        make_row("checkpointing", what + "time", against, Bar(1.35, "x"), slowdown),
    ]


def memory(backbone: Jamba, x: Tensor) -> dict[str, int]:
    """Bytes that a forward and backward pass has allocated at the end of ``forward``, and at its ``peak``."""
    leaves = [x, *backbone.parameters()]
    weight = torch.randn_like(x)

    def both_passes() -> object:
        hidden = backbone(x).hidden
        with record_function(END_OF_FORWARD):
            pass
        return hidden, torch.autograd.grad(hidden, leaves, weight)

    both_passes()  # what is allocated once and for all is no activation
    peak, at_marks = live_bytes(both_passes, {END_OF_FORWARD})
    return {"forward": at_marks[END_OF_FORWARD], "peak": peak}
