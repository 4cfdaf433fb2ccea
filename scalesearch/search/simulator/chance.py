"""Chance that is named, not drawn in turn: the same names give the same numbers, in any order."""

from statistics import NormalDist

from scalesearch.streams import stream_seed

_NORMAL = NormalDist()


def keyed_uniform(seed: int, *keys: str | int) -> float:
    """Between 0 and 1, neither included."""
    return (stream_seed(seed, *keys) + 0.5) / 2.0**63


def keyed_normal(seed: int, *keys: str | int) -> float:
    """Of mean 0 and standard deviation 1."""
    # Rounded to a float, the last of 2^63 steps is 1.
    return _NORMAL.inv_cdf(min(keyed_uniform(seed, *keys), 1 - 2.0**-53))
