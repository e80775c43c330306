"""Which agents can be compared over which tasks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jamba_rl.lab.report.order import in_order
from jamba_rl.lab.report.study import Study

MOST = 4


@dataclass(frozen=True)
class Block:
    """Agents of one kind of algorithm, and all tasks with a scale on which every one of them was run."""

    agents: tuple[str, ...]
    envs: tuple[str, ...]

    def strata(self, study: Study, agent: str) -> list[NDArray[np.float64]]:
        """Normalised scores of an agent, task by task."""
        return [study.values(agent, env, "normalised") for env in self.envs]


def blocks(study: Study) -> list[Block]:
    """The comparisons over several tasks that are complete, those of most tasks first.

    A number over tasks is only fair between agents that were run on all of them. So each set of agents that shares a
    task makes a block, with all tasks that have these agents.
    """
    found: dict[tuple[str, ...], list[str]] = {}
    envs = [env for env in study.envs if study.anchors[env].whole]
    shared = {env: {part: _of_part(study, env, part) for part in ("ppo", "sac")} for env in envs}
    for part in ("ppo", "sac"):
        for agents in {shared[env][part] for env in envs}:
            if len(agents) > 1:
                found[agents] = [env for env in envs if set(agents) <= set(shared[env][part])]
    made = [Block(agents, tuple(envs)) for agents, envs in found.items()]
    several = [block for block in made if len(block.envs) > 1]
    return sorted(several, key=lambda block: (-len(block.envs), -len(block.agents), block.agents))[:MOST]


def _of_part(study: Study, env: str, part: str) -> tuple[str, ...]:
    return tuple(in_order(agent for agent in study.agents_on(env) if study.part(agent) == part))
