"""Networks of agents without Stable-Baselines3: observations in, actions or values out, memory passed in and returned.

Letters of the shape suffixes: B batch, T time, O numbers of an observation, A of an action. Every call takes one step
(B, O) or whole sequences (B, T, O), and a step after a step gives what the sequence gives.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from jamba_rl.models.dhc import backbone_config, refuse_width
from jamba_rl.models.gaussian import ActionScale, Gaussian
from jamba_rl.models.generation import evaluating
from jamba_rl.nn import Jamba, State
from jamba_rl.nn.check import check_count
from jamba_rl.nn.router import Routings


class Chosen(NamedTuple):
    """An action, and what an update needs to know of it."""

    action: Tensor
    """(..., A), as the env takes it; (..., *shape) if its space has another shape."""
    raw: Tensor
    """(..., A), unscaled: what ``log_prob`` is of."""
    log_prob: Tensor
    """(...)."""
    state: State
    """The memory after it."""


class Judged(NamedTuple):
    """What an actor-critic says of observations."""

    distribution: Gaussian
    """Of unscaled actions."""
    values: Tensor
    """(..., 1)."""
    state: State
    routing: Routings
    """Its ``loss()`` belongs to the loss if there are experts."""


class JudgedActions(NamedTuple):
    """What a policy says of observations; parts as of ``Judged``."""

    distribution: Gaussian
    state: State
    routing: Routings


class JudgedValues(NamedTuple):
    """What a value network says of observations; parts as of ``Judged``."""

    values: Tensor
    state: State
    routing: Routings


class _Network(nn.Module):
    """Embedding and backbone. With experts, the loss of the routing that ``encode`` returns is to be trained on too.

    :param observation_dim: O
    :param hidden_dim: width
    :param backbone: in the words of ``jamba_rl.models.dhc.backbone_config``, and fields of ``JambaConfig``
    :raises ValueError: sizes do not fit each other
    """

    def __init__(self, observation_dim: int, hidden_dim: int, **backbone: Any) -> None:
        super().__init__()
        check_count("observation_dim", observation_dim)
        check_count("hidden_dim", hidden_dim)
        refuse_width(backbone, "hidden_dim")
        own: dict[str, Any] = {"preset": "dhc-rl", "branch_scale": 0.1}  # an agent begins as one without memory
        config = backbone_config(hidden_dim, **own | backbone)
        if config.memory_grows:
            raise ValueError("an agent's memory must not grow while it acts: give attention a window, such as 64")
        self.observation_dim, self.hidden_dim = observation_dim, hidden_dim
        self.input_proj = nn.Sequential(nn.Linear(observation_dim, hidden_dim), nn.LayerNorm(hidden_dim), nn.Tanh())
        self.jamba = Jamba(config)

    def get_initial_state(self, batch_size: int, device: torch.device | str | None = None) -> State:
        """Empty memory of ``batch_size`` envs."""
        state = self.jamba.initial_state(batch_size)
        return state if device is None else tuple(part.to(device) for part in state)

    def encode(self, obs: Tensor, state: State | None, reset: Tensor | None) -> tuple[Tensor, State, Routings]:
        """Return what heads read, (..., D), the memory after it, and the routing; arguments as of ``forward``."""
        if not isinstance(obs, Tensor) or obs.dim() not in (2, 3) or obs.shape[-1] != self.observation_dim:
            given = tuple(obs.shape) if isinstance(obs, Tensor) else type(obs).__name__
            o = self.observation_dim
            raise ValueError(f"observations must be (batch, {o}) or (batch, time, {o}), were {given}")
        run = self.jamba if obs.dim() == 3 else self.jamba.step
        out = run(self.input_proj(obs.to(self.input_proj[0].weight.dtype)), state, reset)  # type: ignore[arg-type]
        return out.hidden, out.state, out.routing


class _Actor(_Network):
    """A network with actions; arguments as of ``JambaRLPolicy``."""

    def __init__(
        self,
        observation_dim: int,
        action_dim: int,
        hidden_dim: int = 128,
        num_layers: int = 4,
        d_state: int = 16,
        d_conv: int = 4,
        num_heads: int = 4,
        mamba_ratio: int = 3,
        moe_frequency: int = 0,
        dropout: float = 0.0,
        *,
        action_space: Any = None,
        log_std: float = -0.5,
        **backbone: Any,
    ) -> None:
        super().__init__(
            observation_dim, hidden_dim, num_layers=num_layers, d_state=d_state, d_conv=d_conv, num_heads=num_heads,
            mamba_ratio=mamba_ratio, moe_frequency=moe_frequency, dropout=dropout, **backbone,
        )  # fmt: skip
        check_count("action_dim", action_dim)
        self.action_dim = action_dim
        self.scale = ActionScale(action_dim, action_space)
        self.actor_head = head(hidden_dim, action_dim, 0.01)
        self._add_heads()
        self.log_std = nn.Parameter(torch.full((action_dim,), float(log_std)))

    def _add_heads(self) -> None:
        """Make what is read beside actions."""

    def distribution(
        self, obs: Tensor, state: State | None = None, reset: Tensor | None = None
    ) -> tuple[Gaussian, State]:
        """Return the distribution of unscaled actions, and the memory after them."""
        hidden, state, _ = self.encode(obs, state, reset)
        return self._gaussian(hidden), state

    @torch.no_grad()
    def act(
        self, obs: Tensor, state: State | None = None, reset: Tensor | None = None, deterministic: bool = False
    ) -> Chosen:
        """Choose actions for the env, without dropout and jitter whatever the mode is.

        An update compares with ``log_prob``: unless that too is in ``eval()``, dropout changes the ratio.
        """
        with evaluating(self):
            distribution, state = self.distribution(obs, state, reset)
        raw = distribution.mean if deterministic else distribution.sample()
        return Chosen(self.scale(raw), raw, distribution.log_prob(raw), state)

    def _gaussian(self, hidden: Tensor) -> Gaussian:
        return Gaussian(self.actor_head(hidden), self.log_std)


class JambaRLPolicy(_Actor):
    """Observations to actions; the arguments up to ``dropout`` are those of DHC-Jamba-Enhanced, in its order.

    :param observation_dim: O
    :param action_dim: A
    :param hidden_dim: width
    :param num_layers: blocks of the backbone
    :param d_state: see ``JambaConfig``, as ``d_conv``, ``num_heads``, ``dropout``
    :param mamba_ratio: Mamba blocks to every one of attention
    :param moe_frequency: every so manieth feed-forward is a mixture of experts; 0 for none
    :param action_space: bounds and shape of actions, see ``ActionScale``; None for [-1, 1]
    :param log_std: logarithm of the standard deviation of actions at the start, in units of [-1, 1]
    :param backbone: further words of ``jamba_rl.models.dhc.backbone_config`` (``num_experts``,
        ``num_experts_per_token``), and fields of ``JambaConfig``, which go before the above
    :raises ValueError: sizes do not fit each other

    >>> policy = JambaRLPolicy(3, 1, hidden_dim=16)
    >>> action, state = policy(torch.zeros(2, 3))
    >>> action, state = policy(torch.zeros(2, 3), state)
    >>> policy.act(torch.zeros(2, 3), state).log_prob.shape
    torch.Size([2])
    """

    def forward(self, obs: Tensor, state: State | None = None, reset: Tensor | None = None) -> tuple[Tensor, State]:
        """Return the likeliest actions, scaled to the action space, and the memory after them.

        A mean beyond [-1, 1] is clipped and has no gradient here; what ``judge`` returns has one.

        :param obs: (B, O) or (B, T, O)
        :param state: what an earlier call returned; None for empty
        :param reset: (B,) or (B, T) bool, set at the first step of an episode; None for no resets
        :raises ValueError: arguments do not fit
        """
        distribution, state = self.distribution(obs, state, reset)
        return self.scale(distribution.mean), state

    def judge(self, obs: Tensor, state: State | None = None, reset: Tensor | None = None) -> JudgedActions:
        """Return all that an update needs, for steps or sequences; in ``eval()`` the ratio to ``act`` is exact."""
        hidden, state, routing = self.encode(obs, state, reset)
        return JudgedActions(self._gaussian(hidden), state, routing)


class JambaRLValue(_Network):
    """Observations to values; arguments as of ``JambaRLPolicy``, without actions."""

    def __init__(
        self,
        observation_dim: int,
        hidden_dim: int = 128,
        num_layers: int = 4,
        d_state: int = 16,
        d_conv: int = 4,
        num_heads: int = 4,
        mamba_ratio: int = 3,
        moe_frequency: int = 0,
        dropout: float = 0.0,
        **backbone: Any,
    ) -> None:
        super().__init__(
            observation_dim, hidden_dim, num_layers=num_layers, d_state=d_state, d_conv=d_conv, num_heads=num_heads,
            mamba_ratio=mamba_ratio, moe_frequency=moe_frequency, dropout=dropout, **backbone,
        )  # fmt: skip
        self.value_head = head(hidden_dim, 1, 1.0)

    def forward(self, obs: Tensor, state: State | None = None, reset: Tensor | None = None) -> tuple[Tensor, State]:
        """Return values (B, 1) or (B, T, 1) and the memory after them; arguments as of ``JambaRLPolicy``."""
        values, state, _ = self.judge(obs, state, reset)
        return values, state

    def judge(self, obs: Tensor, state: State | None = None, reset: Tensor | None = None) -> JudgedValues:
        """Return all that an update needs, for steps or sequences."""
        hidden, state, routing = self.encode(obs, state, reset)
        return JudgedValues(self.value_head(hidden), state, routing)


class JambaRLActorCritic(_Actor):
    """Actions and values from one backbone; arguments as of ``JambaRLPolicy``."""

    def _add_heads(self) -> None:
        self.critic_head = head(self.hidden_dim, 1, 1.0)

    def forward(
        self, obs: Tensor, state: State | None = None, reset: Tensor | None = None, return_value: bool = True
    ) -> tuple[Tensor, Tensor | None, State]:
        """Return the likeliest actions, scaled, their values if wanted, and the memory after them."""
        hidden, state, _ = self.encode(obs, state, reset)
        values = self.critic_head(hidden) if return_value else None
        return self.scale(self.actor_head(hidden)), values, state

    def judge(self, obs: Tensor, state: State | None = None, reset: Tensor | None = None) -> Judged:
        """Return all that an update needs, for steps or sequences; in ``eval()`` the ratio to ``act`` is exact."""
        hidden, state, routing = self.encode(obs, state, reset)
        return Judged(self._gaussian(hidden), self.critic_head(hidden), state, routing)

    def get_action(self, obs: Tensor, state: State | None = None, reset: Tensor | None = None) -> tuple[Tensor, State]:
        """Return the likeliest actions, scaled, and the memory after them."""
        actions, _, state = self.forward(obs, state, reset, return_value=False)
        return actions, state

    def get_value(self, obs: Tensor, state: State | None = None, reset: Tensor | None = None) -> tuple[Tensor, State]:
        """Return values and the memory after them."""
        hidden, state, _ = self.encode(obs, state, reset)
        return self.critic_head(hidden), state


def head(width: int, outputs: int, gain: float) -> nn.Sequential:
    """Two layers, orthogonal, the last one scaled by ``gain``: heads only, a backbone's first values are its own."""
    first, last = nn.Linear(width, width), nn.Linear(width, outputs)
    for layer, scale in ((first, math.sqrt(2)), (last, gain)):
        nn.init.orthogonal_(layer.weight, scale)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(first, nn.Tanh(), last)
