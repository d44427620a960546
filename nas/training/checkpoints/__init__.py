"""Checkpoint and weights files, and the state they hold."""
