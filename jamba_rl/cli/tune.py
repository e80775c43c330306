"""``jamba-rl tune``."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jamba_rl.catalogue import UserError, unknown
from jamba_rl.cli.common import at_least, nothing_beside_resume
from jamba_rl.cli.train import INTERRUPTED, EnvsOption, EpisodesOption

if TYPE_CHECKING:
    from jamba_rl.lab.tune.plan import Plan, Wishes
    from jamba_rl.lab.tune.results import Tried

FAILED = 1  # nothing was found
PRUNERS = ("median", "hyperband", "none")
TRIALS, SEEDS = 30, 2


AgentsArgument = Annotated[
    list[str] | None, typer.Argument(metavar="AGENT", help="Names from `jamba-rl list agents`, or YAML files.")
]
TunedEnvOption = Annotated[str | None, typer.Option("--env", "-e", metavar="NAME", help="Where they are tuned.")]
TrialsOption = Annotated[
    int | None, typer.Option(callback=at_least(1), metavar="N", help=f"Values to try of each agent. Default: {TRIALS}.")
]
TrialStepsOption = Annotated[
    int | None,
    typer.Option(callback=at_least(1), metavar="N", help="Env steps of a training. Default: the env's own."),
]
SeedsOption = Annotated[
    int | None,
    typer.Option(
        callback=at_least(1), metavar="N", help=f"Trainings of a trial, of seeds 0 to N - 1. Default: {SEEDS}."
    ),
]
TuneOutOption = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Folder of one agent, of several one with theirs; what is tuned there already goes on. "
        "Default: results/tune/ENV/AGENT.",
    ),
]
TuningOption = Annotated[Path | None, typer.Option(metavar="DIR", help="Go on with this tuning.")]
WorkersOption = Annotated[
    int, typer.Option(callback=at_least(1), metavar="N", help="Trials at the same time, a process each.")
]
FixedOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Hold a value fixed in all trials. Repeatable."),
]
SpaceOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="What to try. Default: agents/search/ALGORITHM.yaml, which shows the form."),
]
ProtocolOption = Annotated[
    bool | None,
    typer.Option("--protocol", help="Also try what belongs to the task, such as n_epochs and sequence_length."),
]
PrunerOption = Annotated[
    str | None,
    typer.Option(metavar="HOW", help=f"What ends trials early: {', '.join(PRUNERS)}. Default: {PRUNERS[0]}."),
]
SamplerSeedOption = Annotated[
    int | None,
    typer.Option("--sampler-seed", callback=at_least(0), metavar="S", help="Of the values tried. Default: 0."),
]


def tune(
    agents: AgentsArgument = None,
    env: TunedEnvOption = None,
    trials: TrialsOption = None,
    steps: TrialStepsOption = None,
    seeds: SeedsOption = None,
    out: TuneOutOption = None,
    resume: TuningOption = None,
    workers: WorkersOption = 1,
    settings: FixedOption = None,
    space: SpaceOption = None,
    protocol: ProtocolOption = None,
    pruner: PrunerOption = None,
    sampler_seed: SamplerSeedOption = None,
    n_envs: EnvsOption = None,
    eval_episodes: EpisodesOption = None,
) -> None:
    """Find better hyperparameters of agents, with Optuna.

    Tries values out of the ranges declared for an agent's algorithm and layers, each from several seeds, and ends
    early what does worse than the others did by then. Writes trials.csv and best.yaml, an agent. Several agents are
    tuned one after the other and alike: as many trials of as many steps, and random numbers from the same seed.

    **Examples**

    - `jamba-rl tune ppo-jamba ppo-lstm --env pendulum-p --trials 30 --workers 2`
    - `jamba-rl train --env pendulum-p --agent results/tune/pendulum-p/ppo-jamba/best.yaml --seed 100`
    - `jamba-rl tune --resume results/tune/pendulum-p/ppo-jamba --trials 60`

    Ctrl-C saves checkpoints and ends (exit code 130); the same command, or --resume, goes on. So does it after a kill.
    """
    from jamba_rl.lab.tune.plan import Wishes, read_plan
    from jamba_rl.lab.tune.study import import_optuna

    import_optuna()  # says so if it is not there, before anything is written
    fixed = {"AGENT": agents, "--env": env, "--steps": steps, "--seeds": seeds, "--out": out, "--set": settings}
    fixed |= {"--space": space, "--protocol": protocol, "--pruner": pruner, "--sampler-seed": sampler_seed}
    fixed |= {"--n-envs": n_envs, "--eval-episodes": eval_episodes}
    if resume is not None:
        nothing_beside_resume("tuning", fixed)
        read_plan(resume, trials)
        folders = [resume]
    else:
        if pruner not in (None, *PRUNERS):
            raise unknown("pruner", pruner, PRUNERS)
        wishes = Wishes(
            trials=trials or TRIALS,
            seeds=seeds or SEEDS,
            steps=steps,
            episodes=eval_episodes,
            n_envs=n_envs,
            pruner=pruner or PRUNERS[0],
            sampler_seed=sampler_seed or 0,
            protocol=bool(protocol),
            settings=tuple(settings or ()),
            space=space,
        )
        folders = _begin(agents or [], env, out, wishes)
    found = [_search(folder, workers) for folder in folders]
    raise typer.Exit(0 if all(found) else FAILED)


def _begin(agents: list[str], env: str | None, out: Path | None, wishes: Wishes) -> list[Path]:
    """Make the folders of some agents, all of them or none."""
    from jamba_rl.lab.run import file_name
    from jamba_rl.lab.tune.plan import begin, check_begin, draft

    if not agents:
        raise UserError("AGENT is missing: give a name from `jamba-rl list agents`, or a YAML file")
    if env is None:
        raise UserError("--env is missing: give a name from `jamba-rl list envs`, a YAML file, or any gymnasium id")
    names = [Path(agent).stem for agent in agents]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"agent {name!r} is there {names.count(name)} times: each needs a name of its own")
    parent = out or Path("results/tune", file_name(Path(env).stem))
    folders = [parent / name for name in names] if out is None or len(names) > 1 else [out]
    drafts = [draft(agent, env, wishes) for agent in agents]
    for folder, each in zip(folders, drafts, strict=True):
        check_begin(folder, each)
    for folder, each in zip(folders, drafts, strict=True):
        begin(folder, each)
    return folders


def _search(folder: Path, workers: int) -> bool:
    """Tune one agent, and return whether anything was found."""
    from jamba_rl.lab.tune.plan import read_plan
    from jamba_rl.lab.tune.search import search

    plan = read_plan(folder)
    complete = search(folder, plan, workers, lambda tried: _say(tried, plan))
    found = _show(folder, complete)
    if not complete:
        raise typer.Exit(INTERRUPTED)
    return found


def _say(tried: Tried, plan: Plan) -> None:
    """A line for a trial that ended."""
    values = ", ".join(f"{key} {_short(value)}" for key, value in tried.values.items())
    came_to = tried.error if tried.score is None else f"{tried.score:,.1f}"
    which = f"{Path(plan.agent).stem}, trial {tried.number + 1}/{plan.trials}"
    print(f"{which} {tried.state}: {came_to} ({values})", file=sys.stderr, flush=True)


def _show(folder: Path, complete: bool) -> bool:
    """Say what came out so far, and return whether there is anything."""
    from jamba_rl.lab.tune.plan import read_plan
    from jamba_rl.lab.tune.results import BEST, BEST_ENV, TABLE, best_of, read_trials
    from jamba_rl.lab.tune.study import open_study

    plan, where = read_plan(folder), shlex.quote(str(folder))
    tried = read_trials(open_study(folder, plan), plan)
    ended = [trial for trial in tried if trial.state != "running"]
    best = best_of(tried)
    print(f"agent     {plan.agent}")
    if not complete:
        print(f"stopped   after {len(ended)} of {plan.trials} trials")
    if best is not None:
        print(f"score     {best.score:,.1f}, mean of {plan.seeds} seeds, trial {best.number + 1} of {len(ended)}")
        for key, value in best.values.items():
            print(f"          {key}: {_short(value)}")
        print(f"written   {folder / BEST}")
        env = f"{where}/{BEST_ENV}" if plan.own_env else shlex.quote(plan.env)
        print(f"train     jamba-rl train --env {env} --agent {where}/{BEST} --seed 100")
    elif complete:
        print("score     none: no trial came to its end")
    if ended:
        print(f"trials    {folder / TABLE}")
    print(f"curves    jamba-rl board {where}")
    if not complete:
        print(f"continue  jamba-rl tune --resume {where}")
    return best is not None


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
