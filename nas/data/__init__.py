"""Images: sources, splits, batches on the device, normalisation and augmentation.

This file imports nothing, so that `nas.data.paths` can be used without torch.
"""
