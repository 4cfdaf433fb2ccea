"""Coefficients -> the scaled family of networks, as members, a table, JSON and YAML.

Phi both ways: the network along given coefficients that costs what is asked for.

What the published family is made of, and where rounding takes it; counted, not argued.
"""
