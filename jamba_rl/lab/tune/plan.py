"""What a tuning was asked for, as it lies in its folder."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import NonNegativeInt, PositiveInt

from jamba_rl import catalogue
from jamba_rl.catalogue import Data, UserError
from jamba_rl.lab.agent import load_agent
from jamba_rl.lab.config import RunConfig, configure, split_settings
from jamba_rl.lab.files import replacing
from jamba_rl.lab.hparams import flat
from jamba_rl.lab.lock import alone_in
from jamba_rl.lab.tune.space import Space, load_space
from jamba_rl.tasks import load_task

FILE, AGENT, ENV = "plan.yaml", "agent.yaml", "env.yaml"
FEWEST_EVALUATIONS = 10  # of a training: a trial can be ended early only where it has been looked at
SEEDS_OF_REPORTS = 100  # from here on, seeds are for what is reported: nothing may be chosen by them


class Plan(Data):
    """What a tuning was asked for.

    ``agent`` and ``env`` are the names as they were given; what they meant then lies beside the plan. ``trials`` is the
    number of all, also of those that were ended early or failed: agents of as many have had the same chance.
    ``own_env`` says whether trials go by another protocol than the task's: what is tried or set belongs to it.
    """

    agent: str
    env: str
    trials: PositiveInt
    seeds: PositiveInt
    steps: PositiveInt
    evaluation_every: PositiveInt
    evaluation_episodes: PositiveInt
    n_envs: PositiveInt
    pruner: Literal["median", "hyperband", "none"]
    sampler_seed: NonNegativeInt
    protocol: bool
    own_env: bool
    space: Space

    @property
    def evaluations(self) -> int:
        """How many a training has."""
        return -(-self.steps // self.evaluation_every)


@dataclass(frozen=True)
class Wishes:
    """What is asked for, the same for every agent that is tuned; None means what a training would have.

    :ivar episodes: of an evaluation
    :ivar settings: ``KEY=VALUE`` that hold in all trials, as of ``jamba-rl train --set``
    :ivar space: a file of ranges in place of the algorithm's own
    """

    trials: int
    seeds: int
    steps: int | None = None
    episodes: int | None = None
    n_envs: int | None = None
    pruner: str = "median"
    sampler_seed: int = 0
    protocol: bool = False
    settings: tuple[str, ...] = ()
    space: Path | None = None


@dataclass(frozen=True)
class Draft:
    """A plan, with the agent and the task that its names mean now."""

    plan: Plan
    agent: dict[str, Any]
    env: dict[str, Any]

    @property
    def files(self) -> dict[str, dict[str, Any]]:
        """What lies in a folder; the plan comes last: a folder that has it has all."""
        return {AGENT: self.agent, ENV: self.env, FILE: _dumped(self.plan)}


def draft(agent: str, env: str, wishes: Wishes) -> Draft:
    """Resolve what is asked for; nothing is written yet.

    :raises UserError: names what was given and the nearest valid choice
    """
    if wishes.seeds > SEEDS_OF_REPORTS:
        raise UserError(
            f"--seeds must be at most {SEEDS_OF_REPORTS}: those from 100 on are for reports, was {wishes.seeds}"
        )
    protocol = {"steps": wishes.steps, "evaluation": {"episodes": wishes.episodes}}
    config = configure(env, agent, protocol=protocol, n_envs=wishes.n_envs, settings=wishes.settings)
    evaluation = config.task.protocol.evaluation
    values = {
        "agent": agent,
        "env": env,
        "trials": wishes.trials,
        "seeds": wishes.seeds,
        "steps": config.steps,
        "evaluation_every": min(evaluation.every, max(1, config.steps // FEWEST_EVALUATIONS)),
        "evaluation_episodes": evaluation.episodes,
        "n_envs": config.part.n_envs,
        "pruner": wishes.pruner,
        "sampler_seed": wishes.sampler_seed,
        "protocol": wishes.protocol,
        "own_env": wishes.protocol or bool(split_settings(wishes.settings, type(config.agent))[1]),
        "space": _plain(load_space(agent, wishes.space, config.task, wishes.protocol, wishes.settings)),
    }
    plan = catalogue.check(Plan, values, "options")
    return Draft(plan, _agent(agent, wishes.settings), _env(env, agent, wishes.settings))


def check_begin(folder: Path, draft: Draft) -> None:
    """Make sure that a tuning can begin or go on in a folder.

    :raises UserError: it holds another tuning, but for the number of ``trials``, or something else
    """
    if not (folder / FILE).exists():
        if folder.exists() and not (folder.is_dir() and all(map(_is_beginning, folder.iterdir()))):
            raise UserError(f"{folder} already exists and holds no tuning; give another --out")
        return
    for name, prefix in ((FILE, ""), (AGENT, f"{AGENT}: "), (ENV, f"{ENV}: ")):
        then, now = flat(catalogue.load(folder / name), prefix), flat(draft.files[name], prefix)
        for key in {**then, **now}:
            if key != "trials" and then.get(key) != now.get(key):
                raise UserError(
                    f"{folder} is a tuning with {key} {then.get(key)!r}, not {now.get(key)!r}; give another --out"
                )


def begin(folder: Path, draft: Draft) -> None:
    """Write down what is asked for.

    :raises UserError: it cannot be written, or another process is tuning there
    """
    there = (folder / FILE).exists()  # in a new folder there is nobody else, and it is to hold these files alone
    try:
        with alone_in(folder, "tuning") if there else nullcontext():
            folder.mkdir(parents=True, exist_ok=True)
            for name, data in draft.files.items():
                with replacing(folder / name) as path:
                    catalogue.dump(data, path)
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror}") from error


def read_plan(folder: Path, trials: int | None = None) -> Plan:
    """Read the plan of a folder.

    :param trials: the new number of all
    :raises UserError: if there is none, a file of it is gone, or it was changed into something else; or if another
        process is tuning there that has another number
    """
    path = folder / FILE
    for name in (FILE, AGENT, ENV):
        if not (folder / name).is_file():
            raise UserError(f"no tuning at {folder}: it has no {name}")
    plan = catalogue.check(Plan, catalogue.load(path), path)
    if trials is None or trials == plan.trials:
        return plan
    plan = plan.model_copy(update={"trials": trials})
    with alone_in(folder, "tuning"), replacing(path) as new:
        catalogue.dump(_dumped(plan), new)
    return plan


def trial_config(folder: Path, plan: Plan, values: Mapping[str, Any], seed: int) -> RunConfig:
    """Make the config of one training.

    :param values: what is tried, by dotted keys
    :raises UserError: if the values do not go together
    """
    evaluation = {"every": plan.evaluation_every, "episodes": plan.evaluation_episodes}
    return configure(
        str(folder / ENV),
        str(folder / AGENT),
        seed=seed,
        protocol={"steps": plan.steps, "evaluation": evaluation},
        n_envs=plan.n_envs,
        settings=[f"{key}={json.dumps(value)}" for key, value in values.items()],
    )


def _agent(name: str, settings: Iterable[str]) -> dict[str, Any]:
    """An agent's own YAML with what is set in all trials."""
    path = catalogue.find("agents", name)
    wishes, _ = split_settings(settings, type(load_agent(name)))
    return {"name": path.stem} | catalogue.merge(catalogue.load(path), wishes)


def _env(name: str, agent: str, settings: Iterable[str]) -> dict[str, Any]:
    """A task, resolved, with what of its protocol is set in all trials."""
    kind = type(load_agent(agent))
    _, wishes = split_settings(settings, kind)
    return catalogue.merge(load_task(name, kind.part).model_dump(mode="json"), {"protocol": {kind.part: wishes}})


def _is_beginning(path: Path) -> bool:
    """Whether a kill may have left it before there was a plan."""
    return re.sub(r"(\.\d+)?\.part$", "", path.name) in (AGENT, ENV, FILE)


def _dumped(plan: Plan) -> dict[str, Any]:
    data = plan.model_dump(mode="json")
    return data | {"space": _plain(plan.space)}


def _plain(space: Space) -> dict[str, Any]:
    """Ranges as they stand in a file, without what is not said."""
    return {key: dimension.model_dump(mode="json", exclude_defaults=True) for key, dimension in space.items()}
