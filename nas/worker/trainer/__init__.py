"""Trainer side: the process that holds the data on the device and trains genomes."""
