"""Runs on a Ray cluster: an actor on some node has the worker's process, and sends home what that writes.

The same process trains as on this machine, so the scores are the same where the processors are.
"""

from __future__ import annotations

import logging
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jamba_rl.catalogue import UserError
from jamba_rl.lab.experiment.launch import End
from jamba_rl.lab.experiment.local import LocalRun
from jamba_rl.lab.experiment.wire import Change, Changes, apply
from jamba_rl.lab.lock import alone_on
from jamba_rl.version import __version__

if TYPE_CHECKING:
    from jamba_rl.lab.experiment.jobs import Job

NEWS_SECONDS = 1.0  # between two looks at what a worker wrote


class RemoteRun:
    """What lives on a node: a worker's process, and its run's folder for as long as it lasts.

    :param order: what to do, as of ``Job``
    :param folders: what there is of the run already, and then of the one that it starts from; by ``ENV/AGENT/SEED``
    :param version: of jamba-rl where the experiment was started
    """

    def __init__(self, order: dict[str, Any], folders: Mapping[Path, Change], command: list[str], version: str) -> None:
        if version != __version__:
            raise RuntimeError(f"this node has jamba-rl {__version__}, the experiment was started with {version}")
        self._runs = Path(tempfile.mkdtemp(prefix="jamba-rl-"))
        for place, change in folders.items():
            apply(change, self._runs / place)
        folder = self._runs / next(iter(folders))
        self._changes = Changes(folder)
        self._changes.collect()  # known where it came from
        self._run = LocalRun(order, folder, command)

    def news(self) -> tuple[Change, End | None]:
        """Wait a moment; then what has changed, and how the worker ended if it did."""
        deadline = time.monotonic() + NEWS_SECONDS
        while (end := self._run.poll()) is None and time.monotonic() < deadline:
            time.sleep(0.02)
        change = self._changes.collect()
        if end is not None:
            shutil.rmtree(self._runs)
        return change, end

    def stop(self) -> None:
        """Let the worker write a checkpoint and end."""
        self._run.stop()


class ClusterRun:
    """The schedule's side of it.

    :param actor: the handle of a `RemoteRun`
    :param folder: where the run is to be
    :param held: gives the folder back when it has ended
    """

    def __init__(self, actor: Any, folder: Path, held: ExitStack) -> None:
        self._actor, self._folder, self._held = actor, folder, held
        self._news = actor.news.remote()

    def poll(self) -> End | None:
        """How it ended; None as long as it has not."""
        import ray

        if not ray.wait([self._news], timeout=0)[0]:
            return None
        end = self._end()
        if end is None:
            self._news = self._actor.news.remote()
        else:
            self._held.close()
        return end

    def _end(self) -> End | None:
        import ray

        try:
            change, end = ray.get(self._news)
        except ray.exceptions.RayTaskError as error:
            return End(f"{error}\n")
        except ray.exceptions.RayError as error:  # the actor is gone, or its node
            return End(f"{error}\n", lost=True)
        apply(change, self._folder)
        return end

    def stop(self) -> None:
        """Let it write a checkpoint and end."""
        self._actor.stop.remote()

    def kill(self) -> None:
        """End it at once: its process does not outlive the actor."""
        import ray

        ray.kill(self._actor)
        self._held.close()


class RayLauncher:
    """Starts workers on the nodes of a cluster, which need the same jamba-rl installed.

    :param workers: how many at a time; default one per core of the cluster
    :param address: of the cluster; default the one in RAY_ADDRESS, or a new one on this machine
    :raises UserError: if Ray is not installed, or there is no such cluster
    """

    def __init__(self, workers: int | None = None, address: str | None = None) -> None:
        try:
            import ray
        except ImportError:
            raise UserError("--launcher ray needs Ray: pip install 'jamba-rl[ray]'") from None
        self._own = not ray.is_initialized()
        if self._own:
            try:
                ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise UserError(f"no Ray cluster at {address}: {' '.join(str(error).split())}") from error
        self.workers = workers or int(ray.cluster_resources().get("CPU", 1))
        self._remote = ray.remote(num_cpus=1, max_restarts=0, scheduling_strategy="SPREAD")(RemoteRun)

    def start(self, job: Job) -> ClusterRun:
        """Begin with a job, or go on with it.

        :raises UserError: if another process trains the run
        """
        with ExitStack() as stack:
            stack.enter_context(alone_on(job.folder))
            actor = self._actor(job)
            return ClusterRun(actor, job.folder, stack.pop_all())

    def _actor(self, job: Job) -> Any:
        known = [job.folder] if job.source is None else [job.folder, job.source]
        folders = {Path(*folder.parts[-3:]): Changes(folder).collect() for folder in known}
        return self._remote.remote(job.order, folders, sys.argv, __version__)

    def close(self) -> None:
        """Leave the cluster."""
        import ray

        if self._own:
            ray.shutdown()
