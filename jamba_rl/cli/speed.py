"""``jamba-rl speed``: a command each for layers, models, acting, training, and the stepping of envs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from jamba_rl import catalogue
from jamba_rl.cli.common import at_least, prepare

app = typer.Typer(rich_markup_mode="markdown")


@app.callback(invoke_without_command=True)
def speed(context: typer.Context) -> None:
    """Measure how fast things are, next to what others wrote; without a command: `core`."""
    if context.invoked_subcommand is None:
        core()


@app.command()
def core(
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Measure this alone: parity, exactness, scan, layer, minibatch, length, step, checkpointing, compiled "
            "or streaming. Repeatable.",
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(callback=at_least(1), metavar="N", help="Timed rounds; medians count.")] = 15,
    stream_steps: Annotated[
        int, typer.Option(callback=at_least(128), metavar="N", help="Steps of the long stream.")
    ] = 1_000_000,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Also write core.csv and core.json there.")] = None,
) -> None:
    """Check and time layers on one thread, against transformers' Jamba and mambapy where they are installed.

    Whoever is compared runs in turn, round after round, so that a drift of the machine meets all alike.

    **Examples**

    - `jamba-rl speed core --out results/speed`
    - `jamba-rl speed core --only scan --only step`
    """
    from jamba_rl.lab.speed.core import chosen, measure, origin
    from jamba_rl.lab.speed.effort import Effort
    from jamba_rl.lab.speed.progress import showing
    from jamba_rl.lab.speed.write import show_core, write_core

    names, effort = chosen(only or ()), Effort(rounds, stream_steps=stream_steps)
    where = origin(effort)
    with showing(names) as show:
        rows = list(measure(names, effort, show))
    show_core(rows)
    if out is not None:
        for path in write_core(rows, where, out):
            print(f"written   {path}")


@app.command()
def training(
    agents: Annotated[
        list[str] | None,
        typer.Argument(metavar="[AGENT]...", help="Whom to time, all of PPO or all of SAC. Default: all of PPO."),
    ] = None,
    env: Annotated[str, typer.Option("--env", "-e", metavar="NAME", help="Where.")] = "halfcheetah",
    rounds: Annotated[
        int,
        typer.Option(callback=at_least(1), metavar="N", help="Timed rounds of 16 turns each; the median counts."),
    ] = 3,
    in_step: Annotated[
        bool, typer.Option("--in-step", help="Let all episodes begin together; else they are spread, as in training.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Also write training.csv and .json there (training-sac.*)."),
    ] = None,
) -> None:
    """Time the training of agents, in turn, in one process on one thread.

    Beside agents of PPO stand SB3's PPO and, where sb3-contrib is installed, its RecurrentPPO with LSTMs of as many
    parameters as the first agent has. Everyone has 16 envs, 64 steps, minibatches of 256, 10 epochs and no early stop.
    Beside agents of SAC stands SB3's SAC. Everyone has one env, and an update on 256 steps after each of its steps.

    **Examples**

    - `jamba-rl speed training ppo-jamba ppo-mlp`
    - `jamba-rl speed training sac-jamba sac-mamba`
    """
    from jamba_rl.lab.speed.peers import AGENTS, absent
    from jamba_rl.lab.speed.training import training_speed, training_table, write

    names = _timed(agents)
    prepare()
    speeds = training_speed(env, names, rounds, in_step=in_step)
    Console().print(training_table(speeds))
    for line in absent(AGENTS):
        print(line)
    if out is not None:
        for path in write(speeds, out, env, in_step):
            print(f"written   {path}")


@app.command()
def models(
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Measure this alone: sizes, forward, training, memory or layers. Repeatable."
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(callback=at_least(1), metavar="N", help="Timed rounds; medians count.")] = 7,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also write models.csv, models.json and models.svg there.")
    ] = None,
) -> None:
    """Compare whole models: parameters, FLOPs and state; forward passes, training steps, peak memory; kinds of layers.

    Of presets and agents, on one thread, beside transformers' and mambapy's Jamba where they are installed, and torch's
    own layers. In brackets stands how many times as long as ours they take: all run in turn, round after round, and of
    the ratios of single rounds it is the median.

    **Examples**

    - `jamba-rl speed models --out results/speed`
    - `jamba-rl speed models --only sizes --only layers`
    """
    from jamba_rl.lab.speed.core import origin
    from jamba_rl.lab.speed.effort import Effort
    from jamba_rl.lab.speed.models import chosen, measure
    from jamba_rl.lab.speed.models_figure import draw_models
    from jamba_rl.lab.speed.models_write import show_models, write_models
    from jamba_rl.lab.speed.progress import showing

    parts, effort = chosen(only or ()), Effort(rounds, sample=0.05)
    prepare()
    where = origin(effort)
    with showing(parts) as show:
        numbers = list(measure(parts, effort, show))
    show_models(numbers)
    if out is not None:
        drawn = draw_models(numbers, out / "models.svg")
        for path in (*write_models(numbers, where, out), *([drawn] if drawn else [])):
            print(f"written   {path}")


@app.command()
def predict(
    agents: Annotated[
        list[str] | None, typer.Argument(metavar="[AGENT]...", help="Whom to time. Default: all agents.")
    ] = None,
    env: Annotated[str, typer.Option("--env", "-e", metavar="NAME", help="Where.")] = "halfcheetah",
    rounds: Annotated[int, typer.Option(callback=at_least(1), metavar="N", help="Timed rounds.")] = 15,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also write predict.csv and predict.json there.")
    ] = None,
) -> None:
    """Time how long agents take to act: one step of `model.predict`, in one env and in 16, and how large memories are.

    Half of all calls take at most p50, 95 in a hundred at most p95, in microseconds. Beside the agents stand SB3's PPO
    and, where sb3-contrib is installed, its RecurrentPPO with as many parameters as the first agent of PPO has.

    **Examples**

    - `jamba-rl speed predict`
    - `jamba-rl speed predict ppo-jamba sac-jamba --env hopper-p`
    """
    from jamba_rl.lab.agent import load_agent
    from jamba_rl.lab.speed.peers import AGENTS, absent
    from jamba_rl.lab.speed.predict import predict_speed, predict_table, write
    from jamba_rl.lab.speed.write import show

    names = agents or catalogue.names("agents")
    for name in names:
        load_agent(name)  # whether there is one, before anything is made
    prepare()
    latencies = predict_speed(env, names, rounds)
    show(predict_table(latencies))
    for line in absent(AGENTS):
        print(line)
    if out is not None:
        for path in write(latencies, out, env):
            print(f"written   {path}")


@app.command()
def stepping(
    env: Annotated[str, typer.Option("--env", "-e", metavar="NAME", help="What.")] = "HalfCheetah-v4",
    n_envs: Annotated[int, typer.Option("--n-envs", callback=at_least(1), metavar="N", help="Parallel envs.")] = 8,
    rounds: Annotated[int, typer.Option(callback=at_least(1), metavar="N", help="Timed rounds; medians count.")] = 7,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also write stepping.csv and stepping.json there.")
    ] = None,
) -> None:
    """Time the steps of envs with random actions: in this process, in processes of their own, in EnvPool's threads.

    **Examples**

    - `jamba-rl speed stepping`
    - `jamba-rl speed stepping --env hopper-noise --n-envs 16`
    """
    from jamba_rl.lab.speed.stepping import stepping_speed, stepping_table, write

    prepare()
    speeds = stepping_speed(env, n_envs, rounds)
    Console().print(stepping_table(speeds))
    if out is not None:
        for path in write(speeds, out, env, n_envs):
            print(f"written   {path}")


def _timed(given: list[str] | None) -> list[str]:
    """Agents of one algorithm that has a memory: those given, or all of PPO's."""
    from jamba_rl.lab.agent import load_agent
    from jamba_rl.lab.speed.training import FIELDS

    agents = {name: load_agent(name).algorithm for name in given or catalogue.names("agents")}
    if not given:
        return [name for name, algorithm in agents.items() if algorithm == "ppo"]
    for name, algorithm in agents.items():
        if algorithm not in FIELDS:
            raise catalogue.UserError(f"agent {name!r} cannot be timed: it needs algorithm {' or '.join(FIELDS)}")
        if algorithm != agents[given[0]]:
            raise catalogue.UserError(f"agents {given[0]!r} and {name!r} are of two algorithms: time one at a time")
    return given
