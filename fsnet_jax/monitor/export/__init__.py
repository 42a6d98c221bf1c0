"""A trained pair as one file that runs without this package."""
