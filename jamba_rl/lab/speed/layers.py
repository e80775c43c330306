"""What each kind of layer costs at equal width, and what others make of the same layer."""

from __future__ import annotations

from functools import partial

import torch

from jamba_rl.lab.speed.effort import Effort
from jamba_rl.lab.speed.memory import live_bytes
from jamba_rl.lab.speed.number import Number, timed
from jamba_rl.lab.speed.subject import Maker, Subject, beside, layers_like, made, ours
from jamba_rl.lab.speed.turns import in_turn
from jamba_rl.nn import Jamba, JambaConfig
from jamba_rl.nn.accounting import cost_table, count_parameters, flops_per_token
from jamba_rl.nn.patterns import FEEDFORWARDS, MIXERS

WIDTH = 64
MB = 1e6


def layers(effort: Effort, batch: int = 16, steps: int = 64, width: int = WIDTH) -> list[Number]:
    """Compare stacks of one block, of every kind: that of N is the norm at the end and nothing else.

    Then N with a dense feed-forward and with experts.
    """
    configs = {f"{letter} {MIXERS[letter]}": JambaConfig(d_model=width, pattern=letter) for letter in MIXERS}
    for letter in "DE":
        configs[f"N{letter} {FEEDFORWARDS[letter]}"] = JambaConfig(d_model=width, pattern="N", ffn_pattern=letter)
    makers: dict[str, Maker] = {name: partial(ours, config) for name, config in configs.items()}
    for letter, peers in layers_like(JambaConfig(d_model=width)).items():
        makers |= {f"{letter} of {peer}": beside(f"{letter} {MIXERS[letter]}", make) for peer, make in peers.items()}
    subjects, absent = made(makers)
    numbers = [number for name, config in configs.items() for number in _sizes(name, config, steps)]
    numbers += _passes(effort, subjects, batch, steps)
    numbers += _steps(effort, {name: Jamba(config).eval() for name, config in configs.items()}, batch)
    return numbers + [Number("layers", name, "forward", None, note=note) for name, note in absent.items()]


def _sizes(name: str, config: JambaConfig, steps: int) -> list[Number]:
    stack = Jamba(config)
    (row,) = cost_table(stack, steps)
    return [
        Number("layers", name, "parameters", count_parameters(stack).total),
        Number("layers", name, "FLOPs per token", flops_per_token(stack, steps), steps=steps),
        Number("layers", name, "state", row.state_bytes, "B", steps=steps),
    ]


def _passes(effort: Effort, subjects: dict[str, Subject], batch: int, steps: int) -> list[Number]:
    """Forward passes, training steps, and the peak memory of these."""
    numbers = []
    for quantity, call in (("forward", Subject.forward_call), ("training step", Subject.training_call)):
        numbers += in_turn("layers", quantity, call, subjects, (batch, steps), effort)
    for name, who in subjects.items():
        training = who.training_call(batch, steps)
        training()
        peak = live_bytes(training)[0] / MB
        numbers.append(Number("layers", name, "peak of a training step", peak, "MB", batch, steps, against=who.against))
    return numbers


def _steps(effort: Effort, stacks: dict[str, Jamba], batch: int) -> list[Number]:
    """One step with its memory, as in a rollout."""
    calls = {}
    for name, stack in stacks.items():
        x, state = torch.randn(batch, stack.config.d_model), stack.initial_state(batch)
        calls[name] = partial(stack.step, x, state)
    with torch.no_grad():
        times = effort.time(calls)
    return [timed("layers", name, "one step", each, "us", batch, 1) for name, each in times.items()]
