"""Scaled families of networks, phi for a target cost, effects of rounding."""
