"""What stands above a picture: who is seen where, what is hidden from it, and how far the episode is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from jamba_rl.lab.config import RunConfig
from jamba_rl.tasks import Task


def title(config: RunConfig, step: int) -> list[str]:
    """Parts of a title: task, agent, env steps it was trained for, and what the task keeps from it."""
    return [config.task.name, config.agent.name, f"step {step:,}", *shortcomings(config.task)]


def running(step: int, score: float) -> str:
    """How far an episode is.

    >>> running(1200, -3.25)
    't 1,200  return -3.2'
    """
    return f"t {step:,}  return {score:,.1f}"


def shortcomings(task: Task) -> list[str]:
    """Phrases for what is not seen, or not as it is; none where everything is.

    A new key of a task that changes what is seen gets its phrase here.
    """
    said = [f"hidden: {_listed(task.hide)}"] if task.hide else []
    if task.keep is not None:
        said.append(f"seen: {_listed(task.keep)} only")
    if task.noise:
        said.append(f"noise: {_noise(task.noise)}")
    if task.dropout.frames or task.dropout.sensors:
        said.append(f"lost: {_percent(task.dropout.frames)} of frames, {_percent(task.dropout.sensors)} of sensors")
    if task.freeze is not None:
        said.append(f"stuck: {_percent(task.freeze.probability)} a step, for {task.freeze.steps} steps")
    if task.delay:
        said.append(f"late: {task.delay} steps")
    if task.cue is not None:
        said.append(f"at first only: {_listed(task.cue.shown)}")
    if task.dynamics is not None:
        said.append("body: varies")
    if task.pixels is not None:
        said.append(f"seen: {task.pixels.width} x {task.pixels.height} pixels{', grey' if task.pixels.grey else ''}")
    return said


def _listed(parts: Iterable[int | str]) -> str:
    """Words, then numbers, those in a row as a range.

    >>> _listed(["velocities", 7, 2, 3, 4])
    'velocities, 2-4, 7'
    """
    parts = list(parts)
    numbers = sorted({part for part in parts if isinstance(part, int)})
    starts = [number for number in numbers if number - 1 not in numbers]
    ends = [number for number in numbers if number + 1 not in numbers]
    ranges = [str(a) if a == b else f"{a}-{b}" for a, b in zip(starts, ends, strict=True)]
    return ", ".join([*(part for part in parts if isinstance(part, str)), *ranges])


def _noise(noise: float | Mapping[str, float]) -> str:
    if isinstance(noise, Mapping):
        return ", ".join(f"{deviation:g} on {part}" for part, deviation in noise.items())
    return f"{noise:g}"


def _percent(share: float) -> str:
    return f"{100 * share:g}%"
