"""From an experiment to the runs it is made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jamba_rl import catalogue
from jamba_rl.catalogue import UserError
from jamba_rl.lab.agent import AnyAgent, WindowAgent, load_agent
from jamba_rl.lab.config import RunConfig, read_config, split_settings
from jamba_rl.lab.experiment.damage import damage
from jamba_rl.lab.experiment.left_over import is_left_over
from jamba_rl.lab.experiment.probe import missing
from jamba_rl.lab.experiment.spec import Contestant, Experiment, Grid, Probe
from jamba_rl.lab.experiment.unlike import unlike
from jamba_rl.lab.run import RESULT, Run, file_name
from jamba_rl.tasks import Task, load_task


@dataclass(frozen=True)
class Wishes:
    """What the command line puts over the config.

    :ivar protocol: nested as in YAML
    :ivar settings: ``KEY=VALUE``, as of ``jamba-rl train --set``
    :ivar track: who else is told how runs go, as of ``jamba-rl train --track``
    """

    protocol: Mapping[str, Any] = field(default_factory=dict)
    settings: tuple[str, ...] = ()
    track: str | None = None


@dataclass(frozen=True)
class Job:
    """A run that is to be: its config, the folder it lies in or will lie in, and its probes when it is trained.

    :ivar track: who else is told how it goes
    """

    config: RunConfig
    folder: Path
    probes: tuple[Probe, ...] = ()
    track: str | None = None

    def __hash__(self) -> int:
        return hash(self.folder)

    @property
    def name(self) -> str:
        """What it is called when it is talked about."""
        return f"{self.config.task.name} {self.config.agent.name} {self.config.seed}"

    @property
    def order(self) -> dict[str, Any]:
        """What a worker has to know of it besides the folder."""
        probes = [probe.model_dump() for probe in self.probes]
        return {"config": self.config.model_dump(mode="json"), "probes": probes, "track": self.track}

    @property
    def trained(self) -> bool:
        """Whether it came to its end."""
        return (self.folder / RESULT).exists()

    @property
    def done(self) -> bool:
        """Whether there is nothing left to do."""
        return self.trained and not missing(self.folder, self.probes)

    @property
    def source(self) -> Path | None:
        """Folder of the run that has to come to its end before this one begins."""
        return None if self.config.start is None else self.config.start.folder(self.folder)

    @property
    def begun(self) -> bool:
        """Whether there is something to go on from."""
        return (self.folder / "config.yaml").exists()


def make_jobs(experiment: Experiment, results: Path, wishes: Wishes | None = None) -> list[Job]:
    """Resolve every run of an experiment: all agents and envs of one seed before the next seed.

    :raises UserError: names file, key and the nearest valid choice; or a folder that holds something else
    """
    jobs: dict[Path, Job] = {}
    wishes = wishes or Wishes()
    for source, grid in experiment.grids:
        configs = _resolve(grid, source, wishes)
        for seed in grid.seeds:
            for config in configs:
                with _said_of(source):
                    job = _job(config.model_copy(update={"seed": seed}), results, grid, wishes.track)
                known = jobs.setdefault(job.folder, job)
                for where, one, other in unlike(known.config, job.config):
                    raise UserError(f"{source}: {job.name} is there already, with {where} {one!r} and not {other!r}")
                if known.probes != job.probes:
                    raise UserError(f"{source}: {job.name} is there already, with other probes")
    for job in jobs.values():
        _check_folder(job, experiment.path)
        if job.source is not None and (job.source not in jobs or jobs[job.source].source is not None):
            raise UserError(f"{experiment.path}: {job.name} starts from {job.source}, which is none of its plain runs")
    return list(jobs.values())


def _job(config: RunConfig, results: Path, grid: Grid, track: str | None) -> Job:
    folder = results.absolute() / "runs" / file_name(config.task.name) / config.agent.name / str(config.seed)
    if isinstance(config.agent, WindowAgent) and not all(probe.memory for probe in grid.probes):
        raise UserError(f"agent {config.agent.name!r} has its memory in what it sees, and no probe takes that away")
    return Job(config, folder, grid.probes, track)


def _resolve(grid: Grid, source: str, wishes: Wishes) -> list[RunConfig]:
    """Every agent on every env; their seeds are put in later."""
    agents = [_agent(contestant, grid, f"{source}: agents.{i}", wishes) for i, contestant in enumerate(grid.agents)]
    starts = [_start(contestant, f"{source}: agents.{i}.start") for i, contestant in enumerate(grid.agents)]
    stop = None if grid.stop is None else grid.stop.model_dump()
    configs = []
    for i, env in enumerate(grid.envs):
        for agent, start in zip(agents, starts, strict=True):
            with _said_of(f"{source}: envs.{i}"):
                task = load_task(env, agent.part)
            task = _with_protocol(task, grid.protocol, source)
            settings = split_settings(wishes.settings, type(agent))[1]
            task = _with_protocol(task, catalogue.merge(wishes.protocol, {str(agent.part): settings}), "options")
            data = {"task": task.model_dump(mode="json"), "agent": agent.model_dump(mode="json")}
            rest = {"seed": 0, "device": "cpu", "stop": stop, "start": start}
            configs.append(catalogue.check(RunConfig, data | rest, source))
    return configs


def _start(contestant: Contestant, source: str) -> dict[str, str] | None:
    if contestant.start is None:
        return None
    with _said_of(source):
        return {"env": load_task(contestant.start).name, "agent": load_agent(contestant.origin).name}


def _agent(contestant: Contestant, grid: Grid, source: str, wishes: Wishes) -> AnyAgent:
    with _said_of(source):
        agent = load_agent(contestant.origin)
    wished = split_settings(wishes.settings, type(agent))[0]
    settings = catalogue.merge(catalogue.merge(grid.settings, contestant.settings), wished)
    if settings:
        blamed = "--set" if wished else f"{source}.set" if contestant.settings else f"{source.rpartition(':')[0]}: set"
        agent = load_agent(contestant.origin, settings, blamed)
    return agent if contestant.name is None else agent.model_copy(update={"name": contestant.name})


def _with_protocol(task: Task, protocol: Mapping[str, Any], source: str) -> Task:
    data = catalogue.merge(task.model_dump(mode="json"), {"protocol": protocol})
    return catalogue.check(Task, data, source)


@contextmanager
def _said_of(source: str) -> Iterator[None]:
    """Put before an error where in the config its cause stands."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{source}: {error}") from error


def _check_folder(job: Job, source: Path) -> None:
    """Make sure that a folder is free, or holds this very run; a damaged one fails by itself, later.

    :raises UserError: if it holds another, or anything else
    """
    if damage(job.folder):
        return
    if job.begun:
        with _said_of(f"{job.folder} cannot be used; move it away, or give another --out"):
            there = read_config(Run.open(job.folder))
        for where, one, other in unlike(there, job.config):
            raise UserError(
                f"{job.folder} was trained with {where} {one!r}, {source} says {other!r}; move it away, or give "
                "another --out"
            )
    elif job.folder.exists() and not (job.folder.is_dir() and all(map(is_left_over, job.folder.iterdir()))):
        raise UserError(f"{job.folder} holds something that is no run; move it away, or give another --out")
