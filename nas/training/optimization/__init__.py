"""Losses, penalties, optimisers, schedules and weight averaging."""
