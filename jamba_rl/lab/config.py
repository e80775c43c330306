"""Everything needed to repeat a run, and how a user's wishes become it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from pydantic import NonNegativeInt

from jamba_rl import catalogue
from jamba_rl.catalogue import Data, UserError
from jamba_rl.lab.agent import PPOAgent, load_agent
from jamba_rl.tasks import Task, load_task
from jamba_rl.tasks.spec import PPOProtocol

# What --set reaches besides an agent's own keys: protocol values without an option of their own.
PROTOCOL_KEYS = [key for key in PPOProtocol.model_fields if key != "n_envs"]
AGENT_KEYS = [key for key in PPOAgent.model_fields if key not in ("name", "description", "algorithm")]


class RunConfig(Data):
    """A resolved run: the agent, the task with its protocol, the seed and the device."""

    task: Task
    agent: PPOAgent
    seed: NonNegativeInt
    device: str

    @property
    def steps(self) -> int:
        """Env steps to train for in total."""
        return self.task.protocol.steps


def configure(
    env: str,
    agent: str = "ppo-jamba",
    *,
    seed: int = 0,
    device: str = "cpu",
    protocol: Mapping[str, Any] | None = None,
    settings: Iterable[str] = (),
) -> RunConfig:
    """Resolve names and wishes.

    :param env: a task's name, the path of its YAML, or a gymnasium id
    :param agent: an agent's name, or the path of its YAML
    :param protocol: values to put over the task's, nested as in its YAML; None means as it is
    :param settings: ``KEY=VALUE`` pairs for the agent's keys and for n_steps, gamma, gae_lambda, log_std_init
    :raises UserError: names what was given, and the nearest valid choice
    """
    check_device(device)
    task = load_task(env)
    agent_settings, ppo_settings = split_settings(settings)
    learner = load_agent(agent, agent_settings)
    wishes = catalogue.merge(_given(protocol or {}), {"ppo": ppo_settings})
    task = catalogue.check(Task, catalogue.merge(task.model_dump(mode="json"), {"protocol": wishes}), "protocol")
    data = {"task": task.model_dump(mode="json"), "agent": learner.model_dump(mode="json")}
    return catalogue.check(RunConfig, data | {"seed": seed, "device": device}, "options")


def change(config: RunConfig, *, steps: int | None = None, device: str | None = None) -> RunConfig:
    """Return the same run with a new total of steps, on another device; None means as it is."""
    if device is not None:
        check_device(device)
    over = {"device": device, "task": {"protocol": {"steps": steps}}}
    return catalogue.check(RunConfig, catalogue.merge(config.model_dump(mode="json"), _given(over)), "options")


def split_settings(settings: Iterable[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """``KEY=VALUE`` pairs as nested values of the agent and of the protocol's ``ppo`` part.

    >>> split_settings(["network.pattern=MMA", "learning_rate=1e-4", "gamma=0.9"])
    ({'network': {'pattern': 'MMA'}, 'learning_rate': 0.0001}, {'gamma': 0.9})
    """
    agent: dict[str, Any] = {}
    ppo: dict[str, Any] = {}
    for setting in settings:
        dotted, equals, text = setting.partition("=")
        if not equals or not dotted or not text:
            raise UserError(f"--set takes KEY=VALUE, as in network.pattern=MMA, was {setting!r}")
        first, *_ = keys = dotted.split(".")
        if first not in (*AGENT_KEYS, *PROTOCOL_KEYS):
            raise UserError(f"--set: {catalogue.unknown('key', first, [*AGENT_KEYS, *PROTOCOL_KEYS])}")
        value = catalogue.parse_value(text)
        for key in reversed(keys):
            value = {key: value}
        if first in PROTOCOL_KEYS:
            ppo = catalogue.merge(ppo, value)
        else:
            agent = catalogue.merge(agent, value)
    return agent, ppo


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
