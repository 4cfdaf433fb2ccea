"""Coefficients, rounding rules, and what the papers published; pure arithmetic."""
