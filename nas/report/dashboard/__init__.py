"""optuna-dashboard: serving it, and keeping its figures and notes current."""
