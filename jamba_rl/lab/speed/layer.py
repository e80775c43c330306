"""A whole Mamba layer, forward and backward: against transformers' own, and against its projections alone."""

from __future__ import annotations

import torch
from torch import nn

from jamba_rl.lab.speed.effort import Effort
from jamba_rl.lab.speed.passes import forward_backward, projections
from jamba_rl.lab.speed.peers import find, hf_config
from jamba_rl.lab.speed.row import Bar, Figures, Row, make_row, share, slower
from jamba_rl.nn import JambaConfig
from jamba_rl.nn.mamba import Mamba

RESET_RATE = 0.01


def layer(
    effort: Effort, bars: tuple[tuple[int, float], ...] = ((128, 20), (512, 100)), d_model: int = 64, batch: int = 8
) -> list[Row]:
    """Time our layer, with norms on dt, B and C, and theirs, with the same weights.

    :param bars: how many times slower theirs has to be, for each number of steps
    """

    def measure(steps: int) -> Figures:
        theirs, ours = mixers(d_model)
        x = torch.randn(batch, steps, d_model, requires_grad=True)
        calls = {
            "ours": forward_backward(lambda: ours(x, ours.initial_state(batch))[0], [x, *ours.parameters()]),
            "theirs": forward_backward(lambda: theirs(x), [x, *theirs.parameters()]),
        }
        times = effort.time(calls, slow=True)
        return slower(times["ours"], times["theirs"])

    return [
        make_row(
            "layer",
            f"Mamba layer with norms, forward + backward, B{batch} T{steps} d{d_model}",
            "HF JambaMambaMixer",
            Bar(limit, "x", at_least=True),
            lambda steps=steps: measure(steps),  # type: ignore[misc]
        )
        for steps, limit in bars
    ]


def minibatch(effort: Effort, batch: int = 4, steps: int = 64, d_model: int = 64) -> list[Row]:
    """Time a layer on a minibatch of PPO, with resets and a state from the rollout, beside its projections alone."""

    def measure(norms: bool) -> Figures:
        config = JambaConfig(d_model=d_model, pattern="M", mamba_norms=norms)
        mixer = Mamba(config)
        x = torch.randn(batch, steps, d_model, requires_grad=True)
        state, reset = mixer.initial_state(batch), torch.rand(batch, steps) < RESET_RATE
        sizes = (d_model, config.d_inner, config.d_state, config.dt_rank)
        calls = {
            "ours": forward_backward(lambda: mixer(x, state, reset)[0], [x, *mixer.parameters()]),
            "projections": projections(*sizes, batch, steps),
        }
        times = effort.time(calls)
        return share(times["ours"], times["projections"])

    return [
        make_row(
            "minibatch",
            f"Mamba layer {text} norms, forward + backward, B{batch} T{steps} d{d_model}",
            "its four projections",
            Bar(2.0, "x"),
            lambda norms=norms: measure(norms),  # type: ignore[misc]
        )
        for text, norms in (("without", False), ("with", True))
    ]


def mixers(d_model: int) -> tuple[nn.Module, Mamba]:
    """Make their mixer and ours, of equal sizes and weights.

    :raises Absent: transformers is not installed
    """
    modeling = find("transformers", "transformers.models.jamba.modeling_jamba")
    theirs = modeling.JambaMambaMixer(hf_config(hidden_size=d_model, num_attention_heads=4), layer_idx=0)
    ours = Mamba(JambaConfig(d_model=d_model, pattern="M", mamba_norms=True, rotations=0))
    ours.load_state_dict(theirs.state_dict())  # the names are the same
    return theirs, ours
