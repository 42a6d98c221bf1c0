"""What is timed: one training step, one monitor."""
