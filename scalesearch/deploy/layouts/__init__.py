"""Layouts: names and axes of a network's tensors in other libraries."""
