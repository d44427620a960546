"""Device, precision, CUDA graph capture and host synchronisation."""
