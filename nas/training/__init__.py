"""Training of one network: loop, losses, optimisers, evaluation and checkpoints."""
