"""Layers that the network families are built from."""
