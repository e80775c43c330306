"""What a trained agent is worth without its memory, or with sensors worse than those of its training.

Its final model plays the same episodes as it is, and under every probe: ``probes.csv`` in the run's folder has a row
for each, ``plain`` first.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.type_aliases import PolicyPredictor

from jamba_rl.catalogue import UserError
from jamba_rl.lab.build import load_model
from jamba_rl.lab.config import RunConfig, read_config
from jamba_rl.lab.evaluate import PARALLEL_EPISODES, Scores, evaluate
from jamba_rl.lab.experience import experience_of
from jamba_rl.lab.experiment.spec import PLAIN, Probe
from jamba_rl.lab.files import Table
from jamba_rl.lab.run import Checkpoint, Run
from jamba_rl.lab.seeds import derived_seed
from jamba_rl.lab.view import saved, view
from jamba_rl.tasks import make_env

PROBES = "probes.csv"
COLUMNS = ("probe", "memory", "noise", "mean_reward", "std_reward", "mean_length", "episodes")
EPISODES = 20


class Forgetful:
    """Plays as a model does that forgets everything before every step."""

    def __init__(self, model: BaseAlgorithm) -> None:
        self.model = model

    def predict(
        self,
        observation: NDArray[Any] | dict[str, NDArray[Any]],
        state: tuple[NDArray[Any], ...] | None = None,
        episode_start: NDArray[Any] | None = None,
        deterministic: bool = False,
    ) -> tuple[NDArray[Any], None]:
        """Act as if nothing had been before."""
        return self.model.predict(observation, None, None, deterministic)[0], None


def missing(folder: Path, probes: Sequence[Probe]) -> list[Probe]:
    """Probes that a run has not been put to yet, the plain one before all."""
    if not probes:
        return []
    known = [(row["probe"], row["memory"], row["noise"]) for row in _rows(folder / PROBES)]
    return [probe for probe in (Probe(name=PLAIN), *probes) if _written(probe) not in known]


def _rows(path: Path) -> list[dict[str, str]]:
    """What is known of probes; nothing of a damaged file."""
    try:
        table = Table(path, COLUMNS)
        table.check_numbers("mean_reward")
    except UserError:
        return []
    return table.rows() if set(COLUMNS) <= set(table.columns) else []


def _written(probe: Probe) -> tuple[str, str, str]:
    return probe.name, str(probe.memory), "" if probe.noise is None else str(probe.noise)


def put_to(probes: Sequence[Probe], folder: Path) -> None:
    """Evaluate the final model of a run under probes, and write each down as it is done; of a name the latest stays."""
    run = Run.open(folder)
    config, model = read_config(run), run.newest()
    assert model is not None
    if not _rows(folder / PROBES):
        (folder / PROBES).unlink(missing_ok=True)  # it may be damaged
    table = Table(folder / PROBES, COLUMNS)
    names = {probe.name for probe in probes}
    table.keep(lambda row: row["probe"] not in names)  # nor a last line that a kill cut off
    for probe in probes:
        name, memory, noise = _written(probe)
        scores = _scores(probe, config, model).as_dict()
        table.append({"probe": name, "memory": memory, "noise": noise, **scores})


def _scores(probe: Probe, config: RunConfig, final: Checkpoint) -> Scores:
    task = config.task if probe.noise is None else config.task.model_copy(update={"noise": probe.noise})
    venv = make_env(task, PARALLEL_EPISODES)
    seen = view(config.agent, venv, saved(final.normalizer, training=False))
    model = load_model(config, final)
    player: PolicyPredictor = model if probe.memory else Forgetful(model)
    with experience_of(config.task.name):
        scores = evaluate(player, seen, EPISODES, derived_seed("probe", config.seed))
    venv.close()
    return scores
