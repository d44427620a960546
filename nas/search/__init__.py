"""The study: its budget, its sampler, its early stopping and its front. The only package that imports optuna."""
