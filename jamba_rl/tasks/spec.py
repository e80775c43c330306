"""What a task is: which env, what of it can be seen, and the protocol all agents share on it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PlainValidator, PositiveInt

from jamba_rl.catalogue import Data

# Which observation numbers are positions and which velocities, by env name without version:
# the versions that gymnasium can still make agree, as long as no kwarg adds observations.
PARTS: dict[str, dict[str, tuple[int, ...]]] = {
    "CartPole": {"positions": (0, 2), "velocities": (1, 3)},
    "HalfCheetah": {"positions": tuple(range(8)), "velocities": tuple(range(8, 17))},
    "Hopper": {"positions": tuple(range(5)), "velocities": tuple(range(5, 11))},
    "MountainCarContinuous": {"positions": (0,), "velocities": (1,)},
    "Pendulum": {"positions": (0, 1), "velocities": (2,)},
}
WORDS = ("positions", "velocities")


def _hidden_part(value: Any) -> int | str:
    if value in WORDS or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    raise ValueError(f"{value!r} is neither an observation number nor one of {', '.join(WORDS)}")


PartName = Literal["ppo", "sac"]
"""Parts of a protocol: of on-policy and of off-policy algorithms."""

HiddenPart = Annotated[int | str, PlainValidator(_hidden_part)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


class Evaluation(Data):
    """How training is watched: ``episodes`` deterministic episodes, ``every`` so many env steps."""

    every: PositiveInt
    episodes: PositiveInt


class PPOProtocol(Data):
    """What on-policy agents share: envs, rollouts and passes over them, discount, GAE lambda, first exploration.

    ``n_steps`` are taken in each env per rollout, and ``n_epochs`` passes made over them. How many a rollout is worth
    depends on how far chance is in its rewards: where an episode ends by a fall, much of what more passes learn is
    true of this rollout alone.
    ``log_std_init`` is the logarithm of the exploration noise at the start, in units of half the
    action range; continuous actions only. Like the discount it depends on what is controlled: noise
    that a robot of six joints stumbles over is what swings a pendulum up.
    """

    n_envs: PositiveInt
    n_steps: PositiveInt
    n_epochs: PositiveInt
    gamma: Fraction
    gae_lambda: Fraction
    log_std_init: float


class SACProtocol(Data):
    """What off-policy agents share: envs, discount, and how much they learn from; the names are SB3's.

    ``learning_starts`` are env steps with random actions; after them, every ``train_freq`` steps of all envs are
    followed by ``gradient_steps`` updates, -1 being as many as env steps were taken.
    """

    n_envs: PositiveInt
    gamma: Fraction
    learning_starts: NonNegativeInt
    train_freq: PositiveInt
    gradient_steps: Annotated[int, Field(ge=-1)]


PARTS_BY_NAME: dict[PartName, type[PPOProtocol | SACProtocol]] = {"ppo": PPOProtocol, "sac": SACProtocol}


class Protocol(Data):
    """What every agent shares on a task.

    ``steps`` are env steps in total, over all parallel envs. In YAML, a part may have ``steps`` and
    ``evaluation`` of its own, see ``load_task``.
    """

    steps: PositiveInt
    evaluation: Evaluation
    ppo: PPOProtocol
    sac: SACProtocol


class Task(Data):
    """A gymnasium env, what of it is hidden, and its protocol.

    ``base`` is the gymnasium id, made with ``kwargs``. ``hide`` lists observation numbers, or the
    words ``positions`` and ``velocities`` where the env is known (`PARTS`). ``sighted`` names the
    same task with nothing hidden, whose protocol is used where this one's has no own values.
    """

    name: str
    description: str = ""
    base: str
    kwargs: dict[str, Any] = Field(default_factory=dict)
    hide: tuple[HiddenPart, ...] = ()
    sighted: str | None = None
    protocol: Protocol


def env_name(env_id: str) -> str:
    """Name of a gymnasium id, without module and version.

    >>> env_name("HalfCheetah-v4"), env_name("my_package:my/Env-v0")
    ('HalfCheetah', 'my/Env')
    """
    return env_id.rpartition(":")[2].rpartition("-v")[0]
