"""Supervisor side: claims slots, runs the trainer process and records results. No torch."""
