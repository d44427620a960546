"""Elastic networks: one set of weights of which every smaller network of a family is a slice."""
