"""Augmentation on the device, per image, from draws that were made before the epoch."""
