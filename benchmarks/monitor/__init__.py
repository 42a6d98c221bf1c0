"""A trained pair at work: its promise, files, latency and rate."""
