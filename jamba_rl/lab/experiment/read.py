"""From configs/NAME.yaml to an experiment: names and keys are checked here, before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jamba_rl import catalogue
from jamba_rl.catalogue import UserError
from jamba_rl.lab.agent import ALGORITHMS
from jamba_rl.lab.experiment.spec import FIRST_SEED, Experiment, Grid

GRID_KEYS = ("agents", "envs", "seeds", "differ", "protocol", "set", "stop", "probes")
KEYS = ("description", "grids", *GRID_KEYS)


def read_experiment(name: str) -> Experiment:
    """Read an experiment; what a grid does not say, it has from the top level.

    :param name: a name out of ``configs/``, or the path of such a file
    :raises UserError: names file, key and the nearest valid choice
    """
    path = catalogue.find("configs", name)
    data = catalogue.load(path)
    for key in data:
        if key not in KEYS:
            raise UserError(f"{path}: {catalogue.unknown('key', str(key), KEYS)}")
    description = data.get("description", "")
    if not isinstance(description, str):
        raise UserError(f"{path}: description: must be text, was {description!r}")
    shared = {key: value for key, value in data.items() if key in GRID_KEYS}
    return Experiment(path, description, tuple(_grids(data.get("grids"), shared, path)))


def _grids(grids: object, shared: dict[str, Any], path: Path) -> list[tuple[str, Grid]]:
    if grids is None:
        return [(str(path), _grid(shared, str(path)))]
    if not isinstance(grids, list) or not grids:
        raise UserError(f"{path}: grids: must be a list of grids, was {grids!r}")
    found = []
    for i, own in enumerate(grids):
        source = f"{path}: grids.{i}"
        if not isinstance(own, dict):
            raise UserError(f"{source}: needs keys and values, was {own!r}")
        found.append((source, _grid(catalogue.merge(shared, own), source)))
    return found


def _grid(data: dict[str, Any], source: str) -> Grid:
    data = dict(data)
    if isinstance(data.get("agents"), list):
        data["agents"] = [{"from": agent} if isinstance(agent, str) else agent for agent in data["agents"]]
    if "seeds" in data:
        data["seeds"] = _seeds(data["seeds"], source)
    grid = catalogue.check(Grid, data, source)
    valid = {"algorithm", "protocol", "start"}.union(*(kind.keys() for kind in ALGORITHMS.values()))
    for i, key in enumerate(grid.differ):
        if key not in valid:
            raise UserError(f"{source}: differ.{i}: {catalogue.unknown('key', key, valid)}")
    return grid


def _seeds(seeds: object, source: str) -> list[Any]:
    if isinstance(seeds, list):
        return seeds
    if isinstance(seeds, int) and not isinstance(seeds, bool) and seeds > 0:
        return list(range(FIRST_SEED, FIRST_SEED + seeds))
    raise UserError(f"{source}: seeds: must be a number of seeds from {FIRST_SEED} on, or a list, was {seeds!r}")
