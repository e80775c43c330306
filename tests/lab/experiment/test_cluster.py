"""Experiments on a Ray cluster of two nodes, both on this machine."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray

from jamba_rl.catalogue import UserError
from jamba_rl.lab.experiment.cluster import RayLauncher, RemoteRun
from jamba_rl.lab.experiment.local import LocalLauncher
from jamba_rl.lab.experiment.schedule import Progress, run_jobs
from jamba_rl.lab.run import Run
from tests.lab.experiment.grids import check_whole, jobs_of

ITS_OWN = pytest.mark.filterwarnings("ignore")  # Ray warns of itself, and leaves sockets to the garbage collector


@pytest.fixture
def nodes() -> Iterator[list[Any]]:
    """A cluster's handle, and a second node with half of its cores."""
    from ray.cluster_utils import Cluster

    size = {"num_cpus": 1, "object_store_memory": 100 * 2**20}
    quick = {"health_check_period_ms": 1000, "health_check_failure_threshold": 4}  # to see that a node is dead
    cluster = Cluster(True, head_node_args=size | {"include_dashboard": False, "_system_config": quick})
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    second = cluster.add_node(**size)  # only now, for this process belongs to the node that it finds
    cluster.wait_for_nodes()
    yield [cluster, second]
    ray.shutdown()
    cluster.shutdown()


def nothing(progress: Progress) -> None: ...


EVERYTHING: dict[str, Any] = {
    "seeds": 1,
    "probes": [{"name": "no-memory", "memory": False}],
    "grids": [{"envs": ["pendulum"]}, {"agents": [{"name": "mine", "from": "ppo-jamba", "start": "pendulum"}]}],
}


@ITS_OWN
@pytest.mark.slow
def test_two_nodes_give_the_scores_of_one_machine_also_when_one_is_lost(nodes: list[Any], tmp_path: Path) -> None:
    cluster, second = nodes
    launcher = RayLauncher()
    assert launcher.workers == 2
    there, here = (jobs_of(tmp_path / "a.yaml", tmp_path / name, **EVERYTHING) for name in ("there", "here"))
    assert not run_jobs(there, launcher, nothing).failed
    assert not run_jobs(here, LocalLauncher(2), nothing).failed
    for job, local in zip(there, here, strict=True):
        run, alone = Run.open(job.folder), Run.open(local.folder)
        check_whole(run, steps=256)
        for name in ("config.yaml", "evaluations.csv", "probes.csv"):
            assert (run.folder / name).read_bytes() == (alone.folder / name).read_bytes()
        assert {path.name for path in run.folder.iterdir()} == {path.name for path in alone.folder.iterdir()}
        assert [each.step for each in run.checkpoints()] == [each.step for each in alone.checkpoints()]

    long = jobs_of(tmp_path / "b.yaml", tmp_path / "b", seeds=1, protocol={"steps": 4_480})
    cut: list[bool] = []

    def lose_a_node(progress: Progress) -> None:
        if not cut and all(len(Run(job.folder).checkpoints()) > 1 for job in long):
            cut.extend(not job.done for job in long)
            cluster.remove_node(second, allow_graceful=False)

    progress = run_jobs(long, launcher, lose_a_node)
    assert cut == [True, True]
    assert not progress.failed
    for job in long:
        check_whole(Run.open(job.folder), steps=4_480)
    assert sorted(len(Run(job.folder).starts()) for job in long) == [1, 2]  # one went on, and not from its start


def test_without_ray_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "ray":
            raise ImportError
        return plain(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UserError, match=r"pip install 'jamba-rl\[ray\]'"):
        RayLauncher()


@ITS_OWN
def test_a_cluster_that_is_not_there_is_one_line() -> None:
    with pytest.raises(UserError, match=r"^no Ray cluster at nonsense: .*$"):
        RayLauncher(address="nonsense")


def test_nodes_have_the_same_version() -> None:
    with pytest.raises(RuntimeError, match=r"this node has jamba-rl .*, the experiment was started with 0\.0\.0"):
        RemoteRun({}, {}, [], "0.0.0")
