"""Neural architecture search for small, imbalanced image data sets, with ResNet-18 as the baseline."""

__version__ = "0.1.0"
