"""Searches in which nothing is trained, to learn in seconds which settings are good."""
