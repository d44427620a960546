"""Batched augmentation of training images on their device."""
