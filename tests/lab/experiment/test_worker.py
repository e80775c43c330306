from __future__ import annotations

import threading
from pathlib import Path

from jamba_rl.lab.experiment.worker import work
from jamba_rl.lab.lock import alone_on
from tests.lab.experiment.grids import jobs_of


def test_a_worker_waits_for_one_that_is_about_to_end(tmp_path: Path) -> None:
    job, *_ = jobs_of(tmp_path / "mine.yaml", tmp_path, agents=["ppo-mlp"])
    worker = threading.Thread(target=work, args=(job.order, job.folder))
    with alone_on(job.folder):
        worker.start()
        worker.join(timeout=4)
        assert worker.is_alive()
        assert not any(job.folder.iterdir())
    worker.join()
    assert job.done
