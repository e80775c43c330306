"""The general benchmark: how large models are, how fast they run and learn, what they hold, and what a layer costs.

Measured are the presets that fit into memory and the networks of agents, beside what others have of the same size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch

from jamba_rl import catalogue
from jamba_rl.catalogue import unknown
from jamba_rl.lab.agent import load_agent
from jamba_rl.lab.speed.core import THREADS
from jamba_rl.lab.speed.effort import Effort
from jamba_rl.lab.speed.layers import layers
from jamba_rl.lab.speed.memory import live_bytes
from jamba_rl.lab.speed.number import Number
from jamba_rl.lab.speed.sizes import sizes
from jamba_rl.lab.speed.subject import Maker, Subject, beside, like, made, ours
from jamba_rl.lab.speed.turns import CallOf, in_turn
from jamba_rl.nn import JambaConfig

RUNNABLE = ("rl", "dhc-rl", "dhc-vision")  # presets; the others have billions of weights
PEERS_OF = "dhc-rl"  # which others can express
MB = 1e6


@dataclass(frozen=True)
class Shapes:
    """At which sizes models are timed.

    :ivar batches: of sequences, ``steps`` long
    :ivar lengths: in steps, ``few`` sequences at a time
    :ivar minibatch: sequences that a training step takes, ``steps`` long
    """

    batches: tuple[int, ...] = (1, 4, 16, 32)
    steps: int = 64
    lengths: tuple[int, ...] = (16, 64, 256)
    few: int = 4
    minibatch: int = 16

    @property
    def forward(self) -> list[tuple[int, int]]:
        """All shapes of a forward pass: batch and steps, each once."""
        return sorted({(batch, self.steps) for batch in self.batches} | {(self.few, t) for t in self.lengths})


def makers() -> dict[str, Maker]:
    """Whom to time: presets, the networks of PPO's agents (SAC's are the same), and peers."""
    found: dict[str, Maker] = {name: partial(ours, JambaConfig.preset(name)) for name in RUNNABLE}
    for name in catalogue.names("agents"):
        agent = load_agent(name)
        if agent.algorithm == "ppo" and agent.frames == 1:
            found[name] = partial(ours, agent.network)
    for peer, make in like(JambaConfig.preset(PEERS_OF)).items():
        found[f"{peer}, as {PEERS_OF}"] = beside(PEERS_OF, make)
    return found


def forward(effort: Effort, shapes: Shapes) -> list[Number]:
    """Forward passes without gradient, at every batch and length."""
    return _timed("forward", "forward", Subject.forward_call, shapes.forward, effort)


def training(effort: Effort, shapes: Shapes) -> list[Number]:
    """Training steps on a minibatch: forward, backward, Adam."""
    return _timed("training", "training step", Subject.training_call, [(shapes.minibatch, shapes.steps)], effort)


def memory(effort: Effort, shapes: Shapes) -> list[Number]:
    """What is allocated at the worst moment beside weights and the optimizer's state; the same every time."""
    subjects, absent = made(makers())
    batch, steps = shapes.minibatch, shapes.steps
    found = []
    for i, (name, subject) in enumerate(subjects.items()):
        effort.progress(i / len(subjects))
        for quantity, call in (
            ("forward", subject.forward_call(batch, steps)),
            ("training step", subject.training_call(batch, steps)),
        ):
            call()
            peak, _ = live_bytes(call)
            found.append(
                Number("memory", name, f"peak of a {quantity}", peak / MB, "MB", batch, steps, against=subject.against)
            )
    return found + _absent("memory", absent)


def _timed(part: str, quantity: str, call: CallOf, at: list[tuple[int, int]], effort: Effort) -> list[Number]:
    """Time all subjects at each of some shapes."""
    subjects, absent = made(makers())
    found = []
    for i, shape in enumerate(at):
        effort.progress(i / len(at))
        found += in_turn(part, quantity, call, subjects, shape, effort)
    return found + _absent(part, absent)


def _absent(part: str, absent: dict[str, str]) -> list[Number]:
    return [Number(part, name, part, None, note=note) for name, note in absent.items()]


PARTS: dict[str, Callable[[Effort, Shapes], list[Number]]] = {
    "sizes": lambda effort, shapes: sizes(effort),
    "forward": forward,
    "training": training,
    "memory": memory,
    "layers": lambda effort, shapes: layers(effort, shapes.minibatch, shapes.steps),
}


def chosen(only: Iterable[str] = ()) -> list[str]:
    """Parts, in their order; all of them if none is given.

    :raises UserError: there is no such part; names the nearest
    """
    wanted = set(only)
    for name in sorted(wanted - PARTS.keys()):
        raise unknown("part", name, PARTS)
    return [name for name in PARTS if not wanted or name in wanted]


def measure(
    parts: Iterable[str], effort: Effort, progress: Callable[[str, float], None], shapes: Shapes | None = None
) -> Iterator[Number]:
    """Measure one part after the other, on one thread, and yield numbers as they come."""
    torch.set_num_threads(THREADS)
    for part in parts:
        progress(part, 0.0)
        torch.manual_seed(0)
        yield from PARTS[part](replace(effort, progress=partial(progress, part)), shapes or Shapes())
        progress(part, 1.0)
