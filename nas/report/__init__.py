"""What people look at: tables on the terminal and optuna's dashboard."""
