"""What a task is: which env, what of it can be seen, and the protocol all agents share on it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from jamba_rl.catalogue import Data
from jamba_rl.tasks.dynamics import Dynamics
from jamba_rl.tasks.pixels import Pixels
from jamba_rl.tasks.sensors.seen import Fraction, Seen

PartName = Literal["ppo", "sac"]
"""Parts of a protocol: of on-policy and of off-policy algorithms."""


class Evaluation(Data):
    """How training is watched: ``episodes`` deterministic episodes, ``every`` so many env steps."""

    every: PositiveInt
    episodes: PositiveInt


class PPOProtocol(Data):
    """What on-policy agents share: envs, rollouts and passes over them, discount, GAE lambda, first exploration.

    ``n_steps`` are taken in each env per rollout, and ``n_epochs`` passes made over them. How many a rollout is worth
    depends on how far chance is in its rewards: where an episode ends by a fall, much of what more passes learn is
    true of this rollout alone. ``sequence_length`` is how many steps gradient flows through, a divisor of ``n_steps``:
    what has to be kept for longer is not learned to be kept. Of agents of stock PPO it has no meaning, as
    ``advantage_floor``, the deviation below which advantages are noise and not blown up.

    ``ent_coef`` is what entropy is worth in the loss: where an episode has one answer, chance alone soon makes it
    always the same one, and an agent that is certain learns nothing more. ``vf_coef`` is what errors of the values
    cost there: a reward that comes once in an episode and cannot be foreseen yet is noise to a memory that values share
    with actions.

    ``log_std_init`` is the logarithm of the exploration noise at the start, in units of half the action range;
    continuous actions only. Like the discount it depends on what is controlled: noise that a robot of six joints
    stumbles over is what swings a pendulum up.
    """

    n_envs: PositiveInt
    n_steps: PositiveInt
    sequence_length: PositiveInt | None
    n_epochs: PositiveInt
    gamma: Fraction
    gae_lambda: Fraction
    ent_coef: NonNegativeFloat
    vf_coef: NonNegativeFloat
    advantage_floor: NonNegativeFloat
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


Stepping = Literal["in-process", "envpool", "subprocess"]
"""How envs are stepped: one after the other, by EnvPool's threads, or in processes of their own."""

PARTS_BY_NAME: dict[PartName, type[PPOProtocol | SACProtocol]] = {"ppo": PPOProtocol, "sac": SACProtocol}


class Protocol(Data):
    """What every agent shares on a task.

    ``steps`` are env steps in total, over all parallel envs. In YAML, a part may have ``steps`` and
    ``evaluation`` of its own, see ``load_task``. EnvPool has its own random numbers, so agents are only compared with
    the same ``stepping``.
    """

    steps: PositiveInt
    stepping: Stepping
    evaluation: Evaluation
    ppo: PPOProtocol
    sac: SACProtocol


class Reference(Data):
    """Mean undiscounted returns that scores are measured by.

    ``random`` is that of evenly random actions. ``score`` is what a good agent reaches; ``source`` says which, and
    after how long.
    """

    random: float
    score: float | None = None
    source: str | None = None


class Task(Seen):
    """A gymnasium env, what of it is seen, and its protocol.

    ``base`` is the gymnasium id, made with ``kwargs``; ``episode_steps`` is its time limit in place of its own. What
    is seen, and how well, say the keys of ``Seen``; ``pixels`` shows images in place of measurements, of which those
    keys say nothing then. ``dynamics`` draws another body for every episode.
    ``hide_action`` keeps agents from being told their previous action: it would be a memory, or is not what was done.
    ``sighted`` names the same task with nothing hidden, whose protocol is used where this one's has no own values.
    """

    name: str
    description: str = ""
    base: str
    kwargs: dict[str, Any] = Field(default_factory=dict)
    episode_steps: PositiveInt | None = None
    dynamics: Dynamics | None = None
    pixels: Pixels | None = None
    hide_action: bool = False
    sighted: str | None = None
    reference: Reference | None = None
    protocol: Protocol

    @property
    def env(self) -> dict[str, Any]:
        """What makes the env; the rest is how it is used, and words."""
        words = {"name", "description", "sighted", "reference", "protocol"}
        return self.model_dump(exclude=words)


def env_name(env_id: str) -> str:
    """Name of a gymnasium id, without module and version.

    >>> env_name("HalfCheetah-v4"), env_name("my_package:my/Env-v0")
    ('HalfCheetah', 'my/Env')
    """
    return env_id.rpartition(":")[2].rpartition("-v")[0]
