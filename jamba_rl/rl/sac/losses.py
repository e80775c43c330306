"""The losses of SAC on windows of experience (Haarnoja et al. 2018, arXiv 1812.05905)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from jamba_rl.rl.sac.networks import RecurrentActor, RecurrentCritic
from jamba_rl.rl.sac.replay import ReplayedSequences


class Choices(NamedTuple):
    """What the actor would do now: actions (B, T, A) in [-1, 1] and their log probabilities (B, T)."""

    actions: Tensor
    log_prob: Tensor

    @classmethod
    def of(cls, actor: RecurrentActor, latents: Tensor) -> Choices:
        """Sample for latents (B, T, L)."""
        actions, log_prob = actor.action_log_prob(latents.flatten(0, 1))
        return cls(actions.view(*latents.shape[:2], -1), log_prob.view(latents.shape[:2]))


class Lesson(NamedTuple):
    """What of B windows is learned from: T steps each, without the burn-in."""

    actions: Tensor
    """(B, T, A)."""
    returns: Tensor
    """(B, T)."""
    ahead: Tensor
    """(B, T), how many steps those are of."""
    discounts: Tensor
    """(B, T), of the value behind them."""
    weights: Tensor
    """(B, T), of each step in a loss; their sum is 1."""

    @classmethod
    def of(cls, batch: ReplayedSequences, burn_in: int) -> Lesson:
        """Weigh alike all steps that can be learned from."""
        mask = batch.mask[:, burn_in:].float()
        return cls(
            batch.actions[:, burn_in:],
            batch.returns[:, burn_in:],
            batch.ahead[:, burn_in:],
            batch.discounts[:, burn_in:],
            mask / mask.sum().clamp(min=1.0),
        )

    def mean(self, numbers: Tensor) -> Tensor:
        """Mean over steps of (B, T)."""
        return (numbers * self.weights).sum()


@torch.no_grad()
def targets(
    lesson: Lesson, critic: RecurrentCritic, latents: Tensor, choices: Choices, alpha: Tensor, believed: int
) -> Tensor:
    """What a step is worth by what came of it, (B, T): returns, and a value for the rest.

    :param critic: the target critics
    :param latents: (B, T + 1, L) of their memory
    :param choices: of the actor, at T + 1 frames
    :param alpha: weight of the entropy
    :param believed: of how many critics, drawn at random, the lowest value counts
    """
    values = judge(critic, latents, choices.actions)
    if believed < values.shape[-1]:
        values = values[..., torch.randperm(values.shape[-1], device=values.device)[:believed]]
    values = values.amin(-1) - alpha * choices.log_prob
    later = torch.arange(lesson.ahead.shape[1], device=values.device) + lesson.ahead
    return lesson.returns + lesson.discounts * values.gather(1, later)


def critic_loss(lesson: Lesson, critic: RecurrentCritic, latents: Tensor, goals: Tensor) -> Tensor:
    """Half the squared error of all critics, summed over them.

    :param latents: (B, T, L) of their memory
    :param goals: (B, T), see ``targets``
    """
    errors = judge(critic, latents, lesson.actions) - goals.unsqueeze(-1)
    return 0.5 * lesson.mean(errors.square().sum(-1))


def actor_loss(
    lesson: Lesson, critic: RecurrentCritic, latents: Tensor, choices: Choices, alpha: Tensor, believed: int
) -> Tensor:
    """The value of the actor's choices and its entropy, negative; the critics' memory learns nothing from it.

    :param latents: (B, T, L) of the critics' memory
    :param choices: at T steps
    :param believed: below the number of critics the mean of all counts (Chen et al. 2021, arXiv 2101.05982), else
        the lowest value
    """
    values = judge(critic, latents.detach(), choices.actions, learns=False)
    value = values.mean(-1) if believed < values.shape[-1] else values.amin(-1)
    return lesson.mean(alpha * choices.log_prob - value)


def judge(critic: RecurrentCritic, latents: Tensor, actions: Tensor, learns: bool = True) -> Tensor:
    """Values (B, T, n_critics) of actions (B, T, A) at latents (B, T, L)."""
    return critic(latents.flatten(0, 1), actions.flatten(0, 1), learns).view(*latents.shape[:2], -1)
