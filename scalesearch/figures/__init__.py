"""Figures from tables: each has a function for its numbers and one that draws them."""
