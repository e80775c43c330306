"""Processes show what one process shows, and leave interrupts to their parent."""

from __future__ import annotations

import os
import signal
import time

import numpy as np
import pytest

from jamba_rl.catalogue import UserError
from jamba_rl.tasks import make_env
from jamba_rl.tasks.stepping import ProcessVecEnv

pytestmark = pytest.mark.filterwarnings("ignore:.*is out of date:DeprecationWarning")


@pytest.mark.parametrize("name", ["pendulum-p", "hopper-noise", "tmaze-50"])
def test_they_show_what_one_process_shows(name: str) -> None:
    apart, together = (make_env(name, 2, seed=3, stepping=how) for how in ("subprocess", "in-process"))
    np.testing.assert_array_equal(apart.reset(), together.reset())
    together.action_space.seed(0)
    for _ in range(150):
        actions = np.stack([together.action_space.sample() for _ in range(2)])
        (seen, rewards, dones, infos), (*expected, others) = apart.step(actions), together.step(actions)
        np.testing.assert_array_equal(seen, expected[0])
        np.testing.assert_array_equal(rewards.astype(np.float32), expected[1])  # SB3's are in double precision here
        np.testing.assert_array_equal(dones, expected[2])
        for info, other in zip(infos, others, strict=True):
            assert info["TimeLimit.truncated"] == other["TimeLimit.truncated"]
            if "terminal_observation" in other:
                np.testing.assert_array_equal(info["terminal_observation"], other["terminal_observation"])
    apart.close()


def test_an_interrupt_is_not_theirs() -> None:
    venv = make_env("pendulum-p", 2, stepping="subprocess")
    inner = venv.unwrapped
    assert isinstance(inner, ProcessVecEnv)
    venv.reset()
    for process in inner.processes:
        os.kill(process.pid, signal.SIGINT)
    time.sleep(0.2)
    venv.step(np.zeros((2, 1), np.float32))
    venv.close()


def test_what_cannot_be_made_is_one_line_here_too(tmp_path) -> None:
    (tmp_path / "mine.yaml").write_text("base: Pendulum-v1\nkwargs: {gravity: 20.0}\n")
    with pytest.raises(UserError, match=r"env 'mine' \(mine.yaml\): .*gravity"):
        make_env(str(tmp_path / "mine.yaml"), 2, stepping="subprocess")
