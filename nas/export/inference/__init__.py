"""Inference with an exported file: opening it, reading images, predictions and input warnings."""
