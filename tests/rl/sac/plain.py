"""An update of recurrent SAC written out: plain modules, plain loops, plain gradient descent."""

import torch
from torch import Tensor
from torch.distributions import Normal
from torch.optim import Adam

from jamba_rl.rl.sac.policy import RecurrentSACPolicy
from jamba_rl.rl.sac.replay import ReplayedSequences


class PlainUpdate:
    """Makes the updates of an agent on a copy of its policy, whose optimizer is SGD.

    :param model: gives options, and is left as it is
    :param reward: of the step after frame (time, episode) of a clock
    """

    def __init__(self, model, policy: RecurrentSACPolicy, reward, length: int, terminates: bool):
        self.model, self.policy, self.reward, self.length, self.terminates = model, policy, reward, length, terminates
        self.log_alpha = None if model.log_ent_coef is None else model.log_ent_coef.detach().clone().requires_grad_()
        self.adam = None if self.log_alpha is None else Adam([self.log_alpha], lr=model.lr_schedule(1))

    def __call__(self, batch: ReplayedSequences) -> dict[str, float]:
        model, policy, b, windows = self.model, self.policy, self.model.burn_in, batch.observations
        actor_state, critic_state, _ = policy.states(windows)
        times = windows.observations.view(*windows.resets.shape, -1)[:, model.replay_buffer.context + b :, 0]
        valid = times[:, :-1] < self.length
        judged = policy.critic.memory(windows, critic_state, b)
        latents, routing = judged.latent, 0.0
        acting = latents.detach()
        if not policy.shared_encoder:
            acted = policy.actor.memory(windows, actor_state, b)
            acting, routing = acted.latent, acted.routing.loss()
        actions, log_prob = self._sample(acting)
        alpha = self._temperature(log_prob[:, :-1][valid])
        with torch.no_grad():
            later = policy.critic_target.memory(windows, critic_state, b).latent
            values = self._values(policy.critic_target, later, actions)
            if policy.target_critics < values.shape[-1]:
                values = values[..., torch.randperm(values.shape[-1])[: policy.target_critics]]
            goals = self._goals(times, values.amin(-1) - alpha * log_prob)
        errors = self._values(policy.critic, latents[:, :-1], batch.actions[:, b:]) - goals.unsqueeze(-1)
        critic_loss = 0.5 * errors[valid].square().mean(0).sum()
        self._descend(policy.critic, [], critic_loss + judged.routing.loss())
        values = self._values(policy.critic, latents[:, :-1].detach(), actions[:, :-1])
        value = values.mean(-1) if policy.target_critics < values.shape[-1] else values.amin(-1)
        actor_loss = (alpha * log_prob[:, :-1] - value)[valid].mean()
        others = list(policy.critic.memory.parameters()) if policy.shared_encoder else []
        self._descend(policy.actor, others, actor_loss + routing)
        with torch.no_grad():
            for old, new in zip(policy.critic_target.parameters(), policy.critic.parameters(), strict=True):
                old.copy_((1 - model.tau) * old + model.tau * new)
        return {"critic_loss": critic_loss.item(), "actor_loss": actor_loss.item(), "ent_coef": float(alpha)}

    def _sample(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        actor = self.policy.actor
        hidden = actor.latent_pi(latents)
        mean, log_std = actor.mu(hidden), actor.log_std(hidden).clamp(-20, 2)
        normal = Normal(mean, log_std.exp())
        raw = mean + log_std.exp() * torch.randn(mean.shape)
        squashing = torch.log1p(-raw.double().tanh().square())
        return raw.tanh(), (normal.log_prob(raw) - squashing).sum(-1).float()

    def _values(self, critic, latents: Tensor, actions: Tensor) -> Tensor:
        inputs = torch.cat([latents, actions], -1)
        return torch.cat([network(inputs) for network in critic.q_networks], -1)

    def _temperature(self, log_prob: Tensor) -> Tensor:
        if self.log_alpha is None:
            return self.model.ent_coef_tensor
        alpha = self.log_alpha.detach().exp()
        self.adam.zero_grad()
        (-self.log_alpha * (log_prob.detach() + self.model.target_entropy)).mean().backward()
        self.adam.step()
        return alpha

    def _goals(self, times: Tensor, values: Tensor) -> Tensor:
        """Targets of frames at these times of their episode, whose values these are."""
        goals = torch.zeros(times.shape[0], times.shape[1] - 1)
        for b, t in torch.ones_like(goals).nonzero().tolist():
            at, factor = t, 1.0
            while True:
                goals[b, t] += factor * self.reward(float(times[b, at]))
                at, factor = at + 1, factor * self.model.gamma
                over = times[b, at] == self.length
                if over or at - t == self.model.n_steps or at == times.shape[1] - 1:
                    break
            if not (over and self.terminates):
                goals[b, t] += factor * values[b, at]
        return goals

    def _descend(self, part, others: list[Tensor], loss: Tensor) -> None:
        left = {id(parameter) for parameter in others}
        slower = {id(parameter) for parameter in part.memory.encoder.parameters()}
        parameters = [parameter for parameter in part.parameters() if id(parameter) not in left]
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                ratio = self.policy.encoder_learning_rate_ratio if id(parameter) in slower else 1.0
                if gradient is not None:
                    parameter -= self.model.lr_schedule(1) * ratio * gradient
