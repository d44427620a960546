"""Analysis of finished trials: front, progress, option effects and grid results."""
