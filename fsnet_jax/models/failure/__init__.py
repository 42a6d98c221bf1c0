"""The failure network F."""
