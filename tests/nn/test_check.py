"""What a stack refuses, and what it says."""

import pytest
import torch

from jamba_rl.nn import Jamba, JambaConfig
from jamba_rl.nn.check import check_count


@pytest.fixture(scope="module")
def model() -> Jamba:
    return Jamba(JambaConfig(d_model=8, pattern="AM", window=4))


X = torch.zeros(2, 5, 8)
BAD = {
    "a number missing": ((X[0],), "(batch, time, 8)", "(5, 8)"),
    "another width": ((X[..., :7],), "(batch, time, 8)", "(2, 5, 7)"),
    "nothing": ((X[:, :0],), "none of them 0", "(2, 0, 8)"),
    "double": ((X.double(),), "torch.float32", "torch.float64"),
    "whole numbers": ((X.long(),), "torch.float32", "torch.int64"),
    "another device": ((X.to("meta"),), "cpu", "meta"),
    "infinite": ((X / 0 + 1,), "finite", "80 of its 80"),
    "resets as numbers": ((X, None, torch.zeros(2, 5)), "torch.bool (2, 5)", "torch.float32"),
    "resets of another shape": ((X, None, torch.zeros(2, 4, dtype=torch.bool)), "torch.bool (2, 5)", "(2, 4)"),
    "half a state": ((X, (X,)), "a tuple of 5 tensors", "was 1 of them"),
    "no tuple": ((X, X), "a tuple of 5 tensors", "was Tensor"),
    "a state of others": ((X, Jamba(JambaConfig(d_model=8, window=4)).initial_state(3)), "part 0", "(3,"),
    "another window": ((X, Jamba(JambaConfig(d_model=8, window=5)).initial_state(2)), "(2, 3, 4, 2)", "(2, 4, 4, 2)"),
    "a double state": ((X, Jamba(JambaConfig(d_model=8, window=4)).double().initial_state(2)), "32 (", "64 ("),
    "a list": (([1.0],), "a tensor", "list"),
    "resets as a list": ((X, None, [True]), "reset must be a tensor", "list"),
}
STATES = {"M": 2, "A": 3, "S": 1, "L": 2, "G": 1}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_with_what_was_given_and_what_is_allowed(model, case):
    arguments, allowed, given = BAD[case]
    with pytest.raises(ValueError, match=r".") as error:
        model(*arguments)
    assert allowed in str(error.value)
    assert given in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("case", [name for name in BAD if len(BAD[name][0]) > 1])
def test_a_memory_can_be_checked_before_there_is_an_input(model, case):
    (x, *memory), allowed, given = BAD[case]
    with pytest.raises(ValueError, match=r".") as error:
        model.check_memory(x.shape[:2], *memory, *([None] if len(memory) == 1 else []))
    assert allowed in str(error.value)
    assert given in str(error.value)


@pytest.mark.parametrize("value", ["3", 3.0, True, None, 0, -1, [3]])
def test_a_count_is_a_whole_number_above_zero(value):
    with pytest.raises(ValueError, match=r"^rooms must be a whole number above 0, was "):
        check_count("rooms", value)
    check_count("rooms", 1)


def test_a_count_may_have_other_bounds():
    check_count("rooms", 0, 0)
    check_count("rooms", 2, 0, 2)
    with pytest.raises(ValueError, match="from 0 to 2, was 3"):
        check_count("rooms", 3, 0, 2)
    with pytest.raises(ValueError, match="0 or above, was -1"):
        check_count("rooms", -1, 0)


def test_one_value_that_is_no_number_is_found_in_a_step_too(model):
    x = torch.zeros(3, 8)
    x[1, 2] = float("nan")
    with pytest.raises(ValueError, match="1 of its 24 values"):
        model.step(x, model.initial_state(3))


def test_a_step_wants_a_step(model):
    with pytest.raises(ValueError, match=r"\(batch, 8\).*\(2, 5, 8\)"):
        model.step(X, model.initial_state(2))


def test_large_values_are_finite_though_their_sum_is_not(model):
    assert torch.isfinite(model(torch.full((1, 3, 8), 3e38)).state[2]).all()


@pytest.mark.parametrize("pattern", STATES)
@pytest.mark.parametrize(
    "change", [lambda p: p[..., None], lambda p: p.to(torch.float16), lambda p: p[:1], lambda p: 3]
)
def test_every_part_of_a_state_is_looked_at(pattern, change):
    model = Jamba(JambaConfig(d_model=8, pattern=pattern, window=4))
    state = model.initial_state(2)
    assert len(state) == STATES[pattern]
    for i in range(len(state)):
        wrong = (*state[:i], change(state[i]), *state[i + 1 :])
        for call in (lambda: model(X, wrong), lambda: model.step(X[:, 0], wrong)):  # noqa: B023
            with pytest.raises(ValueError, match=f"part {i} of state must be"):
                call()


def test_the_length_of_a_growing_memory_is_free():
    model = Jamba(JambaConfig(d_model=8, pattern="A", window=None, position="none"))
    state = model(X).state
    assert model(X, state).state[0].shape[1] == 10
    with pytest.raises(ValueError, match=r"\(2, any, 4, 2\)"):
        model(X, (state[0][..., :1], *state[1:]))


def test_no_state_is_an_empty_one_for_a_step_too(model):
    assert torch.equal(model.step(X[:, 0], None).hidden, model.step(X[:, 0], model.initial_state(2)).hidden)


def test_a_stack_wants_a_configuration():
    with pytest.raises(ValueError, match="JambaConfig, was str"):
        Jamba("rl")
