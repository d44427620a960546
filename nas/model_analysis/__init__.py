"""Analysis of trained networks on validation images: curves, feature maps and embeddings."""
