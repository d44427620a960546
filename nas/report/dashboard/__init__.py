"""optuna-dashboard: server, and background refresh of figures and notes."""
