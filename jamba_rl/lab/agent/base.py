"""What all agents have, whatever their algorithm."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, Literal

from pydantic import PositiveFloat, PositiveInt, field_serializer, field_validator

from jamba_rl.catalogue import Data
from jamba_rl.nn import JambaConfig
from jamba_rl.tasks.spec import PartName


class Normalize(Data):
    """What is scaled by running statistics: observations, where they are real numbers, and rewards."""

    observations: bool
    rewards: bool


class Heads(Data):
    """The layers between what is remembered and the action or value."""

    net_arch: tuple[PositiveInt, ...]
    activation: Literal["tanh", "relu", "silu"]


class Agent(Data):
    """What all agents have; compared agents differ in ``network`` alone.

    ``learning_rate_schedule: linear`` lets the learning rate fall to 0 at the end of training.

    :cvar part: the part of a task's protocol that holds for this agent
    """

    part: ClassVar[PartName]

    name: str
    description: str = ""
    network: JambaConfig
    normalize: Normalize
    policy: Heads
    learning_rate: PositiveFloat
    learning_rate_schedule: Literal["constant", "linear"]
    batch_size: PositiveInt

    @classmethod
    def keys(cls) -> list[str]:
        """The keys that can be set: all but those that say which agent it is."""
        return [key for key in cls.model_fields if key not in ("name", "description", "algorithm")]

    @field_validator("network")
    @classmethod
    def _network_of_an_agent(cls, network: JambaConfig) -> JambaConfig:
        if network.memory_grows:
            raise ValueError("window must be a number for an agent: its memory must not grow while it acts")
        return network

    @field_serializer("network")
    def _network_fields(self, network: JambaConfig) -> dict[str, Any]:
        return {field.name: getattr(network, field.name) for field in dataclasses.fields(network) if field.init}


class RecurrentAgent(Agent):
    """What agents have whose memory is carried from step to step; the policies' docstrings explain the keys.

    ``frames`` is how many normalised observations are seen at once, the present one last: the
    memory of those who have none. ``image_encoder`` is what sees images, where the task has any.
    """

    shared_encoder: bool
    encoder_learning_rate_ratio: PositiveFloat
    previous_action: bool | None
    observation_change: bool | None
    frames: PositiveInt
    image_encoder: Literal["nature", "spatial"] | None
