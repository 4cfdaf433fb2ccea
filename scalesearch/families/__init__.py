"""Scaled families of networks, phi for a target cost, and an explanation of rounding."""
