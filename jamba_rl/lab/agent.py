"""What learns: an algorithm with its hyperparameters, and a network."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, field_serializer, field_validator

from jamba_rl import catalogue
from jamba_rl.catalogue import Data
from jamba_rl.nn import JambaConfig


class Normalize(Data):
    """What is scaled by running statistics: observations, where they are real numbers, and rewards."""

    observations: bool
    rewards: bool


class Heads(Data):
    """The layers between what is remembered and the action or value."""

    net_arch: tuple[PositiveInt, ...]
    activation: Literal["tanh", "relu", "silu"]


class Agent(Data):
    """What all agents have; compared agents differ in ``network`` alone."""

    name: str
    description: str = ""
    network: JambaConfig
    normalize: Normalize
    policy: Heads

    @field_validator("network")
    @classmethod
    def _network_of_an_agent(cls, network: JambaConfig) -> JambaConfig:
        if network.memory_grows:
            raise ValueError("window must be a number for an agent: its memory must not grow while it acts")
        return network

    @field_serializer("network")
    def _network_fields(self, network: JambaConfig) -> dict[str, Any]:
        return {field.name: getattr(network, field.name) for field in dataclasses.fields(network) if field.init}


class PPOAgent(Agent):
    """PPO; the names are those of SB3's ``PPO``.

    ``learning_rate_schedule: linear`` lets the learning rate fall to 0 at the end of training.
    """

    algorithm: Literal["ppo"]
    learning_rate: PositiveFloat
    learning_rate_schedule: Literal["constant", "linear"]
    batch_size: PositiveInt
    n_epochs: PositiveInt
    clip_range: PositiveFloat
    ent_coef: NonNegativeFloat
    vf_coef: NonNegativeFloat
    max_grad_norm: PositiveFloat
    target_kl: PositiveFloat | None
    sequence_length: Annotated[int, Field(ge=1)] | None


ALGORITHMS = {"ppo": PPOAgent}


def load_agent(name: str, settings: Mapping[str, Any] | None = None) -> PPOAgent:
    """Read an agent: its own YAML over the defaults of its algorithm.

    :param name: a name out of ``agents/``, or the path of such a file
    :param settings: values to put over those of the files, nested as in the file
    :raises UserError: names file, key and the nearest valid choice
    """
    path = catalogue.find("agents", name)
    own = catalogue.load(path)
    algorithm = own.get("algorithm")
    if algorithm not in ALGORITHMS:
        raise catalogue.UserError(f"{path}: {catalogue.unknown('algorithm', str(algorithm), ALGORITHMS)}")
    defaults = catalogue.load(catalogue.folder("agents") / "defaults" / f"{algorithm}.yaml")
    data = {"name": path.stem} | catalogue.merge(defaults, own)
    agent = catalogue.check(ALGORITHMS[algorithm], data, path)
    if not settings:
        return agent
    return catalogue.check(ALGORITHMS[algorithm], catalogue.merge(data, settings), "--set")
