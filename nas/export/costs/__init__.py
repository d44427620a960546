"""Costs of a network where it runs: size of its file, peak memory of its activations, latency and its prediction."""
