"""The composition root: settings, terminal, database and trainer processes, built for the commands."""
