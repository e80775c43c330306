"""The command line: one verb, one call. Imports of weight wait until a verb needs them."""

from __future__ import annotations

import shlex
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from jamba_rl import catalogue
from jamba_rl.catalogue import UserError

if TYPE_CHECKING:
    from jamba_rl.lab.train import Summary

INTERRUPTED = 130  # as shells say it: 128 + SIGINT

app = typer.Typer(
    help="Agents with memory for Stable-Baselines3, on a plain CPU.",
    epilog="Begin with `jamba-rl train --env pendulum-p`, which takes a minute or two.",
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _at_least(lowest: int) -> Callable[[typer.CallbackParam, int | None], int | None]:
    """Check of an option that says what was given, which typer's own range does not."""

    def check(option: typer.CallbackParam, value: int | None) -> int | None:
        if value is not None and value < lowest:
            raise UserError(f"{option.opts[0]} must be at least {lowest}, was {value}")
        return value

    return check


AgentOption = Annotated[
    str | None,
    typer.Option(
        "--agent",
        "-a",
        metavar="NAME",
        help="Who learns: a name from `jamba-rl list agents`, or a YAML file. Default: ppo-jamba.",
    ),
]
EnvOption = Annotated[
    str | None,
    typer.Option(
        "--env",
        "-e",
        metavar="NAME",
        help="Where it learns: a name from `jamba-rl list envs`, a YAML file, or any gymnasium id.",
    ),
]
StepsOption = Annotated[
    int | None,
    typer.Option(
        callback=_at_least(1),
        metavar="N",
        help="Env steps in total, over all parallel envs. With --resume: the new total.",
    ),
]
SeedOption = Annotated[
    int | None,
    typer.Option(callback=_at_least(0), metavar="S", help="Seed of the run; env i gets seed + i. Default: 0."),
]
EnvsOption = Annotated[int | None, typer.Option("--n-envs", callback=_at_least(1), metavar="N", help="Parallel envs.")]
DeviceOption = Annotated[
    str | None,
    typer.Option(metavar="D", help="cpu, cuda, cuda:N or auto. Default: cpu, the fastest for networks of this size."),
]
OutOption = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR", help="Run folder; must be new or empty. Default: results/runs/ENV/AGENT/SEED-N, N being free."
    ),
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change one value of the agent, or n_steps, gamma, gae_lambda or log_std_init. Repeatable.",
    ),
]
EveryOption = Annotated[
    int | None,
    typer.Option("--eval-every", callback=_at_least(1), metavar="N", help="Env steps between two evaluations."),
]
EpisodesOption = Annotated[
    int | None, typer.Option("--eval-episodes", callback=_at_least(1), metavar="N", help="Episodes per evaluation.")
]
QuietOption = Annotated[bool, typer.Option("--no-progress", help="A plain line now and then instead of the live bar.")]
ResumeOption = Annotated[
    Path | None, typer.Option(metavar="RUN", help="Go on with this run folder instead of starting anew.")
]


@app.command()
def train(
    env: EnvOption = None,
    agent: AgentOption = None,
    steps: StepsOption = None,
    seed: SeedOption = None,
    n_envs: EnvsOption = None,
    device: DeviceOption = None,
    out: OutOption = None,
    settings: SetOption = None,
    eval_every: EveryOption = None,
    eval_episodes: EpisodesOption = None,
    no_progress: QuietOption = False,
    resume: ResumeOption = None,
) -> None:
    """Train an agent, or go on training one.

    What is not given comes from the env's protocol (`jamba-rl list envs`) and from the agent's YAML.

    **Examples**

    - `jamba-rl train --env pendulum-p`
    - `jamba-rl train --env HalfCheetah-v4 --agent ppo-lstm --seed 1 --steps 500000`
    - `jamba-rl train --env pendulum-p --set network.pattern=MMA --set learning_rate=1e-3`
    - `jamba-rl train --resume results/runs/pendulum-p/ppo-jamba/0-1 --steps 300000`

    Ctrl-C saves a checkpoint and ends (exit code 130); a second Ctrl-C aborts at once.
    """
    from jamba_rl.lab import train as training
    from jamba_rl.lab.config import configure

    _prepare()
    live = not no_progress and sys.stderr.isatty()
    if resume is not None:
        fixed = {"--agent": agent, "--seed": seed, "--n-envs": n_envs, "--out": out, "--set": settings}
        fixed |= {"--eval-every": eval_every, "--eval-episodes": eval_episodes}
        given = [name for name, value in fixed.items() if value not in (None, [])]
        if given:
            raise UserError(f"--resume goes on with a run as it is: leave out {', '.join(given)}")
        summary = training.resume(resume, steps=steps, env=env, device=device, live=live)
    else:
        if env is None:
            raise UserError("--env is missing: give a name from `jamba-rl list envs`, a YAML file, or any gymnasium id")
        evaluation = {"every": eval_every, "episodes": eval_episodes}
        config = configure(
            env,
            agent or "ppo-jamba",
            seed=seed or 0,
            device=device or "cpu",
            protocol={"steps": steps, "evaluation": evaluation, "ppo": {"n_envs": n_envs}},
            settings=settings or (),
        )
        summary = training.train(config, out, live)
    _show(summary)
    if summary.scores is None:
        raise typer.Exit(INTERRUPTED)


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    episodes: Annotated[int, typer.Option(callback=_at_least(1), metavar="N", help="Episodes to play.")] = 20,
    seed: Annotated[
        int,
        typer.Option(
            callback=_at_least(0),
            metavar="S",
            help="Which episodes; never the ones trained or evaluated on in training.",
        ),
    ] = 0,
) -> None:
    """Play deterministic episodes with a trained agent.

    Prints mean and standard deviation of the return and the mean length, and writes them with each
    episode's values to RUN/evaluation-SEED.json.

    **Example**

    - `jamba-rl evaluate results/runs/pendulum-p/ppo-jamba/0-1 --episodes 100`
    """
    from jamba_rl.lab.evaluate import evaluate_run

    _prepare()
    scores, path = evaluate_run(run, episodes, seed)
    print(f"return    {scores.mean:,.1f} +/- {scores.std:,.1f} over {episodes} episodes")
    print(f"length    {scores.mean_length:,.1f}")
    print(f"written   {path}")


