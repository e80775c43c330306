"""What the tests share: a command line to call, and a run to look at."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import mujoco
import pytest
import torch

from jamba_rl.cli import main
from jamba_rl.kernels import build, library
from jamba_rl.lab.config import RunConfig, configure
from jamba_rl.lab.run import Run
from jamba_rl.lab.train import train

# An agent that is as quick as can be: what it learns does not matter to these tests.
TINY = ["n_steps=32", "batch_size=32", "n_epochs=1", "network.d_model=8", "network.num_heads=2", "policy.net_arch=[8]"]
TINY_OPTIONS = ["--n-envs", "2", "--eval-episodes", "1", *(part for setting in TINY for part in ("--set", setting))]


@pytest.fixture(scope="session", autouse=True)
def _an_interrupt_is_heard() -> None:
    # a shell's background jobs, and what they start, ignore an interrupt; tests send some
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _quiet_and_single_threaded() -> None:
    torch.set_num_threads(1)
    mujoco.set_mju_user_warning(lambda message: None)  # else it leaves a log file where the tests run


@pytest.fixture(params=["kernels", "torch"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A test runs twice: with kernels where there are any, and with torch alone."""
    if request.param == "torch":
        monkeypatch.setattr(build, "library", lambda: None)
        library.kernels.cache_clear()  # whoever calls one all the same gets an error
    return request.param


@dataclass(frozen=True)
class Outcome:
    """What a command line did."""

    code: int
    out: str
    err: str


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Call `jamba-rl` in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Outcome:
        capsys.readouterr()
        code = main(arguments)
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


def tiny_config(env: str = "pendulum-p", steps: int = 256, every: int = 128, **kwargs) -> RunConfig:
    """A run of seconds."""
    protocol = {"steps": steps, "evaluation": {"every": every, "episodes": 1}, "ppo": {"n_envs": 2}}
    settings = [*TINY, *kwargs.pop("settings", ())]
    return configure(env, kwargs.pop("agent", "ppo-jamba"), protocol=protocol, settings=settings, **kwargs)


@pytest.fixture(scope="session")
def _trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    train(tiny_config(), folder)
    return folder


@pytest.fixture
def trained(_trained: Path, tmp_path: Path) -> Run:
    """A complete run of 256 steps, evaluated every 128: a copy that the test may change."""
    return Run.open(Path(shutil.copytree(_trained, tmp_path / "run")))
