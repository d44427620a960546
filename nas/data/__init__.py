"""Images: sources, decoding, splits, sampling, augmentation and normalisation."""
