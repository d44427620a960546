"""Progress of running trials: a live display for terminals and a JSON log."""
