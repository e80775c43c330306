"""What one token costs in longer and longer sequences."""

from __future__ import annotations

import torch

from jamba_rl.lab.speed.effort import Effort
from jamba_rl.lab.speed.passes import forward_backward
from jamba_rl.lab.speed.row import UNITS, Bar, Figures, Row, make_row
from jamba_rl.lab.speed.timing import Times
from jamba_rl.nn import Jamba, JambaConfig

US = UNITS["us"]


def length(
    effort: Effort, lengths: tuple[int, ...] = (64, 256, 1024, 4096), batch: int = 4, d_model: int = 64
) -> list[Row]:
    """Time a stack of two Mamba layers, forward and backward, per token: the dearest length over the cheapest.

    Once with as many tokens per call at every length, so that length alone changes; and once with the same
    batch, where short sequences also carry the fixed cost of a call and long ones leave the processor's cache.

    :param batch: sequences of a call at the greatest length, and at every length of the second row
    """
    tokens = batch * max(lengths)
    batches = {
        f"{tokens:,} tokens per call": ({steps: tokens // steps for steps in lengths}, Bar(1.25, "x")),
        f"batch {batch}": (dict.fromkeys(lengths, batch), None),
    }
    spelled = ", ".join(map(str, lengths))
    return [
        make_row(
            "length",
            f"cost per token at the dearest T of {spelled}, two Mamba layers d{d_model}, forward + backward, {text}",
            "the cheapest T",
            bar,
            lambda sizes=sizes: _flatness(effort, sizes, d_model),  # type: ignore[misc]
        )
        for text, (sizes, bar) in batches.items()
    ]


def _flatness(effort: Effort, sizes: dict[int, int], d_model: int) -> Figures:
    """Compare the lengths; ``sizes`` has the batch of each."""
    backbone = Jamba(JambaConfig(d_model=d_model, pattern="MM"))
    weights = list(backbone.parameters())
    calls = {}
    for steps, batch in sizes.items():
        x = torch.randn(batch, steps, d_model, requires_grad=True)
        calls[str(steps)] = forward_backward(lambda x=x: backbone(x).hidden, [x, *weights])  # type: ignore[misc]
    times = effort.time(calls)
    tokens = {str(steps): steps * batch for steps, batch in sizes.items()}
    per_token = {name: Times(tuple(t / tokens[name] for t in each.rounds)) for name, each in times.items()}
    return _spread(per_token)


def _spread(per_token: dict[str, Times]) -> Figures:
    medians = {name: US * each.median for name, each in per_token.items()}
    rounds = list(zip(*(each.rounds for each in per_token.values()), strict=True))
    ratios = [max(costs) / min(costs) for costs in rounds]  # of single rounds: noise only ever adds to them
    cheapest, dearest = min(medians.values()), max(medians.values())
    details = {"us per token": medians, "us per token, by round": [[US * cost for cost in costs] for costs in rounds]}
    return Figures(dearest / cheapest, min(ratios), max(ratios), dearest, cheapest, "us", details)
