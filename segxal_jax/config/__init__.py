"""What a config may hold, and the objects it describes."""
