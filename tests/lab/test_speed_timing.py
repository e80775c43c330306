"""Contenders take turns, and quick ones are repeated."""

from __future__ import annotations

import gc
import time

import pytest
import torch

from jamba_rl.lab.speed.passes import forward_backward, projections
from jamba_rl.lab.speed.timing import Times, interleaved, ratio


def test_contenders_alternate_after_the_warm_up() -> None:
    calls: list[str] = []

    def contender(name: str):
        def call() -> None:
            calls.append(name)
            time.sleep(0.002)  # long beside the sample asked for, so that each sample is one call

        return call

    times = interleaved({"a": contender("a"), "b": contender("b")}, rounds=3, sample=1e-4)
    assert calls[-6:] == ["a", "b", "a", "b", "a", "b"]
    assert set(calls[:-6]) == {"a", "b"}
    assert {name: len(each.rounds) for name, each in times.items()} == {"a": 3, "b": 3}
    assert all(seconds >= 0.002 for each in times.values() for seconds in each.rounds)


def test_quick_calls_fill_a_sample() -> None:
    calls = []
    interleaved({"a": lambda: calls.append(1)}, rounds=2, sample=1e-3)
    assert len(calls) > 20


def test_garbage_is_collected_again_afterwards() -> None:
    def fails() -> None:
        if not gc.isenabled():
            raise RuntimeError

    with pytest.raises(RuntimeError):
        interleaved({"a": fails}, rounds=1, sample=0.0)
    assert gc.isenabled()


def test_a_ratio_lies_between_those_of_single_rounds() -> None:
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        above, below = (Times(tuple(torch.rand(5, generator=generator).tolist())) for _ in range(2))
        found = ratio(above, below)
        assert found.low <= found.value <= found.high


def test_forward_backward_gives_every_gradient_and_leaves_none_behind() -> None:
    x, w = torch.randn(3, requires_grad=True), torch.randn(3, requires_grad=True)
    dx, dw = forward_backward(lambda: x * w, [x, w])()  # type: ignore[misc]
    torch.testing.assert_close(dx * x, dw * w)
    assert x.grad is None
    assert w.grad is None


def test_projections_have_inputs_and_weights() -> None:
    gradients = projections(4, 8, 3, 2, batch=2, steps=5)()
    shapes = [tuple(g.shape) for g in gradients]  # type: ignore[attr-defined]
    assert shapes == [(2, 5, 4), (2, 5, 8), (2, 5, 2), (2, 5, 8), (16, 4), (8, 8), (8, 2), (4, 8)]
