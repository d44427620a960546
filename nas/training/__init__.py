"""Training one network: losses, optimisation, metrics and the loop."""
