"""Saturating power laws, fitted by least squares: error = floor + scale * cost^(-exponent).

For a given exponent the rest is linear, so a grid of exponents is tried, and the best then refined:
there is no start to choose, and no local minimum to be caught in.
"""

import numpy as np

from scalesearch.analysis.twoway import Floats

EXPONENTS = np.geomspace(0.01, 4.0, 40)
NUM_PARAMETERS = 3


def power_law_errors(laws_B3: Floats, factors: Floats | float) -> Floats:
    """What laws (floor, scale, exponent) come to: (B,) at one cost, (B, N) at several."""
    floor, scale, exponent = laws_B3.T
    if np.ndim(factors):
        floor, scale, exponent = floor[:, None], scale[:, None], exponent[:, None]
    error: Floats = floor + scale * np.asarray(factors, dtype=np.float64) ** -exponent
    return error


def fit_power_laws(factors_N: Floats, errors_BN: Floats) -> Floats:
    """Floor, scale and exponent of each row of errors at these costs by least squares, (B, 3)."""
    fits = np.stack([_fit_floor_and_scale(factors_N, errors_BN, np.full(len(errors_BN), c)) for c in EXPONENTS])
    best: Floats = fits[np.argmin(fits[:, :, 3], axis=0), np.arange(len(errors_BN))]
    step = float(np.log(EXPONENTS[1] / EXPONENTS[0]))
    while step > 1e-4:
        for shift in (-step, step):
            exponents = np.clip(best[:, 2] * np.exp(shift), EXPONENTS[0], EXPONENTS[-1])
            refit = _fit_floor_and_scale(factors_N, errors_BN, exponents)
            best = np.where((refit[:, 3] < best[:, 3])[:, None], refit, best)
        step /= 1.6
    return best[:, :3]


def _fit_floor_and_scale(factors_N: Floats, errors_BN: Floats, exponent_B: Floats) -> Floats:
    """Floor and scale for given exponents, neither below 0; (B, 4) with the squares left over."""
    x = factors_N[None] ** -exponent_B[:, None]
    mean_x, mean_y = x.mean(axis=1), errors_BN.mean(axis=1)
    spread = np.square(x - mean_x[:, None]).sum(axis=1)
    slope = ((x - mean_x[:, None]) * errors_BN).sum(axis=1) / np.maximum(spread, 1e-30)
    slope_without_floor = (x * errors_BN).sum(axis=1) / np.square(x).sum(axis=1)  # without a floor
    scale = np.where(mean_y - slope * mean_x < 0, slope_without_floor, slope)
    scale = np.maximum(scale, 0.0)
    floor = np.maximum(mean_y - scale * mean_x, 0.0)
    squared_error = np.square(errors_BN - floor[:, None] - scale[:, None] * x).sum(axis=1)
    return np.stack([floor, scale, exponent_B, squared_error], axis=1)
