"""Trainer side: process that keeps the data on the device and trains genomes."""
