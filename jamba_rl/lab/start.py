"""What a run begins with, other than from nothing."""

from __future__ import annotations

from pathlib import Path

from jamba_rl.catalogue import Data
from jamba_rl.lab.run import file_name


class Start(Data):
    """A run begins with the backbone that ``agent`` has learned on ``env``: the run of the same seed, among its own.

    So it holds wherever the folder of all runs is moved to.
    """

    env: str
    agent: str

    def folder(self, run: Path) -> Path:
        """Where that run lies.

        :param run: folder of the run that begins, ``ENV/AGENT/SEED`` under that of all runs

        >>> Start(env="pendulum", agent="ppo-jamba").folder(Path("runs/invertedpendulum/mine/100")).as_posix()
        'runs/pendulum/ppo-jamba/100'
        """
        return run.parents[2] / file_name(self.env) / self.agent / run.name
