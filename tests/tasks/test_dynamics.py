"""Another body in every episode."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest

from jamba_rl.catalogue import UserError, check
from jamba_rl.tasks import make_env
from jamba_rl.tasks.dynamics import Dynamics, RandomizedDynamics

RANGES = {
    "mass": [0.5, 2.0],
    "friction": [0.25, 0.5],
    "damping": [3.0, 3.0],
    "gravity": [0.9, 1.1],
    "motor_strength": [0.1, 10.0],
}


def body(**ranges) -> RandomizedDynamics:
    return RandomizedDynamics(gymnasium.make("Hopper-v5"), check(Dynamics, ranges, "test"))


def test_every_part_of_the_body_has_its_factor() -> None:
    usual, other = gymnasium.make("Hopper-v5").unwrapped.model, body(**RANGES)
    for seed in range(5):
        factors = other.reset(seed=seed)[1]["dynamics"]
        model = other.unwrapped.model
        np.testing.assert_allclose(model.body_mass, usual.body_mass * factors["mass"])
        np.testing.assert_allclose(model.body_inertia, usual.body_inertia * factors["mass"])
        np.testing.assert_allclose(model.geom_friction, usual.geom_friction * factors["friction"])
        np.testing.assert_allclose(model.dof_damping, usual.dof_damping * 3.0)
        np.testing.assert_allclose(model.opt.gravity, usual.opt.gravity * factors["gravity"])
        np.testing.assert_allclose(model.actuator_gear, usual.actuator_gear * factors["motor_strength"])
        assert model.body_subtreemass[0] == pytest.approx(model.body_mass.sum())  # what is derived follows


def test_factors_are_even_on_a_logarithmic_scale_and_new_in_every_episode() -> None:
    env = body(**RANGES)
    env.reset(seed=0)
    drawn = [env.reset()[1]["dynamics"] for _ in range(400)]
    for name, (low, high) in RANGES.items():
        logs = np.log([factors[name] for factors in drawn])
        assert np.log(low) - 1e-9 <= logs.min() <= logs.max() <= np.log(high) + 1e-9
        assert logs.mean() == pytest.approx((np.log(low) + np.log(high)) / 2, abs=0.12 * (np.log(high / low) + 1e-9))
    mass, gravity = ([factors[name] for factors in drawn] for name in ("mass", "gravity"))
    assert abs(np.corrcoef(mass, gravity)[0, 1]) < 0.15


def test_the_body_moves_otherwise_and_the_same_seed_gives_the_same_body() -> None:
    def play(seed: int, **ranges) -> np.ndarray:
        env = body(**ranges)
        seen = [env.reset(seed=seed)[0]]
        return np.stack(seen + [env.step(np.full(3, 0.3))[0] for _ in range(20)])

    usual = play(1)
    np.testing.assert_array_equal(usual[0], play(1, gravity=[0.5, 0.5])[0])  # it begins where it did
    for name in RANGES:
        assert np.abs(play(1, **{name: [1.6, 1.6]}) - usual).max() > 1e-3
    np.testing.assert_array_equal(play(2, **RANGES), play(2, **RANGES))
    assert (play(2, **RANGES) != play(3, **RANGES)).any()


@pytest.mark.filterwarnings("ignore:.*is out of date:DeprecationWarning")
def test_a_task_with_dynamics_draws_for_each_copy() -> None:
    venv = make_env("hopper-randomized", n_envs=3, seed=0)
    venv.reset()
    masses = {env.unwrapped.model.body_mass.sum() for env in venv.envs}
    assert len(masses) == 3


def test_only_mujoco_has_a_body(tmp_path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("base: Pendulum-v1\ndynamics: {mass: [1.0, 2.0]}\n")
    with pytest.raises(UserError, match=r"env 'mine' \(mine.yaml\): dynamics: only MuJoCo envs have a body to change"):
        make_env(str(path))


@pytest.mark.parametrize(
    ("ranges", "said"),
    [
        ({"mass": [2.0, 1.0]}, r"mass: a range goes from its lower to its upper end, was \[2.0, 1.0\]"),
        ({"mass": [0.0, 1.0]}, "mass.0: .*greater than 0"),
        ({"mass": 2.0}, "mass: .*was 2.0"),
        ({"mas": [1.0, 2.0]}, "unknown key 'mas'; did you mean 'mass'"),
    ],
)
def test_ranges_that_make_no_sense_are_refused(ranges, said) -> None:
    with pytest.raises(UserError, match=said):
        check(Dynamics, ranges, "test")
