"""Every measurement gives sound rows at sizes of no time, and compares like with like."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from jamba_rl.lab.speed import peers
from jamba_rl.lab.speed.checkpointing import checkpointing, memory
from jamba_rl.lab.speed.compiled import compiled
from jamba_rl.lab.speed.core import MEASUREMENTS, chosen, measure
from jamba_rl.lab.speed.effort import Effort
from jamba_rl.lab.speed.exactness import exactness, relative_error
from jamba_rl.lab.speed.layer import layer, minibatch, mixers
from jamba_rl.lab.speed.length import length
from jamba_rl.lab.speed.parity import parity, random_sizes
from jamba_rl.lab.speed.row import Row
from jamba_rl.lab.speed.scan import our_scan, scan, scan_arguments
from jamba_rl.lab.speed.step import HEADS, step, their_layer_step, their_model_step
from jamba_rl.lab.speed.streaming import streaming
from jamba_rl.nn import Jamba, JambaConfig
from tests.nn.scan.problems import needs_kernel

QUICK = Effort(rounds=2, sample=1e-4, stream_steps=150)
TINY: dict[str, tuple[Callable[[], list[Row]], int]] = {
    "parity": (lambda: parity(QUICK, configs=2, longest=9), 3),
    "exactness": (lambda: exactness(QUICK, lengths=(1, 5), channels=3, states=4), 2),
    "scan": (lambda: scan(QUICK, batch=2, steps=6, channels=16, states=4), 3),
    "layer": (lambda: layer(QUICK, bars=((5, 20),), d_model=16, batch=2), 1),
    "minibatch": (lambda: minibatch(QUICK, batch=2, steps=6, d_model=16), 2),
    "length": (lambda: length(QUICK, lengths=(4, 8), batch=2, d_model=16), 2),
    "step": (lambda: step(QUICK, batch=2, d_model=4 * HEADS), 5),
    "compiled": (lambda: compiled(QUICK, d_model=8, batch=2, steps=3, envs=2, backend="aot_eager"), 2),
    "checkpointing": (lambda: checkpointing(QUICK, "MA", d_model=16, batch=2, steps=8), 3),
    "streaming": (lambda: streaming(QUICK, d_model=16, window=8), 4),
}
EXACT = ("parity", "exactness", "streaming")  # these must reach their bars whatever the machine


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")  # torch.compile's
@pytest.mark.parametrize("name", TINY)
def test_every_measurement_gives_sound_rows(name: str) -> None:
    if name == "exactness" and needs_kernel:
        pytest.skip(str(needs_kernel))
    run, expected = TINY[name]
    rows = run()
    assert len(rows) == expected
    for row in rows:
        assert row.name == name
        assert row.figures is not None, row.note
        assert math.isfinite(row.figures.value)
        for number in (row.figures.ours, row.figures.peer):
            assert number is None or 0 < number < math.inf
        assert (row.met == "") == (row.bar == "")
        if row.figures.low is not None and row.figures.high is not None:
            assert 0 < row.figures.low <= row.figures.value <= row.figures.high or name == "length"
        if name in EXACT:
            assert row.met == "yes", row


def test_tiny_tests_cover_the_table() -> None:
    assert TINY.keys() == MEASUREMENTS.keys()


def scan_results(function: Callable[..., Tensor], arguments: list[Tensor]) -> list[Tensor]:
    y = function(*arguments)
    return [y, *torch.autograd.grad(y.square().sum(), arguments)]


@pytest.mark.parametrize("other", [peers.indexing_loop, peers.mambapy_scan])
def test_all_scans_compute_the_same_values_and_gradients(other: Callable[..., Tensor]) -> None:
    if other is peers.mambapy_scan:
        torch.manual_seed(0)
    arguments = scan_arguments(2, 11, 6, 4)
    for ours, theirs in zip(scan_results(our_scan, arguments), scan_results(other, arguments), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_both_mamba_layers_compute_the_same_values_and_gradients() -> None:
    torch.manual_seed(0)
    theirs, ours = mixers(32)
    x = torch.randn(2, 9, 32, requires_grad=True)
    outputs = theirs(x), ours(x, ours.initial_state(2))[0]
    torch.testing.assert_close(*outputs, rtol=1e-4, atol=1e-6)
    weights = [dict(module.named_parameters()) for module in (theirs, ours)]
    gradients = [
        dict(zip(named, torch.autograd.grad(y.square().sum(), list(named.values())), strict=True))
        for y, named in zip(outputs, weights, strict=True)
    ]
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(("theirs", "ffn"), [(their_layer_step, "-"), (their_layer_step, "D"), (their_model_step, "D")])
def test_their_attention_remembers_no_more_with_every_call(theirs: Callable[..., Any], ffn: str) -> None:
    with torch.no_grad():
        call = theirs("AA", ffn, 2, 4 * HEADS)
        first = call()
        assert all(torch.equal(first, call()) for _ in range(3))


def test_sizes_of_parity_cover_what_the_table_claims() -> None:
    drawn = [random_sizes(seed) for seed in range(12)]
    assert {"num_experts" in sizes for sizes in drawn} == {True, False}
    assert any(sizes["num_key_value_heads"] < sizes["num_attention_heads"] for sizes in drawn)
    assert len({(sizes["attn_layer_period"], sizes["attn_layer_offset"]) for sizes in drawn}) >= 4
    assert sum(sizes["hidden_size"] % 16 != 0 for sizes in drawn) >= 6
    assert random_sizes(3) == random_sizes(3)


def test_errors_that_are_not_finite_are_infinite() -> None:
    good = torch.tensor([1.0, -2.0])
    assert relative_error(torch.tensor([1.0, -1.0]), good) == 0.5
    assert relative_error(torch.tensor([1.0, math.nan]), good) == math.inf


def test_memory_counts_what_is_kept_for_the_backward_pass() -> None:
    x = torch.randn(2, 64, 16, requires_grad=True)
    stack = Jamba(JambaConfig(d_model=16, pattern="MM"))
    counted = memory(stack, x)
    assert memory(stack, x) == counted
    assert 0 < counted["forward"] <= counted["peak"]
    doubled = memory(stack, torch.cat([x, x]).detach().requires_grad_())
    assert 1.5 < doubled["forward"] / counted["forward"] < 2.5


@pytest.mark.parametrize(("name", "absent"), [("parity", 3), ("layer", 1), ("step", 5), ("scan", 1)])
def test_an_absent_peer_is_a_row_that_says_so(name: str, absent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(module: str) -> ModuleType:
        raise ImportError(module)

    monkeypatch.setattr(peers, "import_module", nothing)
    rows = [row for row in TINY[name][0]() if row.met == "absent"]
    assert len(rows) == absent
    assert all(row.figures is None and row.note.startswith("pip install ") for row in rows)


def test_only_what_is_asked_for_is_measured_in_the_order_of_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen() == list(MEASUREMENTS)
    assert chosen(["step", "scan", "step"]) == ["scan", "step"]
    torch.set_num_threads(1)
    seen: list[tuple[str, float]] = []
    for name in MEASUREMENTS:
        monkeypatch.setitem(MEASUREMENTS, name, lambda effort: effort.progress(0.5) or [])
    assert list(measure(["scan", "step"], QUICK, lambda *now: seen.append(now))) == []
    assert seen == [(name, part) for name in ("scan", "step") for part in (0.0, 0.5, 1.0)]
