"""Everything needed to repeat a run, and how a user's wishes become it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from pydantic import NonNegativeInt

from jamba_rl import catalogue
from jamba_rl.catalogue import Data, UserError
from jamba_rl.lab.agent import Agent, AnyAgent, kind_of, load_agent
from jamba_rl.lab.agent.load import defaults
from jamba_rl.lab.run import Run
from jamba_rl.lab.start import Start
from jamba_rl.lab.stop import Stop
from jamba_rl.lab.younger import WAS_ONCE
from jamba_rl.tasks import Task, load_task
from jamba_rl.tasks.resolve import default_protocol
from jamba_rl.tasks.spec import PARTS_BY_NAME, PPOProtocol, SACProtocol


class RunConfig(Data):
    """A resolved run: the agent, the task with its protocol, the seed, the device, and how it is watched.

    ``video_every`` so many env steps a clip goes to TensorBoard; 0 for none. ``stop`` says when it may end early,
    ``start`` what it begins with.
    """

    task: Task
    agent: AnyAgent
    seed: NonNegativeInt
    device: str
    video_every: NonNegativeInt = 0
    stop: Stop | None = None
    start: Start | None = None

    @property
    def steps(self) -> int:
        """Env steps to train for in total."""
        return self.task.protocol.steps

    @property
    def part(self) -> PPOProtocol | SACProtocol:
        """The part of the protocol that the agent goes by."""
        return self.task.protocol.ppo if self.agent.part == "ppo" else self.task.protocol.sac


def configure(
    env: str,
    agent: str = "ppo-jamba",
    *,
    seed: int = 0,
    device: str = "cpu",
    protocol: Mapping[str, Any] | None = None,
    n_envs: int | None = None,
    settings: Iterable[str] = (),
    video_every: int = 0,
) -> RunConfig:
    """Resolve names and wishes.

    :param env: a task's name, the path of its YAML, or a gymnasium id
    :param agent: an agent's name, or the path of its YAML
    :param protocol: values to put over the task's, nested as in its YAML; None means as it is
    :param n_envs: parallel envs, in the part of the protocol that the agent goes by
    :param settings: ``KEY=VALUE`` pairs for the agent's keys and for those of its part of the protocol
    :param video_every: env steps between two clips for TensorBoard; 0 for none
    :raises UserError: names what was given, and the nearest valid choice
    """
    check_device(device)
    kind = type(load_agent(agent))
    agent_settings, part_settings = split_settings(settings, kind)
    learner = load_agent(agent, agent_settings)
    task = load_task(env, kind.part)
    wishes = catalogue.merge(_given(protocol or {}), {kind.part: part_settings | _given({"n_envs": n_envs})})
    task = catalogue.check(Task, catalogue.merge(task.model_dump(mode="json"), {"protocol": wishes}), "options")
    data = {"task": task.model_dump(mode="json"), "agent": learner.model_dump(mode="json")}
    rest = {"seed": seed, "device": device, "video_every": video_every}
    return catalogue.check(RunConfig, data | rest, "options")


def read_config(run: Run) -> RunConfig:
    """Read what a run was started with; a key younger than the run has what runs had before it, or else its default.

    :raises UserError: if the file was changed into something else
    """
    path, data = run.folder / "config.yaml", run.read_config()
    agent = data.get("agent")
    if not isinstance(agent, dict):
        raise UserError(f"{path}: agent: needs keys and values, was {agent!r}")
    kind = kind_of(agent, path)  # checked by itself, so that an error names the key as it stands there
    once = {key: value for key, value in WAS_ONCE["agent"].items() if key in kind.model_fields}
    agent = catalogue.merge(catalogue.merge(defaults(agent["algorithm"]), once), agent)
    catalogue.check(kind, agent, f"{path}: agent")
    young = {"task": {"protocol": default_protocol(kind.part)}}
    return catalogue.check(RunConfig, catalogue.merge(young, data) | {"agent": agent}, path)


def change(
    config: RunConfig, *, steps: int | None = None, device: str | None = None, video_every: int | None = None
) -> RunConfig:
    """Return the same run with a new total of steps, on another device, watched otherwise; None means as it is.

    Who names a total means it: the run does not end early then.
    """
    if device is not None:
        check_device(device)
    if steps is not None:
        config = config.model_copy(update={"stop": None})
    over = {"device": device, "video_every": video_every, "task": {"protocol": {"steps": steps}}}
    return catalogue.check(RunConfig, catalogue.merge(config.model_dump(mode="json"), _given(over)), "options")


def split_settings(settings: Iterable[str], kind: type[Agent]) -> tuple[dict[str, Any], dict[str, Any]]:
    """``KEY=VALUE`` pairs as nested values of the agent, and of its part of the protocol.

    :param kind: the agent's class, which says what keys there are

    >>> from jamba_rl.lab.agent import PPOAgent
    >>> split_settings(["network.pattern=MMA", "learning_rate=1e-4", "gamma=0.9"], PPOAgent)
    ({'network': {'pattern': 'MMA'}, 'learning_rate': 0.0001}, {'gamma': 0.9})
    """
    of_part = [key for key in PARTS_BY_NAME[kind.part].model_fields if key != "n_envs"]  # that has its own option
    agent: dict[str, Any] = {}
    part: dict[str, Any] = {}
    for setting in settings:
        dotted, equals, text = setting.partition("=")
        if not equals or not dotted or not text:
            raise UserError(f"--set takes KEY=VALUE, as in network.pattern=MMA, was {setting!r}")
        first, *_ = keys = dotted.split(".")
        if first == "n_envs":
            raise UserError("--set: n_envs has an option of its own: --n-envs")
        if first not in (*kind.keys(), *of_part):
            raise UserError(f"--set: {catalogue.unknown('key', first, [*kind.keys(), *of_part])}")
        value = catalogue.parse_value(text)
        for key in reversed(keys):
            value = {key: value}
        if first in of_part:
            part = catalogue.merge(part, value)
        else:
            agent = catalogue.merge(agent, value)
    return agent, part


def check_device(name: str) -> None:
    """Make sure that a device is there, so that nothing falls back silently.

    :raises UserError: if it is not
    """
    if name == "auto":
        return
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"unknown device {name!r} (valid: auto, cpu, cuda, cuda:N)") from None
    if device.type not in ("cpu", "cuda"):
        raise UserError(f"unknown device {name!r} (valid: auto, cpu, cuda, cuda:N)")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UserError(f"device {name!r} is not there; torch sees {torch.cuda.device_count()} CUDA devices")


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Only the values that were given: without None, nor mappings that hold nothing else."""
    nested = {key: _given(value) if isinstance(value, Mapping) else value for key, value in values.items()}
    return {key: value for key, value in nested.items() if value is not None and value != {}}
