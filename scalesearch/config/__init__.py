"""Experiment files (one YAML file, one experiment), recipes, and their validation."""
