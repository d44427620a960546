"""Looking into trained networks: what they do with validation images. Imports torch; its results do not."""
