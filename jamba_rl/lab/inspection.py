"""What an agent, a preset or a published size is made of, and what that costs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.preprocessing import preprocess_obs
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import nn

from jamba_rl import catalogue
from jamba_rl.lab.agent import load_agent
from jamba_rl.lab.build import make_model
from jamba_rl.lab.config import configure
from jamba_rl.models.layers import LayerTable, layer_table
from jamba_rl.models.vision import CLAIMED, SIZES, DHCJambaConfig, DHCJambaModel
from jamba_rl.nn import Jamba, JambaConfig
from jamba_rl.nn.accounting import convolution_flops
from jamba_rl.nn.presets import PRESETS
from jamba_rl.rl.encoder import Encoder
from jamba_rl.rl.recurrent import RecurrentPolicy
from jamba_rl.tasks import make_env

CONTEXT = 1024  # steps in memory, which only attention without a window holds all
SMALL_REPLAY = 1000  # which does not count


@dataclass(frozen=True)
class Inspection:
    """What was found.

    :ivar name: what was asked for
    :ivar kind: what it is, in words
    :ivar table: a row per layer
    :ivar claimed: parameters that its authors' documents name; None where they name none
    """

    name: str
    kind: str
    table: LayerTable
    claimed: int | None = None

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The table as flat rows, the total last."""
        return [asdict(layer) for layer in (*self.table.blocks, self.table.rest, self.table.total)]

    def as_dict(self) -> dict[str, Any]:
        """Everything, fit for JSON."""
        *layers, total = self.rows
        words = {"name": self.name, "kind": self.kind, "context": self.table.context, "claimed": self.claimed}
        return words | {"layers": layers, "total": total}


def inspect(name: str, env: str, context: int = CONTEXT) -> Inspection:
    """Count layers, parameters, operations per token (forward and backward) and bytes of memory per sequence.

    :param name: an agent, by name or path, a preset of ``JambaConfig``, or a size of DHC-Jamba's vision model
    :param env: whose observations and actions an agent has
    :param context: steps in memory
    :raises UserError: there is no such thing; names the nearest
    """
    with torch.device("meta"):  # counts without holding anything
        if name in PRESETS:
            return Inspection(name, "preset, a backbone alone", layer_table(Jamba(JambaConfig.preset(name)), context))
        if name in SIZES:
            model = DHCJambaModel(DHCJambaConfig.preset(name))
            return Inspection(name, "size of DHC-Jamba's vision model", layer_table(model, context), CLAIMED[name])
    agents = catalogue.names("agents")
    if name not in agents and not catalogue.is_path(name):
        raise catalogue.unknown("agent, preset or size", name, [*agents, *PRESETS, *SIZES])
    with policy_of(name, env) as policy:
        learned = _learned(policy)
        table = layer_table(learned, context, _own_state(policy), _convolutions(learned, policy))
        return Inspection(name, f"agent on {env}", table)


@contextmanager
def policy_of(agent: str, env: str) -> Iterator[BasePolicy]:
    """The untrained policy of an agent on an env.

    :raises UserError: there is no such agent or env, or they do not suit each other
    """
    settings = [f"buffer_size={SMALL_REPLAY}"] if load_agent(agent).part == "sac" else []
    config = configure(env, agent, settings=settings)
    venv = make_env(config.task, config.part.n_envs)
    try:
        yield make_model(config, venv).policy
    finally:
        venv.close()


def _learned(policy: BasePolicy) -> nn.Module:
    """A policy without its target network, which only follows."""
    parts = {name: part for name, part in policy.named_children() if name != "critic_target"}
    return nn.ModuleDict(parts | {"policy": nn.ParameterList(policy.parameters(recurse=False))})


def _convolutions(learned: nn.Module, policy: BasePolicy) -> int:
    """Operations of a policy's convolutions over one observation, forward and backward."""
    seen, _ = policy.obs_to_tensor(policy.observation_space.sample())
    seen = preprocess_obs(seen, policy.observation_space, normalize_images=policy.normalize_images)
    extractors = [part for part in learned.modules() if isinstance(part, BaseFeaturesExtractor)]
    inner = {part for extractor in extractors for part in list(extractor.modules())[1:]}  # of an extractor of several
    return convolution_flops(learned, lambda: [each(seen) for each in extractors if each not in inner])


def _own_state(policy: BasePolicy) -> int:
    """Bytes that a policy remembers beside its backbones: the previous action, and what is seen beside the present."""
    if not isinstance(policy, RecurrentPolicy):
        return 0
    encoders = [part for part in _learned(policy).modules() if isinstance(part, Encoder)]
    seen = [part for encoder in encoders for part in encoder.initial_state(1)[: encoder.own_parts]]
    return sum(part.nbytes for part in (policy.initial_state(1)[0], *seen))
