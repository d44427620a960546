"""Training of elastic networks, and networks that inherit their weights from one."""
