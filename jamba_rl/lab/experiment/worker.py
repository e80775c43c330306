"""The process that trains one run: ``python -m jamba_rl.lab.experiment.worker``, with the job as a line on its input.

It ends when its input does, so that it never outlives who started it, however that one ended. SIGINT lets it write a
checkpoint first. Nothing of weight is imported before it listens.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
from pathlib import Path
from typing import Any

PATIENCE = 60.0  # seconds, for the worker of a killed benchmark to end


def main() -> None:
    """Read the job, and do it."""
    line = sys.stdin.readline()
    if not line:  # whoever started this is gone already
        return
    threading.Thread(target=_end_with_input, daemon=True).start()
    job = json.loads(line)
    sys.argv = job["command"]  # for the run's provenance
    work(job["order"], Path(job["folder"]))


def work(order: dict[str, Any], folder: Path) -> None:
    """Train a run from its start, or go on with it; then put it to its probes.

    :param order: as of ``Job``
    :raises UserError: if another process trains it and does not end soon
    """
    from jamba_rl import catalogue
    from jamba_rl.lab.config import RunConfig
    from jamba_rl.lab.experiment.left_over import is_left_over
    from jamba_rl.lab.experiment.probe import missing, put_to
    from jamba_rl.lab.experiment.spec import Probe
    from jamba_rl.lab.lock import alone_on
    from jamba_rl.lab.process import prepare
    from jamba_rl.lab.run import RESULT
    from jamba_rl.lab.train import resume, train

    prepare()
    with alone_on(folder, PATIENCE):
        for left_over in filter(is_left_over, folder.glob("*")):
            shutil.rmtree(left_over) if left_over.is_dir() else left_over.unlink()
        if not (folder / "config.yaml").exists():
            train(catalogue.check(RunConfig, order["config"], "job"), folder, live=None, track=order["track"])
        elif not (folder / RESULT).exists():
            resume(folder, live=None, track=order["track"])
        if (folder / RESULT).exists():  # it was not stopped before its end
            put_to(missing(folder, [Probe(**probe) for probe in order["probes"]]), folder)


def _end_with_input() -> None:
    while os.read(0, 4096):  # not through sys.stdin, whose lock an ending interpreter would wait for
        pass
    try:
        os.killpg(0, signal.SIGKILL)  # with the envs' processes, if it has any
    finally:
        os._exit(1)


if __name__ == "__main__":
    main()
