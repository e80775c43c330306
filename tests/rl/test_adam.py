"""Adam in one call: against torch's, step by step, and whatever becomes of parameters and states between two steps."""

import copy
import pickle

import pytest
import torch
from torch import Tensor, nn

from jamba_rl.rl.adam import Adam
from tests.nn.scan.problems import needs_kernel

compiles = pytest.mark.skipif(bool(needs_kernel), reason=str(needs_kernel))
SHAPES = [(7, 5), (16,), (1,), (33, 3), (0,), ()]


def parameters(seed: int = 0, dtype: torch.dtype = torch.float32) -> list[nn.Parameter]:
    g = torch.Generator().manual_seed(seed)
    return [nn.Parameter(torch.randn(shape, generator=g).to(dtype)) for shape in SHAPES]


def set_gradients(*lists: list[nn.Parameter], step: int, without: int | None = None) -> None:
    """The same gradients for each of the lists."""
    g = torch.Generator().manual_seed(100 + step)
    for index, shape in enumerate(SHAPES):
        gradient = torch.randn(shape, generator=g) * 10.0 ** (step % 3 - 1)
        for own in lists:
            own[index].grad = None if index == without else gradient.to(own[index].dtype)


def torch_step(optimizer: torch.optim.Optimizer, max_norm: float | None) -> None:
    if max_norm is not None:
        held = [p for group in optimizer.param_groups for p in group["params"]]
        nn.utils.clip_grad_norm_(held, max_norm)
    optimizer.step()


def assert_equal(ours: list[nn.Parameter], theirs: list[nn.Parameter]) -> None:
    torch.testing.assert_close(list(ours), list(theirs), rtol=1e-5, atol=1e-6, equal_nan=True)


def assert_same_steps(
    ours: Adam, theirs: torch.optim.Adam, steps: range, max_norm: float | None = None, **kwargs
) -> None:
    own, their = ([p for group in o.param_groups for p in group["params"]] for o in (ours, theirs))
    for step in steps:
        set_gradients(own, their, step=step, **kwargs)
        torch_step(theirs, max_norm)
        set_gradients(own, step=step, **kwargs)  # theirs were clipped in place
        ours.step(max_norm=max_norm)
        assert_equal(own, their)


@pytest.mark.parametrize("max_norm", [None, 0.0, 0.5, 3.0, 1e6, float("inf")])
@pytest.mark.parametrize(
    "options",
    [{}, {"lr": 0.0}, {"lr": torch.tensor(3e-2)}, {"betas": (0.5, 0.7), "eps": 1e-5}, {"weight_decay": 0.3}],
    ids=["default", "lr 0", "lr tensor", "betas", "decay"],
)
def test_every_step_is_that_of_torch(path, options, max_norm):
    options = {"lr": 1e-2} | options
    ours, theirs = Adam(parameters(), **options), torch.optim.Adam(parameters(), **options)
    assert_same_steps(ours, theirs, range(6), max_norm)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_numbers_are_stepped_too(path, dtype):
    ours, theirs = (kind(parameters(dtype=dtype), lr=1e-2, fused=True) for kind in (_fused, torch.optim.Adam))
    assert_same_steps(ours, theirs, range(3), 0.5)


def _fused(params: list[nn.Parameter], lr: float, fused: bool) -> Adam:
    return Adam(params, lr)


def test_a_parameter_need_not_be_contiguous(path):
    weights = [nn.Parameter(torch.arange(6.0).view(2, 3).t()) for _ in range(2)]
    assert not weights[0].is_contiguous()
    for weight, optimizer in zip(weights, (Adam(weights[:1], 0.1), torch.optim.Adam(weights[1:], 0.1)), strict=True):
        for _ in range(3):
            optimizer.zero_grad()
            (weight**3).sum().backward()
            optimizer.step()
    assert_equal(weights[:1], weights[1:])


@pytest.mark.parametrize("index", [0, 1, 3])
def test_where_a_gradient_is_none_nothing_is_stepped(path, index):
    ours, theirs = Adam(parameters(), 1e-2), torch.optim.Adam(parameters(), 1e-2)
    for start, without in ((0, None), (2, index), (4, None), (6, 5), (8, index)):
        assert_same_steps(ours, theirs, range(start, start + 2), 0.5, without=without)
    steps = [[int(state["step"]) for state in o.state_dict()["state"].values()] for o in (ours, theirs)]
    assert steps[0] == steps[1]
    assert len(set(steps[0])) > 1


