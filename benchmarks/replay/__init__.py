"""Replay of searches on a table of trainings."""
