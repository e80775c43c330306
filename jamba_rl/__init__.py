"""jamba-rl."""
