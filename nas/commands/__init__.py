"""Command line: one module per command, the shared composition root, and progress output."""
