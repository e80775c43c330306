"""How large models are: presets, also those that no machine here could hold, and agents."""

from __future__ import annotations

import torch

from jamba_rl import catalogue
from jamba_rl.lab.agent import load_agent
from jamba_rl.lab.build import learned_parameters
from jamba_rl.lab.inspection import policy_of
from jamba_rl.lab.speed.effort import Effort
from jamba_rl.lab.speed.number import Number
from jamba_rl.nn import Jamba, JambaConfig
from jamba_rl.nn.accounting import cost_table, count_parameters, flops_per_token
from jamba_rl.nn.presets import PRESETS

CONTEXT = 1024  # steps in memory, which only attention without a window holds all
ENV = "halfcheetah"  # whose observations and actions the agents have


def sizes(effort: Effort, agents: list[str] | None = None) -> list[Number]:
    """Count parameters, operations per token (forward and backward) and bytes of memory per sequence.

    Of agents, parameters are those of the whole policy on ``ENV``; the rest is of its network, of which agents with
    separate memories have several.
    """
    found = [number for name in PRESETS for number in _preset(name)]
    names = catalogue.names("agents") if agents is None else agents
    for i, name in enumerate(names):
        effort.progress(i / len(names))
        found += _agent(name)
    return found


def _preset(name: str) -> list[Number]:
    with torch.device("meta"):  # counts without holding anything
        stack = Jamba(JambaConfig.preset(name))
        counted = count_parameters(stack)
        return [*_parameters(name, counted.total, counted.active), *_costs(name, stack)]


def _agent(name: str) -> list[Number]:
    with policy_of(name, ENV) as policy:
        size = learned_parameters(policy)
    with torch.device("meta"):
        costs = _costs(name, Jamba(load_agent(name).network))
    return [*_parameters(name, size.total, size.active), *costs]


def _parameters(name: str, total: int, active: int) -> list[Number]:
    return [Number("sizes", name, "parameters", total), Number("sizes", name, "active parameters", active)]


def _costs(name: str, stack: Jamba) -> list[Number]:
    state = sum(row.state_bytes for row in cost_table(stack, CONTEXT))
    return [
        Number("sizes", name, "FLOPs per token", flops_per_token(stack, CONTEXT), steps=CONTEXT),
        Number("sizes", name, "state", state, "B", steps=CONTEXT),
    ]