@app.command("list")
def list_(
    kind: Annotated[str | None, typer.Argument(metavar="[agents|envs]", help="What to list; default both.")] = None,
) -> None:
    """List the agents and envs that have a name.

    **Examples**

    - `jamba-rl list agents`
    - `jamba-rl list envs`
    """
    kinds = ("agents", "envs")
    if kind is not None and kind not in kinds:
        raise catalogue.unknown("list", kind, kinds)
    for each in kinds if kind is None else (kind,):
        table = Table("name", "description", title=each, title_justify="left", box=None, header_style="dim")
        for name, description in catalogue.descriptions(each).items():
            table.add_row(name, description)
        Console().print(table)
    if kind != "agents":
        print("\n--env takes any gymnasium id too, as in --env Hopper-v5")


@app.command()
def report(
    results: Annotated[Path, typer.Argument(metavar="RESULTS", help="A folder whose runs lie under RESULTS/runs.")],
) -> None:
    """Turn runs into tables and learning curves.

    Reads every finished run under RESULTS/runs and writes report.md, scores.csv, curves.csv and figures to RESULTS.

    **Example**

    - `jamba-rl report results/main-job`
    """
    from jamba_rl.lab.report import report as write_report

    print(f"written   {write_report(results)}")


@app.command()
def speed(
    agents: Annotated[
        list[str] | None, typer.Argument(metavar="[AGENT]...", help="Whom to time. Default: all agents with a name.")
    ] = None,
    env: Annotated[str, typer.Option("--env", "-e", metavar="NAME", help="Where.")] = "halfcheetah",
    rounds: Annotated[
        int,
        typer.Option(callback=_at_least(1), metavar="N", help="Timed rounds of 16 rollouts each; the median counts."),
    ] = 3,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Also write speed.csv there.")] = None,
) -> None:
    """Time the training of agents, in turn, in one process on one thread.

    Beside them stand SB3's PPO and, where sb3-contrib is installed, its RecurrentPPO with LSTMs of as many parameters
    as the first agent has. Everyone has 16 envs, 64 steps, minibatches of 256, 10 epochs and no early stop.

    **Example**

    - `jamba-rl speed ppo-jamba ppo-mlp`
    """
    from jamba_rl.lab.speed import training_speed, write

    _prepare()
    speeds = training_speed(env, agents or catalogue.names("agents"), rounds)
    table = Table(
        "who", "parameters", "env-steps/s", "slowest", "fastest", "of the first", box=None, header_style="dim"
    )
    for each in speeds:
        numbers = (f"{x:,.0f}" for x in (each.parameters, each.median, each.slowest, each.fastest))
        table.add_row(each.name, *numbers, f"{each.median / speeds[0].median:.2f}")
    Console().print(table)
    if out is not None:
        print(f"written   {write(speeds, out)}")


def _prepare() -> None:
    """One thread, and no warnings that a user of the command line can do nothing about."""
    import gymnasium  # noqa: F401 (it puts its own filter first, ours has to come after)
    import mujoco

    from jamba_rl.lab.train import use_one_thread

    use_one_thread()
    warnings.filterwarnings("ignore", ".*is out of date", DeprecationWarning)
    mujoco.set_mju_user_warning(_warn_of_simulation)  # its own handler would also leave a log file behind


def _warn_of_simulation(message: str) -> None:
    if "deprecated" not in message:  # those concern the authors of the robot's XML
        print(f"mujoco: {message.strip()}", file=sys.stderr)


def _show(summary: Summary) -> None:
    run = shlex.quote(str(summary.run.folder))
    scores = summary.scores
    if scores is None:
        print(f"stopped   after {summary.steps:,} steps; a checkpoint is written")
    else:
        episodes = len(scores.returns)
        print(f"return    {scores.mean:,.1f} +/- {scores.std:,.1f} over {episodes} deterministic episodes")
        print(f"steps     {summary.steps:,}")
    print(f"speed     {summary.steps_per_second:,.0f} steps/s")
    print(f"run       {run}")
    more = "" if scores is None else f" --steps {2 * summary.steps}"
    print(f"continue  jamba-rl train --resume {run}{more}")
    print(f"evaluate  jamba-rl evaluate {run}")
    print(f"curves    tensorboard --logdir {run}/tb")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code: 0, 2 for a user's mistake, 130 when interrupted."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        return app(given or ["--help"], prog_name="jamba-rl", standalone_mode=False) or 0
    except (UserError, typer.TyperException) as error:
        message = error.format_message() if hasattr(error, "format_message") else str(error)
        print(f"jamba-rl: {' '.join(message.split())}", file=sys.stderr)
        return 2
