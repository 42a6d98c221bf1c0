"""Floor 0: what every other package may use; imports nothing of ours."""
