"""``jamba-rl train``."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from jamba_rl.catalogue import UserError
from jamba_rl.cli.common import at_least, nothing_beside_resume, prepare

if TYPE_CHECKING:
    from jamba_rl.lab.train import Summary

INTERRUPTED = 130  # as shells say it: 128 + SIGINT

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
        callback=at_least(1),
        metavar="N",
        help="Env steps in total, over all parallel envs. With --resume: the new total.",
    ),
]
SeedOption = Annotated[
    int | None,
    typer.Option(callback=at_least(0), metavar="S", help="Seed of the run; env i gets seed + i. Default: 0."),
]
EnvsOption = Annotated[int | None, typer.Option("--n-envs", callback=at_least(1), metavar="N", help="Parallel envs.")]
SteppingOption = Annotated[
    str | None,
    typer.Option(
        metavar="HOW",
        help="How envs are stepped: in-process, subprocess (a process each, for slow simulators) or envpool (MuJoCo in "
        "threads, with random numbers of its own). Default: in-process.",
    ),
]
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
        help="Change one value of the agent, or of its part of the protocol, such as gamma. Repeatable.",
    ),
]
EveryOption = Annotated[
    int | None,
    typer.Option("--eval-every", callback=at_least(1), metavar="N", help="Env steps between two evaluations."),
]
EpisodesOption = Annotated[
    int | None, typer.Option("--eval-episodes", callback=at_least(1), metavar="N", help="Episodes per evaluation.")
]
VideoOption = Annotated[
    int | None,
    typer.Option(
        "--video-every",
        callback=at_least(0),
        metavar="N",
        help="Env steps between two short clips of an episode, shown by TensorBoard under Images; 0 for none. "
        "Default: 0. With --resume: from now on.",
    ),
]
TrackOption = Annotated[
    str | None,
    typer.Option(metavar="WHO", help="Also tell Weights & Biases (wandb); with WANDB_MODE=offline on this disk only."),
]
QuietOption = Annotated[bool, typer.Option("--no-progress", help="A plain line now and then instead of the live bar.")]
ResumeOption = Annotated[
    Path | None, typer.Option(metavar="RUN", help="Go on with this run folder instead of starting anew.")
]


def train(
    env: EnvOption = None,
    agent: AgentOption = None,
    steps: StepsOption = None,
    seed: SeedOption = None,
    n_envs: EnvsOption = None,
    stepping: SteppingOption = None,
    device: DeviceOption = None,
    out: OutOption = None,
    settings: SetOption = None,
    eval_every: EveryOption = None,
    eval_episodes: EpisodesOption = None,
    video_every: VideoOption = None,
    track: TrackOption = None,
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
    from jamba_rl.opengl import check_wish

    if video_every:
        check_wish()  # before anything imports mujoco
    from jamba_rl.lab import train as training
    from jamba_rl.lab.config import configure

    prepare()
    live = not no_progress and sys.stderr.isatty()
    if resume is not None:
        fixed = {"--agent": agent, "--seed": seed, "--n-envs": n_envs, "--out": out, "--set": settings}
        fixed |= {"--eval-every": eval_every, "--eval-episodes": eval_episodes, "--stepping": stepping}
        nothing_beside_resume("run", fixed)
        summary = training.resume(
            resume, steps=steps, env=env, device=device, video_every=video_every, live=live, track=track
        )
    else:
        if env is None:
            raise UserError("--env is missing: give a name from `jamba-rl list envs`, a YAML file, or any gymnasium id")
        evaluation = {"every": eval_every, "episodes": eval_episodes}
        config = configure(
            env,
            agent or "ppo-jamba",
            seed=seed or 0,
            device=device or "cpu",
            protocol={"steps": steps, "stepping": stepping, "evaluation": evaluation},
            n_envs=n_envs,
            settings=settings or (),
            video_every=video_every or 0,
        )
        summary = training.train(config, out, live, track=track)
    _show(summary)
    if summary.scores is None:
        raise typer.Exit(INTERRUPTED)


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
    print(f"watch     jamba-rl watch {run}")
    print(f"curves    jamba-rl board {run}")
