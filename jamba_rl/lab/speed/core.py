"""The table of the core: every measurement by name, run in one process on one thread."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import torch

from jamba_rl.catalogue import unknown
from jamba_rl.kernels import build
from jamba_rl.lab import provenance
from jamba_rl.lab.speed.checkpointing import checkpointing
from jamba_rl.lab.speed.compiled import compiled
from jamba_rl.lab.speed.effort import Effort
from jamba_rl.lab.speed.exactness import exactness
from jamba_rl.lab.speed.layer import layer, minibatch
from jamba_rl.lab.speed.length import length
from jamba_rl.lab.speed.parity import parity
from jamba_rl.lab.speed.peers import PEERS, installed
from jamba_rl.lab.speed.row import Row
from jamba_rl.lab.speed.scan import scan
from jamba_rl.lab.speed.step import step
from jamba_rl.lab.speed.streaming import streaming

THREADS = 1
MEASUREMENTS: dict[str, Callable[[Effort], list[Row]]] = {
    "parity": parity,
    "exactness": exactness,
    "scan": scan,
    "layer": layer,
    "minibatch": minibatch,
    "length": length,
    "step": step,
    "checkpointing": checkpointing,
    "compiled": compiled,
    "streaming": streaming,
}


def chosen(only: Iterable[str] = ()) -> list[str]:
    """Names of measurements, in the order of the table; all of them if none is given.

    :raises UserError: there is no such measurement; names the nearest
    """
    wanted = set(only)
    for name in sorted(wanted - MEASUREMENTS.keys()):
        raise unknown("measurement", name, MEASUREMENTS)
    return [name for name in MEASUREMENTS if not wanted or name in wanted]


def measure(names: Iterable[str], effort: Effort, progress: Callable[[str, float], None]) -> Iterator[Row]:
    """Measure one after the other, all on the same random numbers, and yield rows as they come.

    :param progress: called with the name of what runs, and the part of it that is done
    """
    torch.set_num_threads(THREADS)
    for name in names:
        progress(name, 0.0)
        torch.manual_seed(0)
        yield from MEASUREMENTS[name](replace(effort, progress=lambda part, name=name: progress(name, part)))  # type: ignore[misc]
        progress(name, 1.0)


def origin(effort: Effort) -> dict[str, Any]:
    """Where numbers come from: versions, machine, whether there are kernels, and the effort; ask at the start."""
    found = provenance.collect()
    kernel = "on" if build.library() is not None else "off"
    spent = {"rounds": effort.rounds, "seconds per sample": effort.sample, "stream steps": effort.stream_steps}
    versions = found["versions"] | installed(PEERS)
    return found | {"versions": versions, "threads": THREADS, "kernel": kernel, "effort": spent}
