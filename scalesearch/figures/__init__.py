"""Figures from tables: a function for the numbers of each, and one to draw them."""
