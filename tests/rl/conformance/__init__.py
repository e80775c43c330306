"""What SB3 and sb3_contrib expect of an algorithm, on ours: our own tests of the behaviours that theirs cover."""
