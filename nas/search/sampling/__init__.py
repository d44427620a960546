"""Samplers: forest surrogate, initial design, grid, and Optuna's own."""
