"""Phi both ways: the network along given coefficients that costs what is asked for."""

from scalesearch.solve.solution import Solution, message, rows, solve, solve_document
from scalesearch.solve.staircase import Stair
from scalesearch.solve.target import Target, amount, direction, parse_target, quantity

__all__ = [
    "Solution",
    "Stair",
    "Target",
    "amount",
    "direction",
    "message",
    "parse_target",
    "quantity",
    "rows",
    "solve",
    "solve_document",
]
