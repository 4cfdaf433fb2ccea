"""Augmentation of each image on the device, by random draws made before the epoch."""