def test_what_is_frozen_from_the_start_has_no_state(path):
    ours, theirs = Adam(parameters(), 1e-2), torch.optim.Adam(parameters(), 1e-2)
    assert_same_steps(ours, theirs, range(2), without=1)
    assert ours.state_dict()["state"].keys() == theirs.state_dict()["state"].keys() == {0, 2, 3, 4, 5}


def test_without_any_gradient_nothing_happens(path):
    held = parameters()
    optimizer = Adam([{"params": held[:2]}, {"params": held[2:]}], 1.0)
    optimizer.step(max_norm=0.5)
    assert_equal(held, parameters())
    set_gradients(held, step=0)
    held[0].grad = held[1].grad = None  # of a whole group
    optimizer.step(max_norm=0.5)
    assert [bool(torch.equal(p, q)) for p, q in zip(held[:4], parameters(), strict=False)] == [True, True, False, False]


def test_groups_have_their_own_options_and_are_clipped_together(path):
    def groups() -> list[dict]:
        held = parameters()
        return [{"params": held[:2], "lr": 0.3}, {"params": held[2:], "weight_decay": 0.2, "betas": (0.1, 0.2)}]

    ours, theirs = Adam(groups(), 1e-2), torch.optim.Adam(groups(), 1e-2)
    assert_same_steps(ours, theirs, range(3), 0.5)
    for optimizer in (ours, theirs):
        optimizer.param_groups[1]["lr"] = 0.1
        optimizer.param_groups[0]["weight_decay"] = 0.1
    assert_same_steps(ours, theirs, range(3, 6), 0.5)


def test_a_group_may_be_added(path):
    ours, theirs = Adam(parameters()[:3], 1e-2), torch.optim.Adam(parameters()[:3], 1e-2)
    for optimizer in (ours, theirs):
        for p in optimizer.param_groups[0]["params"]:
            p.grad = torch.ones_like(p)
        optimizer.step()
        optimizer.add_param_group({"params": parameters()[3:], "lr": 1.0})
    assert_same_steps(ours, theirs, range(3))


@compiles
def test_one_call_steps_a_group(monkeypatch):
    monkeypatch.setattr("jamba_rl.rl.adam._torch_step", None)
    held = parameters()
    set_gradients(held, step=0, without=1)
    Adam(held).step(max_norm=0.5)


# ---------------------------------------------------------------- states


def test_it_goes_on_from_a_state_of_torch(path):
    ours, theirs = Adam(parameters(), 0.5), torch.optim.Adam(parameters(), 1e-2)
    for step in range(3):
        set_gradients(theirs.param_groups[0]["params"], step=step, without=2)
        theirs.step()
    ours.load_state_dict(copy.deepcopy(theirs.state_dict()))
    with torch.no_grad():
        for own, their in zip(ours.param_groups[0]["params"], theirs.param_groups[0]["params"], strict=True):
            own.copy_(their)
    assert_same_steps(ours, theirs, range(3, 6), 0.5)


@pytest.mark.parametrize("kind", [torch.optim.Adam, Adam])
def test_others_go_on_from_its_state(path, kind):
    ours, other = Adam(parameters(), 1e-2), kind(parameters(), 0.5)
    for step in range(3):
        set_gradients(ours.param_groups[0]["params"], step=step, without=2)
        ours.step()
    with torch.no_grad():
        for own, their in zip(ours.param_groups[0]["params"], other.param_groups[0]["params"], strict=True):
            their.copy_(own)
    other.load_state_dict(copy.deepcopy(ours.state_dict()))
    assert_same_steps(ours, other, range(3, 6))


@pytest.mark.parametrize("option", [{"amsgrad": True}, {"maximize": True}, {"decoupled_weight_decay": True}])
def test_a_loaded_state_may_ask_for_another_form(path, option):
    theirs = torch.optim.Adam(parameters(), 1e-2, weight_decay=0.1, **option)
    ours = Adam(parameters())
    ours.load_state_dict(copy.deepcopy(theirs.state_dict()))
    assert_same_steps(ours, theirs, range(5))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))], ids=["deepcopy", "pickle"])
