"""Searches replayed on a table of trainings."""
