"""Runs of a second, of every kind of agent."""

from __future__ import annotations

from jamba_rl.lab.config import RunConfig, configure

NETWORK = ["network.d_model=8", "network.num_heads=2", "policy.net_arch=[8]"]
PPO = ["n_steps=32", "batch_size=32", "n_epochs=1", *NETWORK]
SAC = ["learning_starts=20", "train_freq=2", "batch_size=8", "sequence_length=4", "buffer_size=1000"]
WINDOW = ["history=4", "network.window=4"]
SETTINGS = {
    "ppo-jamba-moe": PPO,
    "ppo-mlp-framestack": PPO,
    "ppo-jamba-window": [*PPO, *WINDOW],
    "sac-jamba": [*SAC, *NETWORK, "network.window=4"],
    "sac-mlp-framestack": [*SAC, *NETWORK],
    "sac-jamba-window": [*SAC[:3], *NETWORK, *WINDOW],
}


def small_config(agent: str, steps: int = 128, every: int = 64, env: str = "pendulum-p", **kwargs) -> RunConfig:
    """One env for SAC and two for PPO; one episode per evaluation."""
    settings = [*SETTINGS[agent], *kwargs.pop("settings", ())]
    n_envs = kwargs.pop("n_envs", 1 if agent.startswith("sac") else 2)
    protocol = {"steps": steps, "evaluation": {"every": every, "episodes": 1}}
    return configure(env, agent, protocol=protocol, n_envs=n_envs, settings=settings, **kwargs)
