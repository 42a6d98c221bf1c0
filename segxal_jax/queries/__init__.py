"""Queries: their types, region selectors, questions on disk."""
