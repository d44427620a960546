"""ImageNet weights of published networks, and cached features of a frozen trunk."""
