"""PyTorch networks built from architectures, and their parameter and FLOP counts."""
