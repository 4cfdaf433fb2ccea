"""Data sources by name: image folders, CIFAR, IDX files, Hugging Face, digits."""
