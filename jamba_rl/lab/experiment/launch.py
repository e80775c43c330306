"""What runs jobs: the side of it that the schedule sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from jamba_rl.lab.experiment.jobs import Job


@dataclass(frozen=True)
class End:
    """How a worker ended; whether the run came to its end, its folder says.

    :ivar said: the last lines it wrote, a traceback if there was one
    :ivar lost: the machine under it is gone, and it can be tried again on another
    """

    said: str
    lost: bool = False


class Worker(Protocol):
    """A run that is being trained somewhere."""

    def poll(self) -> End | None:
        """How it ended; None as long as it has not. What it wrote is then in the run's folder."""

    def stop(self) -> None:
        """Let it write a checkpoint and end."""

    def kill(self) -> None:
        """End it at once."""


class Launcher(Protocol):
    """Starts workers.

    :ivar workers: how many there may be at a time
    """

    workers: int

    def start(self, job: Job) -> Worker:
        """Begin with a job, or go on with it."""

    def close(self) -> None:
        """Give back what was taken."""
