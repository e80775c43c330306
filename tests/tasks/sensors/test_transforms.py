"""A transform treats one observation as a batch of them."""

from __future__ import annotations

import numpy as np
import pytest

from jamba_rl.tasks.sensors.transforms import add_noise, blink, hold, lose, select

X = np.random.default_rng(0).normal(size=(5, 3, 4))
NORMAL, HELD = np.random.default_rng(1).normal(size=(2, 5, 3, 4))
LOST = np.random.default_rng(2).random((5, 3, 4)) < 0.5
AGE = np.arange(15).reshape(5, 3)
CUE = np.array([True, False, False, True])
TRANSFORMS = {
    "select": lambda at: select(X[at], [3, 1]),
    "noise": lambda at: add_noise(X[at], np.array([0.0, 1.0, 2.0, 3.0]), NORMAL[at]),
    "lose": lambda at: lose(X[at], LOST[at]),
    "lose all": lambda at: lose(X[at], LOST[at][..., :1]),
    "hold": lambda at: hold(X[at], HELD[at], LOST[at]),
    "blink": lambda at: blink(X[at], CUE, AGE[at], steps=7),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_one_observation_and_a_batch_of_them_are_treated_alike(name: str) -> None:
    transform = TRANSFORMS[name]
    together = transform(np.s_[:])
    for i, j in np.ndindex(5, 3):
        np.testing.assert_array_equal(together[i, j], transform((i, j)))


def test_each_does_what_it_says() -> None:
    x = np.array([1.0, 2.0, 3.0, 4.0])
    assert select(x.astype(np.float32), [0]).dtype == np.float32
    assert add_noise(x, np.array([0, 0, 1, 2]), np.full(4, 0.5)).tolist() == [1, 2, 3.5, 5]
    assert lose(x, np.array([True, False, False, False])).tolist() == [0, 2, 3, 4]
    assert lose(x, np.array([True])).tolist() == [0] * 4
    assert hold(x, -x, np.array([False, True, False, False])).tolist() == [1, -2, 3, 4]
    assert blink(x, CUE, np.array(6), steps=7).tolist() == [1, 2, 3, 4]
    assert blink(x, CUE, np.array(7), steps=7).tolist() == [0, 2, 3, 0]
