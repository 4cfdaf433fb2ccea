"""Figures from tables: for each, a function that computes its numbers and one that draws them."""
