"""PPO with memory in one file, without Stable-Baselines3: a pendulum whose velocity is hidden.

Random actions have a return of about -1230; networks without memory stay near -1000.
"""

import argparse

import gymnasium as gym
import numpy as np
import torch

from jamba_rl.models import JambaRLActorCritic

ENVS, T, EPOCHS, ROWS = 16, 64, 10, 4  # an update sees ENVS rows of T steps, a minibatch ROWS of them
RATE, GAMMA, LAMBDA, CLIP = 1e-3, 0.95, 0.95, 0.2
parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("steps", type=int, nargs="?", default=100_000, help="of all envs together; a minute of one core")
parser.add_argument("seed", type=int, nargs="?", default=0)
args = parser.parse_args()

torch.manual_seed(args.seed)
torch.set_num_threads(1)
envs = gym.make_vec("Pendulum-v1", ENVS, vector_kwargs={"autoreset_mode": gym.vector.AutoresetMode.SAME_STEP})
envs = gym.wrappers.vector.RecordEpisodeStatistics(envs, buffer_length=50)
sizes = {"hidden_dim": 64, "num_layers": 2, "mamba_ratio": 1, "ffn_mult": 2.0}
agent = JambaRLActorCritic(2, 1, **sizes, action_space=envs.single_action_space, log_std=0.0)
optimizer = torch.optim.Adam(agent.parameters(), RATE, eps=1e-5)


def seen(obs):
    """Cosine and sine of the angle; the velocity is hidden."""
    return torch.as_tensor(obs[:, :2], dtype=torch.float32)


obs, state, reset = seen(envs.reset(seed=args.seed)[0]), agent.get_initial_state(ENVS), torch.ones(ENVS).bool()
updates = args.steps // (ENVS * T)
for update in range(updates):
    optimizer.param_groups[0]["lr"] = RATE * (1 - update / updates)
    start, steps = state, []
    for _ in range(T):
        with torch.no_grad():
            out = agent.judge(obs, state, reset)
            raw = out.distribution.sample()
            new, reward, done, cut, info = envs.step(agent.scale(raw).numpy())
            reward, done, cut = torch.as_tensor(reward / 16).float(), torch.as_tensor(done), torch.as_tensor(cut)
            if (cut & ~done).any():  # what is cut off goes on: it is worth what the critic says of its last sight
                last = np.stack([n if o is None else o for o, n in zip(info["final_obs"], new, strict=True)])
                reward += GAMMA * (cut & ~done) * agent.get_value(seen(last), out.state)[0][:, 0]
        steps.append((obs, reset, raw, out.distribution.log_prob(raw), out.values[:, 0], reward, done | cut))
        obs, state, reset = seen(new), out.state, done | cut
    sights, resets, raws, old, values, rewards, overs = (torch.stack(part, 1) for part in zip(*steps, strict=True))
    with torch.no_grad():
        following = torch.cat([values[:, 1:], agent.get_value(obs, state, reset)[0]], 1) * ~overs
    advantages = rewards + GAMMA * following - values
    for t in reversed(range(T - 1)):  # generalised advantage estimation
        advantages[:, t] += GAMMA * LAMBDA * advantages[:, t + 1] * ~overs[:, t]
    targets = advantages + values
    for rows in (rows for _ in range(EPOCHS) for rows in torch.randperm(ENVS).split(ROWS)):
        out = agent.judge(sights[rows], tuple(part[rows] for part in start), resets[rows])  # memory runs through rows
        ratio = (out.distribution.log_prob(raws[rows]) - old[rows]).exp()
        gain = (advantages[rows] - advantages[rows].mean()) / (advantages[rows].std() + 1e-8)
        actor = -torch.min(ratio * gain, ratio.clamp(1 - CLIP, 1 + CLIP) * gain).mean()
        critic = (out.values[..., 0] - targets[rows]).square().mean()
        optimizer.zero_grad()
        (actor + 0.5 * critic + out.routing.loss()).backward()
        torch.nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
        optimizer.step()
    if update % 10 == 9 or update == updates - 1:
        mean = np.mean(envs.return_queue or [np.nan])
        print(f"{(update + 1) * ENVS * T} steps: return {mean:.0f}", flush=True)
