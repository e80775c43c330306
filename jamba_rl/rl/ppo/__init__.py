"""PPO with a memory: rollouts as windows, policies, the update."""
