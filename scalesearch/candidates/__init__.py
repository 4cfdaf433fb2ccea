"""The iso-cost set: budgets, grids, and the networks that cost the same."""
