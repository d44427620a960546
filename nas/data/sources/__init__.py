"""Readers of image folders, npz files and standard data sets."""
