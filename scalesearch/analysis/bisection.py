"""Bisection, since scipy's root finders take half a second to import."""

from collections.abc import Callable


def bisection(
    is_below: Callable[[float], bool], low: float, high: float, tolerance: float
) -> tuple[float, float]:
    """Return bounds, ``tolerance`` apart, of the value where ``is_below`` turns false."""
    while high - low > tolerance:
        middle = (low + high) / 2
        low, high = (middle, high) if is_below(middle) else (low, middle)
    return low, high
