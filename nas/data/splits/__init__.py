"""Train, validation and test splits, cross-validation folds, and pairs of images."""
