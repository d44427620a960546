"""Hyperparameter search with Optuna: sampling, early stopping, storage and analysis of trials."""
