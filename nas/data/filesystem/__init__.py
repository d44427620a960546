"""Atomic file writes and folder locks."""
