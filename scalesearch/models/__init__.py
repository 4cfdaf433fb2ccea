"""Networks as torch modules, their initial weights, and counts of their cost."""
