"""What to train next, as Optuna's samplers propose it.

Samplers search the unit square, which maps one to one onto the simplex of shares; equal areas
stay equal. Each proposal comes from a sampler made afresh and seeded by (seed, number of the
proposal), over the history so far: a search that was stopped proposes what it would have proposed.
"""

import hashlib
import math
import warnings
from collections.abc import Callable, Sequence

import optuna
from optuna.samplers import (
    BaseSampler,
    GPSampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)

from scalesearch.scaling import Shares

STARTUP = 8
"""Trials, the references among them, before a model takes over from chance."""

SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    "tpe": lambda seed: TPESampler(seed=seed, n_startup_trials=STARTUP),
    "gp": lambda seed: GPSampler(seed=seed, n_startup_trials=STARTUP),
    "sobol": lambda seed: QMCSampler(seed=seed, scramble=True),
    "random": lambda seed: RandomSampler(seed=seed),
}
SQUARE: dict[str, optuna.distributions.BaseDistribution] = {
    "u": optuna.distributions.FloatDistribution(0.0, 1.0),
    "v": optuna.distributions.FloatDistribution(0.0, 1.0),
}


def proposal(
    sampler: str, seed: int, number: int, history: Sequence[tuple[Shares, float]]
) -> Shares:
    """The shares to try as proposal ``number`` (from 0), after these shares gave these values."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        # A Sobol sequence is one sequence, of one seed, read on to its current place; it learns
        # its space from a trial, and nothing else from the history.
        sobol = sampler == "sobol"
        own_seed = _mixed(seed, 0 if sobol else number)
        study = optuna.create_study(direction="maximize", sampler=SAMPLERS[sampler](own_seed))
        told = [(Shares(0.0, 0.5, 0.5), 0.0)] if sobol else history
        study.add_trials([_told(shares, value) for shares, value in told])
        draws = number + 1 if sobol else 1
        for _ in range(draws):
            point = study.ask(SQUARE).params
    return from_square(point["u"], point["v"])


def from_square(u: float, v: float) -> Shares:
    """Map the unit square onto the simplex, areas in proportion."""
    rest = math.sqrt(u)
    return Shares(1.0 - rest, rest * v, rest * (1.0 - v))


def to_square(shares: Shares) -> tuple[float, float]:
    """The point of the square that ``from_square`` maps to these shares, clipped to the simplex."""
    width, resolution = max(shares.width, 0.0), max(shares.resolution, 0.0)
    rest = min(width + resolution, 1.0)
    return rest**2, width / (width + resolution) if rest > 0 else 0.5


def _told(shares: Shares, value: float) -> optuna.trial.FrozenTrial:
    u, v = to_square(shares)
    return optuna.trial.create_trial(params={"u": u, "v": v}, distributions=SQUARE, value=value)


def _mixed(seed: int, number: int) -> int:
    digest = hashlib.blake2b(f"proposal {seed} {number}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big")
