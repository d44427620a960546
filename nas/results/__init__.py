"""Results as plain values that travel between processes: outcomes, metrics, curves and predictions. No torch."""
