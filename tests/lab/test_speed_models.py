"""The general benchmark: everyone is there, what is counted is exact, and what is timed was timed in turn."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from jamba_rl import catalogue
from jamba_rl.catalogue import UserError
from jamba_rl.lab.speed import models, peers, subject
from jamba_rl.lab.speed.effort import Effort
from jamba_rl.lab.speed.memory import live_bytes
from jamba_rl.lab.speed.models import PARTS, PEERS_OF, RUNNABLE, Shapes, chosen, makers, measure
from jamba_rl.lab.speed.models_figure import draw_models
from jamba_rl.lab.speed.models_write import table_of
from jamba_rl.lab.speed.number import Number
from jamba_rl.lab.speed.sizes import sizes
from jamba_rl.lab.speed.subject import Subject, beside, like, made, ours
from jamba_rl.lab.speed.timing import Times
from jamba_rl.lab.speed.turns import in_turn
from jamba_rl.nn import Jamba, JambaConfig
from jamba_rl.nn.accounting import count_parameters
from jamba_rl.nn.patterns import FEEDFORWARDS, MIXERS
from tests.conftest import Outcome

SMALL = Shapes(batches=(1, 2), steps=4, lengths=(4, 8), few=2, minibatch=2)
QUICK = Effort(rounds=2, sample=1e-4)
FEW = (PEERS_OF, "ppo-jamba", f"transformers, as {PEERS_OF}", f"mambapy, as {PEERS_OF}")


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four subjects in place of all."""
    found = makers()
    monkeypatch.setattr(models, "makers", lambda: {name: found[name] for name in FEW})


def numbers_of(*parts: str) -> list[Number]:
    return list(measure(parts, QUICK, lambda part, done: None, SMALL))


def test_presets_agents_and_peers_are_measured() -> None:
    names = set(makers())
    assert set(RUNNABLE) | set(FEW) <= names
    assert {"ppo-mlp", "ppo-lstm", "ppo-jamba-moe"} <= names
    assert not any(name.startswith("sac-") for name in names)  # their networks are those of PPO's agents


def test_peers_are_of_the_same_size() -> None:
    config = JambaConfig.preset(PEERS_OF)
    mine = count_parameters(Jamba(config)).total
    for make in like(config).values():
        theirs = sum(p.numel() for name, p in make().module.named_parameters() if "embed" not in name)
        assert theirs == pytest.approx(mine, rel=0.03)


@pytest.mark.filterwarnings("ignore:.*is out of date:DeprecationWarning")
def test_sizes_are_those_of_the_models() -> None:
    found = {(number.name, number.quantity): number.value for number in sizes(QUICK, ["ppo-mlp", "ppo-jamba"])}
    assert found["rl", "parameters"] == count_parameters(Jamba(JambaConfig.preset("rl"))).total
    assert found["ai21-jamba", "parameters"] == pytest.approx(52e9, rel=0.04)  # as published, with embeddings
    assert found["ai21-jamba", "active parameters"] == pytest.approx(12e9, rel=0.04)
    assert found["ppo-mlp", "state"] == 0
    assert (found["ppo-jamba", "state"] or 0) > 0


@pytest.mark.usefixtures("few")
def test_forward_passes_are_timed_at_every_batch_and_length() -> None:
    found = numbers_of("forward")
    assert {number.name for number in found} == set(FEW)
    for name in FEW:
        own = [number for number in found if number.name == name]
        assert [(number.batch, number.steps) for number in own] == [(1, 4), (2, 4), (2, 8)]
        assert all(0 < (number.low or 0) <= (number.value or 0) <= (number.high or 0) for number in own)
        held = {(number.against, number.ratio is not None) for number in own}
        assert held == ({(PEERS_OF, True)} if ", as " in name else {("", False)})


def test_a_ratio_is_of_single_rounds_in_which_both_took_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    stack = JambaConfig(d_model=8, pattern="L")
    who, _ = made({"mine": lambda: ours(stack), "theirs": beside("mine", lambda: ours(stack))})
    who["theirs"] = Subject(who["theirs"].module, who["theirs"].forward, 8, slow=True, against="mine")
    met = []

    def time(self: Effort, calls: dict[str, object], slow: bool = False) -> dict[str, Times]:
        met.append((slow, list(calls)))
        rounds = {"mine": (1.0, 2.0, 4.0), "theirs": (3.0, 4.0, 8.0)}  # ratios 3, 2, 2
        return {name: Times(rounds[name]) for name in calls}

    monkeypatch.setattr(Effort, "time", time)
    mine, theirs = in_turn("forward", "forward", Subject.forward_call, who, (2, 4), QUICK)
    assert met == [(False, ["mine"]), (True, ["theirs", "mine"])]
    assert (mine.value, mine.ratio) == (2000.0, None)
    assert (theirs.value, theirs.low, theirs.high, theirs.ratio) == (4000.0, 3000.0, 8000.0, 2.0)


def test_a_training_step_trains_and_a_forward_pass_does_not() -> None:
    who = ours(JambaConfig(d_model=8, pattern="MA", num_heads=2, window=4))
    who.forward_call(2, 4)()
    assert all(p.grad is None for p in who.module.parameters())
    assert not who.module.training
    before = [p.detach().clone() for p in who.module.parameters()]
    gradients = []
    for p in who.module.parameters():
        p.register_post_accumulate_grad_hook(lambda p: gradients.append(p.grad.abs().sum().item()))
    who.training_call(2, 4)()
    assert len(gradients) == len(before)
    assert sum(gradients) > 0
    assert all(torch.equal(a, b) for a, b in zip(before, who.module.parameters(), strict=True))  # for the next call


