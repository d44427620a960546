"""Neural architecture search for small, imbalanced images, compared with ResNet-18."""

__version__ = "0.1.0"
