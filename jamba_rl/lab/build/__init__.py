"""From a resolved config to a model, untrained or as it was saved: one file per kind of algorithm."""

from jamba_rl.lab.build.make import ALGORITHMS, load_model, make_model
from jamba_rl.lab.build.ppo import policy_kwargs
from jamba_rl.lab.build.sac import sac_policy_kwargs
from jamba_rl.lab.build.size import learned_parameters

__all__ = ["ALGORITHMS", "learned_parameters", "load_model", "make_model", "policy_kwargs", "sac_policy_kwargs"]
