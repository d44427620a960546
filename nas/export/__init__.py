"""Trained networks as files that stand alone, each checked in a process of its own before it is kept."""
