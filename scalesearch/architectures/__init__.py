"""Networks as data: stages, baselines, and their cost in closed form."""
