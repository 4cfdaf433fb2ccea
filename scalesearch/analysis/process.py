"""A Gaussian process over shares: a surface that follows what no polynomial does."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from scalesearch.analysis.observations import MIN_VARIANCE, CandidateEstimates
from scalesearch.analysis.polynomials import leave_one_out_rmse
from scalesearch.analysis.twoway import Floats

GAUSSIAN_PROCESS = "gaussian process"
MIN_CANDIDATES, MAX_CANDIDATES = 5, 500
"""Candidates it can be fitted to: its time grows with the third power of their number."""


@dataclass(frozen=True, slots=True)
class GaussianProcessFit:
    """A fitted process. ``error``: as a polynomial's, from leaving each candidate out in turn with
    the length scale of all. ``deviation``: variance of candidates about it beyond their noise."""

    regressor: Any
    center: float
    scale: float
    deviation: float
    error: float

    def predict(self, shares_N3: Floats) -> tuple[Floats, Floats]:
        """Mean accuracy of networks at these shares, in the mean seed, and its standard error."""
        mean, error = self.regressor.predict(shares_N3, return_std=True)
        variance = np.maximum(np.square(error * self.scale) - self.deviation, 0.0)
        return self.center + self.scale * mean, np.sqrt(variance)


def gaussian_process(estimates: CandidateEstimates) -> GaussianProcessFit | None:
    """The fit, its length scale and deviation by greatest likelihood; None for too few or too many
    candidates, or none that differ."""
    center, scale = float(estimates.values.mean()), float(estimates.values.std())
    if not MIN_CANDIDATES <= len(estimates.values) <= MAX_CANDIDATES or scale < MIN_VARIANCE:
        return None
    # Half a second to import, and the answer while a search runs does without it.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

    kernel = ConstantKernel(1.0, (1e-2, 1e3)) * RBF(0.5, (0.25, 10.0))
    kernel += WhiteKernel(0.05, (1e-6, 1.0))
    noise = np.maximum(estimates.noise_variances / scale**2, 1e-9)
    regressor = GaussianProcessRegressor(kernel, alpha=noise)
    with warnings.catch_warnings():  # a length scale at its bound is an answer, too
        warnings.simplefilter("ignore", ConvergenceWarning)
        regressor.fit(estimates.shares, (estimates.values - center) / scale)
    inverse = np.linalg.inv(regressor.kernel_(estimates.shares) + np.diag(noise))
    # Left out, a candidate is missed by its residual over its own element of the inverse
    # (Rasmussen & Williams, eq. 5.12); as a residual with that leverage `missed` takes it.
    loo_errors = (inverse @ regressor.y_train_) / np.diag(inverse) * scale
    return GaussianProcessFit(
        regressor=regressor,
        center=center,
        scale=scale,
        deviation=float(regressor.kernel_.k2.noise_level) * scale**2,
        error=float(leave_one_out_rmse(loo_errors, np.zeros(len(loo_errors)), estimates)),
    )
