"""Simulated searches, which compare search settings in seconds without training."""
