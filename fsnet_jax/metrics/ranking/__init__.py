"""Ranking metrics of scores, by counts or exactly."""
