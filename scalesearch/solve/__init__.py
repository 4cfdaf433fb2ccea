"""Phi both ways: the network along given coefficients that costs what is asked for."""

from scalesearch.solve.solution import Solution, solution_sentence, solution_rows, solve, solve_document
from scalesearch.solve.staircase import PathStep
from scalesearch.solve.target import Target, format_amount, parse_coefficients, parse_target, format_count

__all__ = [
    "Solution",
    "PathStep",
    "Target",
    "format_amount",
    "parse_coefficients",
    "solution_sentence",
    "parse_target",
    "format_count",
    "solution_rows",
    "solve",
    "solve_document",
]
