"""From an agent's name to the agent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from jamba_rl import catalogue
from jamba_rl.lab.agent.ppo import PPOAgent
from jamba_rl.lab.agent.sac import SACAgent
from jamba_rl.lab.agent.stock import StockPPOAgent, StockSACAgent
from jamba_rl.tasks.spec import PARTS_BY_NAME

AnyAgent = Annotated[PPOAgent | SACAgent | StockPPOAgent | StockSACAgent, Field(discriminator="algorithm")]
ALGORITHMS: dict[str, type[PPOAgent | SACAgent | StockPPOAgent | StockSACAgent]] = {
    "ppo": PPOAgent,
    "sac": SACAgent,
    "sb3-ppo": StockPPOAgent,
    "sb3-sac": StockSACAgent,
}


def load_agent(name: str, settings: Mapping[str, Any] | None = None, source: object = "--set") -> AnyAgent:
    """Read an agent: its own YAML over the defaults of its algorithm.

    :param name: a name out of ``agents/``, or the path of such a file
    :param settings: values to put over those of the files, nested as in the file
    :param source: of the settings, to name in an error
    :raises UserError: names file, key and the nearest valid choice
    """
    path = catalogue.find("agents", name)
    own = catalogue.load(path)
    kind = kind_of(own, path)
    for key in own.keys() & (PARTS_BY_NAME[kind.part].model_fields.keys() - kind.keys()):
        raise catalogue.UserError(f"{path}: {key!r} belongs to the task: protocol.{kind.part}.{key} in its YAML")
    data = {"name": path.stem} | catalogue.merge(defaults(own["algorithm"]), own)
    agent = catalogue.check(kind, data, path)
    if not settings:
        return agent
    return catalogue.check(kind, catalogue.merge(data, settings), source)


def kind_of(data: Mapping[str, Any], source: object) -> type[PPOAgent | SACAgent | StockPPOAgent | StockSACAgent]:
    """The class of an agent, by its ``algorithm``.

    :param source: what to name in an error
    :raises UserError: if there is no such algorithm
    """
    if "algorithm" not in data:
        raise catalogue.UserError(f"{source}: key 'algorithm' is missing (valid: {', '.join(ALGORITHMS)})")
    algorithm = data["algorithm"]
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise catalogue.UserError(f"{source}: {catalogue.unknown('algorithm', str(algorithm), ALGORITHMS)}")
    return ALGORITHMS[algorithm]


def defaults(algorithm: str) -> dict[str, Any]:
    """What all agents of an algorithm share."""
    return catalogue.load(catalogue.folder("agents") / "defaults" / f"{algorithm}.yaml")
