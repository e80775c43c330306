"""``jamba-rl inspect``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from jamba_rl.cli.common import at_least, prepare


def inspect(
    name: Annotated[
        str,
        typer.Argument(
            metavar="AGENT|PRESET|SIZE",
            help="An agent, by name or path; a preset: rl, mamba, dhc-rl, dhc-vision, nakshatra, nexus, ai21-jamba; or "
            "small, medium, large of DHC-Jamba's vision model.",
        ),
    ],
    env: Annotated[
        str, typer.Option("--env", "-e", metavar="NAME", help="Whose observations and actions an agent has.")
    ] = "halfcheetah",
    context: Annotated[
        int,
        typer.Option(
            callback=at_least(1), metavar="N", help="Steps in memory: attention without a window keeps them all."
        ),
    ] = 1024,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON in place of a table.")] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also write inspect-NAME.csv and inspect-NAME.json there.")
    ] = None,
) -> None:
    """Show what an agent or a model is made of: layers, parameters, operations per token, bytes of memory.

    Active parameters are those that one token meets; FLOPs are forward and backward; memory is of one sequence, the
    keys and values of attention apart. Of an agent, `rest` is what stands around its backbones: encoder, heads.

    **Examples**

    - `jamba-rl inspect ppo-jamba --env hopper-p`
    - `jamba-rl inspect ai21-jamba --context 4096`
    - `jamba-rl inspect large --json`
    """
    from jamba_rl.lab.inspection import inspect as look
    from jamba_rl.lab.inspection_write import show_inspection, write_inspection

    prepare()
    found = look(name, env, context)
    if as_json:
        print(json.dumps(found.as_dict(), indent=1))
    else:
        show_inspection(found)
    if out is not None:
        for path in write_inspection(found, out):
            print(f"written   {path}", file=sys.stderr if as_json else sys.stdout)
