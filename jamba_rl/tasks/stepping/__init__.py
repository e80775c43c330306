"""Ways to step many envs: in this process, in processes of their own, in EnvPool's threads."""

from jamba_rl.tasks.stepping.envpool import EnvPoolVecEnv
from jamba_rl.tasks.stepping.in_process import InProcessVecEnv
from jamba_rl.tasks.stepping.subprocess import ProcessVecEnv

__all__ = ["EnvPoolVecEnv", "InProcessVecEnv", "ProcessVecEnv"]
