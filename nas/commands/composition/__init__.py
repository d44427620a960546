"""Composition root: settings, terminal, database and trainer processes of the commands."""
