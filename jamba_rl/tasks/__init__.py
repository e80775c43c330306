"""Tasks: gymnasium envs with a protocol, and with less to see."""

from jamba_rl.tasks import direction_cue
from jamba_rl.tasks.make import make_env, make_single_env
from jamba_rl.tasks.resolve import load_task
from jamba_rl.tasks.spec import Task

__all__ = ["Task", "load_task", "make_env", "make_single_env"]

direction_cue.register()