def test_a_copy_steps_its_own_parameters(path, copied):
    ours = Adam(parameters(), 1e-2)
    set_gradients(ours.param_groups[0]["params"], step=0)
    ours.step(max_norm=0.5)
    before = [p.detach().clone() for p in ours.param_groups[0]["params"]]
    other = copied(ours)
    set_gradients(other.param_groups[0]["params"], step=1)
    other.step()
    assert_equal(ours.param_groups[0]["params"], before)
    set_gradients(ours.param_groups[0]["params"], step=1)
    ours.step()
    assert_equal(ours.param_groups[0]["params"], other.param_groups[0]["params"])
    assert not torch.equal(ours.param_groups[0]["params"][0], before[0])


def _clear(optimizer: torch.optim.Adam) -> None:
    optimizer.state.clear()


def _zero(optimizer: torch.optim.Adam) -> None:
    for state in optimizer.state.values():
        state["exp_avg"] = torch.zeros_like(state["exp_avg"])


def _move(optimizer: torch.optim.Adam) -> None:
    for p in optimizer.param_groups[0]["params"]:
        p.data = p.data.clone() + 1.0


@pytest.mark.parametrize("change", [_clear, _zero, _move])
def test_it_notices_what_has_become_of_parameters_and_states(path, change):
    ours, theirs = Adam(parameters(), 1e-2), torch.optim.Adam(parameters(), 1e-2)
    for start in (0, 2, 4):
        assert_same_steps(ours, theirs, range(start, start + 2), 0.5)
        change(ours)
        change(theirs)


# ---------------------------------------------------------------- around a step


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_one_gradient_that_is_not_finite_does_what_it_does_in_torch(path, value):
    ours, theirs = Adam(parameters(), 1e-2), torch.optim.Adam(parameters(), 1e-2)
    for optimizer in (ours, theirs):
        set_gradients(optimizer.param_groups[0]["params"], step=0)
        optimizer.param_groups[0]["params"][1].grad[3] = value
    torch_step(theirs, 0.5)
    ours.step(max_norm=0.5)
    assert_equal(ours.param_groups[0]["params"], theirs.param_groups[0]["params"])
    assert any(bool(p.isnan().any()) for p in ours.param_groups[0]["params"])


def test_hooks_are_called_once(path):
    torch.optim.Adam(parameters())  # from then on torch's own step calls hooks, too
    calls = []
    optimizer = Adam(parameters())
    optimizer.register_step_pre_hook(lambda *_: calls.append("before"))
    optimizer.register_step_post_hook(lambda *_: calls.append("after"))
    set_gradients(optimizer.param_groups[0]["params"], step=0)
    optimizer.step()
    assert calls == ["before", "after"]


def test_a_closure_computes_the_gradients(path):
    weight = nn.Parameter(torch.ones(3))
    optimizer = Adam([weight], lr=0.1)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = weight.square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure) == 3.0
    torch.testing.assert_close(weight.detach(), torch.full((3,), 0.9))


@pytest.mark.parametrize("to_none", [True, False])
def test_gradients_are_forgotten(to_none):
    held = parameters()
    set_gradients(held, step=0)
    Adam(held).zero_grad(set_to_none=to_none)
    assert all(p.grad is None if to_none else not p.grad.any() for p in held)


def test_autograd_hears_of_a_step(path):
    weight = nn.Parameter(torch.ones(3))
    optimizer, loss = Adam([weight]), weight.square().sum()
    weight.grad = torch.ones(3)
    optimizer.step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_scaled_gradients_are_scaled_back_first(path):
    ours, theirs = (nn.Parameter(torch.ones(3)) for _ in range(2))
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    optimizers = Adam([ours], 0.1, eps=1.0), torch.optim.Adam([theirs], 0.1, eps=1.0)
    for weight, optimizer in zip((ours, theirs), optimizers, strict=True):
        scaler.scale(weight.square().sum()).backward()
        scaler.step(optimizer)
    scaler.update()
    assert_equal([ours], [theirs])
