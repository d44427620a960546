"""Progress of running trials: live display and JSON log."""
