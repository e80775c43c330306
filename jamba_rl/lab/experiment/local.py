"""Runs in processes of their own on this machine."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jamba_rl.lab.experiment.launch import End

if TYPE_CHECKING:
    from jamba_rl.lab.experiment.jobs import Job

WORKER = "jamba_rl.lab.experiment.worker"
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
TOLD_LINES = 100  # of what a worker said before it failed


class LocalRun:
    """A worker's process, which has a session of its own: Ctrl-C reaches it through `stop` alone.

    :param order: what to do, as of ``Job``
    :param folder: of the run
    :param command: for its provenance
    """

    def __init__(self, order: dict[str, Any], folder: Path, command: list[str]) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 (it lasts as long as the process)
        self._process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", "-m", WORKER],
            stdin=subprocess.PIPE,
            stdout=self._said,
            stderr=self._said,
            env=os.environ | ONE_THREAD,
            start_new_session=True,
        )
        job = {"order": order, "folder": str(folder.absolute()), "command": command}
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # if it has ended already, `poll` says why
            self._process.stdin.write(json.dumps(job).encode() + b"\n")
            self._process.stdin.flush()  # and it stays open for as long as this process lives

    def poll(self) -> End | None:
        """How it ended; None as long as it has not."""
        code = self._process.poll()
        if code is None:
            return None
        self._said.seek(0)
        said = self._said.read().decode(errors="replace").splitlines()[-TOLD_LINES:]
        self._close()
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return End("\n".join([*said, f"the worker ended: {how}"]) + "\n")

    def stop(self) -> None:
        """Let it write a checkpoint and end."""
        self._process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """End it at once, with the processes that it may have started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._close()

    def _close(self) -> None:
        self._said.close()
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class LocalLauncher:
    """Starts workers on this machine.

    :param workers: how many at a time; default one per core that this process may use
    """

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or cores()

    def start(self, job: Job) -> LocalRun:
        """Begin with a job, or go on with it."""
        return LocalRun(job.order, job.folder, sys.argv)

    def close(self) -> None:
        """Nothing was taken."""
