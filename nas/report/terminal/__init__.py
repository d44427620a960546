"""Rich tables for the terminal."""
