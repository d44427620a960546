"""Results as plain, picklable values: outcomes, metrics, curves and predictions. No torch."""
