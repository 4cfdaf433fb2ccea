"""Polynomials of shares, which sum to one (a mixture), and where on the simplex they are highest.

Scheffé (J. R. Stat. Soc. B 20, 1958): with three parts summing to one, a constant and the squares
are linear combinations of the parts and their products, so these stand in no polynomial.
"""

from functools import lru_cache
from itertools import combinations

import numpy as np

from scalesearch.analysis.twoway import Floats

DEGREES = ("linear", "quadratic", "special cubic")
AXES = ("depth", "width", "resolution")
LATTICE_STEPS = 24
SHARE_TOLERANCE = 1e-4
"""How exactly the highest place is found, in shares."""


def polynomial_terms(shares_N3: Floats, degree: str, axes: tuple[int, ...] = (0, 1, 2)) -> Floats:
    """The polynomial's terms at each place: parts, products of two, product of three.

    ``axes``: those that are scaled at all; the others' shares are nothing everywhere.
    """
    parts = [shares_N3[:, axis] for axis in axes]
    if degree != "linear":
        parts += [shares_N3[:, first] * shares_N3[:, second] for first, second in combinations(axes, 2)]
    if degree == "special cubic" and len(axes) == 3:
        parts.append(shares_N3.prod(axis=1))
    return np.stack(parts, axis=1)


@lru_cache(maxsize=32)
def simplex_lattice(axes: tuple[int, ...] = (0, 1, 2), steps: int = LATTICE_STEPS) -> Floats:
    """Evenly spaced places of the simplex over ``axes``, its corners among them; (N, 3)."""
    counts = np.array(
        [
            (first, second, steps - first - second)
            for first in range(steps + 1)
            for second in range(steps + 1 - first)
        ]
    )
    absent = [axis for axis in range(3) if axis not in axes]
    shares: Floats = counts[(counts[:, absent] == 0).all(axis=1)] / steps
    shares.flags.writeable = False  # it is shared by all callers
    return shares


def simplex_argmax(
    coefficients_BP: Floats,
    degree: str,
    axes: tuple[int, ...] = (0, 1, 2),
    feasible_N3: Floats | None = None,
) -> Floats:
    """Where each of B polynomials is highest, (B, 3): on the whole simplex to ``FINEST``, or at
    the best of the given places."""
    places = simplex_lattice(axes) if feasible_N3 is None else feasible_N3
    best_B3: Floats = places[np.argmax(coefficients_BP @ polynomial_terms(places, degree, axes).T, axis=1)]
    if feasible_N3 is not None or degree == "linear":  # a plane is highest in a corner
        return best_B3
    steps = _moves(axes)
    step = 0.5 / LATTICE_STEPS
    while step > SHARE_TOLERANCE / 2:
        neighbours = np.clip(best_B3[:, None] + step * steps, 0.0, 1.0)
        neighbours /= neighbours.sum(axis=2, keepdims=True)
        neighbour_terms = polynomial_terms(neighbours.reshape(-1, 3), degree, axes).reshape(*neighbours.shape[:2], -1)
        values = np.einsum("bkp,bp->bk", neighbour_terms, coefficients_BP)
        best_move = np.argmax(values, axis=1)
        best_B3 = np.take_along_axis(neighbours, best_move[:, None, None], axis=1)[:, 0]
        step /= 1.6  # less than half of it, so that a slanting ridge is not lost
    return best_B3


@lru_cache(maxsize=8)
def _moves(axes: tuple[int, ...]) -> Floats:
    """To stay, and from one share to another, by one and by two steps."""
    moves = [np.zeros(3)]
    for gaining, losing in combinations(axes, 2):
        for distance in (-2.0, -1.0, 1.0, 2.0):
            move = np.zeros(3)
            move[gaining], move[losing] = distance, -distance
            moves.append(move)
    return np.array(moves)
