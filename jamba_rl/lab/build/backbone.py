"""What was learned on one env as the start on another: the backbone, which knows neither observations nor actions."""

from __future__ import annotations

from pathlib import Path

from stable_baselines3.common.base_class import BaseAlgorithm

from jamba_rl.catalogue import UserError
from jamba_rl.lab.build.make import load_model
from jamba_rl.lab.config import read_config
from jamba_rl.lab.run import Run
from jamba_rl.nn import Jamba


def take_backbone(model: BaseAlgorithm, source: Path) -> None:
    """Put the trained backbones of a run into a new model; embedding, heads and optimizer stay new.

    :param model: of the same algorithm, with backbones of the same shape
    :param source: folder of a run
    :raises UserError: if there is no run, it has no model, or its backbones are others
    """
    run = Run.open(source)
    trained = run.newest()
    if trained is None:
        raise UserError(f"{source} has no model yet whose backbone could be taken")
    learned = _backbones(load_model(read_config(run), trained))
    own = _backbones(model)
    if learned.keys() != own.keys():
        raise UserError(f"{source} has backbones {sorted(learned)}, not {sorted(own)}: give an agent of the same kind")
    for name, backbone in own.items():
        try:
            backbone.load_state_dict(learned[name].state_dict())
        except RuntimeError as error:
            raise UserError(f"the backbone of {source} does not fit: {' '.join(str(error).split())}") from error


def _backbones(model: BaseAlgorithm) -> dict[str, Jamba]:
    """Those of a policy by their places in it; several of an agent that has several memories."""
    return {name: module for name, module in model.policy.named_modules() if isinstance(module, Jamba)}