def test_memory_is_counted_exactly() -> None:
    kept = torch.zeros(1000)

    def call() -> object:
        first = kept + 1  # 4000 bytes
        second = first + 1  # 4000 more: the worst moment
        del first
        return second[:1].clone()

    assert live_bytes(call)[0] == pytest.approx(8000, abs=128)  # allocations are rounded up


@pytest.mark.usefixtures("few")
def test_learning_takes_more_memory_than_acting_and_longer_batches_more_than_short_ones() -> None:
    def peaks(minibatch: int) -> dict[tuple[str, str], float]:
        shapes = Shapes((1,), 8, (8,), 1, minibatch)
        found = measure(["memory"], QUICK, lambda part, done: None, shapes)
        return {(number.name, number.quantity): number.value or 0.0 for number in found}

    small, large = peaks(1), peaks(8)
    for name in FEW:
        assert 0 < large[name, "peak of a forward"] < large[name, "peak of a training step"]
        assert small[name, "peak of a forward"] < large[name, "peak of a forward"]


def test_layers_are_compared_at_equal_width_and_with_those_of_others() -> None:
    found = numbers_of("layers")
    M, A, L, G = (f"{letter} {MIXERS[letter]}" for letter in "MALG")
    quantities = {number.quantity for number in found if number.name == M}
    counted, timed = {"parameters", "FLOPs per token", "state"}, {"forward", "training step", "one step"}
    assert quantities == counted | timed | {"peak of a training step"}
    feedforwards = {f"N{letter} {FEEDFORWARDS[letter]}" for letter in "DE"}
    ours_all = {number.name for number in found if not number.against}
    assert ours_all == {f"{letter} {word}" for letter, word in MIXERS.items()} | feedforwards
    peers_of = {number.name: number.against for number in found if number.against}
    assert peers_of == {
        "M of transformers": M,
        "M of mambapy": M,
        "A of torch": A,
        "L of torch": L,
        "G of torch": G,
    }


@pytest.mark.usefixtures("few")
def test_who_is_absent_is_shown_as_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "import_module", lambda name: (_ for _ in ()).throw(ImportError(name)))
    found = numbers_of("training")
    absent = {number.name: number.note for number in found if number.value is None}
    assert absent == {FEW[2]: "pip install transformers", FEW[3]: "pip install mambapy"}
    assert {number.name for number in found if number.value is not None} == set(FEW[:2])
    table = table_of(found, "training")
    assert [str(cell) for cell in table.columns[1].cells][2:] == [f"[yellow]{note}[/]" for note in absent.values()]


@pytest.mark.usefixtures("few")
def test_the_command_writes_a_table_csv_json_and_a_figure(
    cli: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "Shapes", lambda: SMALL)
    done = cli("speed", "models", "--only", "training", "--only", "forward", "--rounds", "1", "--out", "here")
    assert done.code == 0, done.err
    assert done.err.splitlines() == ["measuring forward", "measuring training"]
    lines = list(csv.DictReader((tmp_path / "here/models.csv").read_text().splitlines()))
    written = json.loads((tmp_path / "here/models.json").read_text())
    assert len(lines) == len(written["rows"]) == 4 * 3 + 4
    assert {"torch", "transformers", "mambapy"} <= written["versions"].keys()
    assert written["threads"] == 1
    peer = next(line for line in lines if line["name"] == FEW[2])
    assert (peer["against"], float(peer["ratio"]) > 1) == (PEERS_OF, True)
    assert f"({float(peer['ratio']):.3g}x)" in done.out
    assert "ppo-jamba" in (tmp_path / "here/models.svg").read_text()
    for name in ("models.csv", "models.json", "models.svg"):
        assert f"written   here/{name}" in done.out


def test_the_same_numbers_give_the_same_figure(tmp_path: Path) -> None:
    times = [Number("forward", name, "forward", 1.0, "ms", batch, 4) for name in ("a", "b") for batch in (1, 2)]
    times += [Number("training", "a", "training step", 2.0, "ms", 2, 4, 1.0, 3.0)]
    first, second = (draw_models(times, tmp_path / f"{i}.svg") for i in range(2))
    assert first is not None
    assert second is not None
    assert first.read_bytes() == second.read_bytes()
    assert draw_models([Number("sizes", "a", "parameters", 3)], tmp_path / "none.svg") is None
    assert not (tmp_path / "none.svg").exists()


def test_an_unknown_part_gets_the_nearest() -> None:
    assert chosen() == list(PARTS)
    assert chosen(["layers", "sizes"]) == ["sizes", "layers"]
    with pytest.raises(UserError, match="unknown part 'layrs'; did you mean 'layers'"):
        chosen(["layrs"])


def test_help_names_every_part(cli: Callable[..., Outcome]) -> None:
    said = cli("speed", "models", "--help").out
    assert all(part in said for part in PARTS)


def test_makers_do_not_import_peers_before_they_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "find", lambda *_: pytest.fail("imported"))
    assert set(catalogue.names("agents")) & set(makers())
