"""Whether agents are compared like with like: in what they differ besides their network."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jamba_rl import catalogue
from jamba_rl.lab.report.numbers import listed, percent
from jamba_rl.lab.report.order import in_order
from jamba_rl.lab.report.page import Section
from jamba_rl.lab.report.runs import Run
from jamba_rl.lab.report.same import ABSENT, differences
from jamba_rl.lab.report.schema import PARTS
from jamba_rl.lab.report.study import Study

WORDS = {"seed", "device", "video_every", "agent.name", "agent.description", "agent.network"}
WORDS |= {"task.name", "task.description", "task.sighted", "task.reference"}
ALIKE = 0.10  # parameters that differ by no more are as many


def compared(study: Study) -> Section:
    """Everything that compared agents do not share, but their network."""
    said: dict[str, list[str]] = defaultdict(list)  # statement -> where it holds
    for env in study.envs:
        first = {agent: study.runs_of(agent, env)[0] for agent in study.agents_on(env)}
        for text in [*_configs(first, study.experiment.differ), *_parameters(first), *_seeds(study, env)]:
            said[text].append(env)
    points = [text if len(envs) == len(study.envs) else f"{listed(envs)}: {text}" for text, envs in said.items()]
    points += _of_their_own(study)
    same = "Compared agents differ in their network alone, and their parameters are equal within 10%."
    if all(len(study.agents_on(env)) == 1 for env in study.envs):
        same = "No two agents were run on the same task, so nothing is compared."
    return Section("compared", "What is compared", words=[] if points else [same], points=points)


def _configs(runs: Mapping[str, Run], declared: Sequence[str]) -> Iterator[str]:
    """What differs between the configs of agents on one env.

    :param declared: keys of agents that differ on purpose
    """
    by_key: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))  # key -> value -> agents
    agents = list(runs)
    parts = {run.part for run in runs.values()}
    # the part of a protocol that no agent goes by may be anything; two parts are two protocols
    unused = {f"task.protocol.{part}" for part in PARTS if parts != {part}}
    different = {key for agent in agents[1:] for key in _different(runs[agents[0]], runs[agent], WORDS | unused)}
    for key in sorted(different):
        for agent in agents:
            by_key[key][_value(runs[agent].config, key)].append(agent)
    if len(parts) > 1:
        yield "**Two algorithms**: agents of PPO and of SAC go by protocols of their own."
    for key, agents_by_value in by_key.items():
        values = "; ".join(f"{value} for {listed(in_order(who))}" for value, who in agents_by_value.items())
        yield f"{_what(key, declared)} `{key}` differs: {values}."


def _different(one: Run, other: Run, may_differ: set[str]) -> Iterator[str]:
    """Keys that differ; of agents of unlike algorithms those that both have."""
    unlike = one.agent.algorithm != other.agent.algorithm
    for key, a, b in differences(one.config, other.config, may_differ):
        if not (unlike and (a is ABSENT or b is ABSENT)):
            yield key


def _what(key: str, declared: Sequence[str]) -> str:
    if key == "task.protocol.stepping":
        return "**Envs are stepped differently**, and EnvPool has random numbers of its own:"
    if key.startswith("task.protocol"):
        return "**The protocol is not the same**:"
    if key.startswith("task"):
        return "**The task is not the same**:"
    on_purpose = key.removeprefix("agent.").split(".")[0] in declared
    return f"**More than the network{', on purpose' if on_purpose else ''}**:"


def _value(config: Mapping[str, Any], key: str) -> str:
    value: Any = config
    for name in key.split("."):
        value = value.get(name, "its default") if isinstance(value, Mapping) else "its default"
    return f"`{value}`"


def _parameters(runs: Mapping[str, Run]) -> Iterator[str]:
    """Parameters that a step meets, if they differ by more than a tenth."""
    sizes = {agent: run.result.active_parameters or run.result.parameters for agent, run in runs.items()}
    smallest, largest = min(sizes, key=lambda agent: sizes[agent]), max(sizes, key=lambda agent: sizes[agent])
    more = sizes[largest] / sizes[smallest] - 1
    if more > ALIKE:
        yield (
            f"**Parameters differ by {percent(more)}**: {sizes[largest]:,} of `{largest}` and {sizes[smallest]:,} of "
            f"`{smallest}` meet a step."
        )


def _seeds(study: Study, env: str) -> Iterator[str]:
    """Numbers of seeds, if agents have different ones."""
    counts = {agent: len(study.of(agent, env)) for agent in study.agents_on(env)}
    if len(set(counts.values())) > 1:
        yield f"Seeds are not as many for all: {', '.join(f'{count} of `{agent}`' for agent, count in counts.items())}."


def _of_their_own(study: Study) -> list[str]:
    """Agents that do not ship: a user's own, or a slip of the pen."""
    shipped = catalogue.names("agents")
    own = [agent for agent in study.agents if agent not in shipped]
    if not own:
        return []
    near = {agent: catalogue.nearest(agent, shipped) for agent in own}
    names = ", ".join(f"`{agent}`" + (f" (nearest: `{near[agent]}`)" if near[agent] else "") for agent in own)
    return [f"Not among the agents that ship with jamba-rl: {names}. They are what their runs' config.yaml says."]
