"""Bodies that are another in every episode: heavier, slippier, weaker, without anybody saying so."""

from __future__ import annotations

from typing import Annotated, Any

import gymnasium
import numpy as np
from pydantic import AfterValidator, Field

from jamba_rl.catalogue import Data, UserError

SALT = 0xD1A  # apart from the chance of the env and of its sensors
Factor = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]


def _in_order(value: tuple[float, float]) -> tuple[float, float]:
    if value[0] > value[1]:
        raise ValueError(f"a range goes from its lower to its upper end, was [{value[0]}, {value[1]}]")
    return value


Range = Annotated[tuple[Factor, Factor], AfterValidator(_in_order)]


class Dynamics(Data):
    """Ranges of factors, one drawn per episode for the whole body, evenly on a logarithmic scale.

    ``mass`` is of all bodies with their inertia, ``friction`` of all surfaces, ``damping`` of all joints, ``gravity``
    of the world, ``motor_strength`` of all motors. A factor of 1 changes nothing.
    """

    mass: Range | None = None
    friction: Range | None = None
    damping: Range | None = None
    gravity: Range | None = None
    motor_strength: Range | None = None


class RandomizedDynamics(gymnasium.Wrapper, gymnasium.utils.RecordConstructorArgs):
    """Changes a MuJoCo env's body at every reset; ``reset(seed=...)`` seeds that too.

    The factors are in the info of each reset, as ``dynamics``; an agent does not see them.

    :param dynamics: the ranges
    :raises UserError: if the env is none of MuJoCo's
    """

    def __init__(self, env: gymnasium.Env, dynamics: Dynamics) -> None:
        gymnasium.utils.RecordConstructorArgs.__init__(self, dynamics=dynamics)
        gymnasium.Wrapper.__init__(self, env)
        model = getattr(env.unwrapped, "model", None)
        if not hasattr(model, "opt") or not hasattr(env.unwrapped, "data"):
            raise UserError("dynamics: only MuJoCo envs have a body to change")
        self.model: Any = model
        self.ranges = {name: each for name in Dynamics.model_fields if (each := getattr(dynamics, name)) is not None}
        fields = {field for name in self.ranges for field in FIELDS[name]}
        self._usual = {field: _field(model, field).copy() for field in fields}
        self._rng = np.random.default_rng()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Draw a body and begin an episode with it."""
        if seed is not None:
            self._rng = np.random.default_rng([SALT, seed])
        factors = {}
        for name, (low, high) in self.ranges.items():
            factors[name] = float(np.exp(self._rng.uniform(np.log(low), np.log(high))))
            for field in FIELDS[name]:
                _field(self.model, field)[:] = self._usual[field] * factors[name]
        import mujoco

        mujoco.mj_setConst(self.model, self.env.unwrapped.data)  # type: ignore[attr-defined]
        observation, info = self.env.reset(seed=seed, options=options)
        return observation, info | {"dynamics": factors}


# MuJoCo's own arrays that a factor multiplies
FIELDS = {
    "mass": ("body_mass", "body_inertia"),
    "friction": ("geom_friction",),
    "damping": ("dof_damping",),
    "gravity": ("opt.gravity",),
    "motor_strength": ("actuator_gear",),
}


def _field(model: Any, name: str) -> np.ndarray:
    found = model
    for part in name.split("."):
        found = getattr(found, part)
    return found
