"""Response model: accuracy over shares, by a polynomial or Gaussian process.

The kind that predicts unseen candidates best is chosen.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import fdtrc

from scalesearch.analysis.additive_model import Floats
from scalesearch.analysis.observations import MIN_VARIANCE, CandidateEstimates, candidate_estimates
from scalesearch.analysis.polynomials import (
    PolynomialFit,
    leave_one_out_rmse,
    polynomial_fits,
    polynomial_terms,
)
from scalesearch.errors import SearchError

GAUSSIAN_PROCESS = "gaussian process"
MIN_CANDIDATES, MAX_CANDIDATES = 5, 500
"""Numbers of candidates it is fitted to; its time grows with their third power."""


@dataclass(frozen=True, slots=True)
class GaussianProcessFit:
    """A fitted Gaussian process.

    ``error``: leave-one-out error as for a polynomial, with the length scale of all candidates.
    ``deviation``: variance of candidates about the surface beyond their noise.
    """

    regressor: Any
    center: float
    scale: float
    deviation: float
    error: float

    def predict(self, shares_N3: Floats) -> tuple[Floats, Floats]:
        """Return the mean accuracy of networks at these shares and its standard error."""
        mean, error = self.regressor.predict(shares_N3, return_std=True)
        variance = np.maximum(np.square(error * self.scale) - self.deviation, 0.0)
        return self.center + self.scale * mean, np.sqrt(variance)


def gaussian_process(estimates: CandidateEstimates) -> GaussianProcessFit | None:
    """Fit a Gaussian process by maximum likelihood.

    None for too few or too many candidates, or if all accuracies are equal.
    """
    center, scale = float(estimates.values.mean()), float(estimates.values.std())
    if not MIN_CANDIDATES <= len(estimates.values) <= MAX_CANDIDATES or scale < MIN_VARIANCE:
        return None
    # It takes half a second to import, and is not needed while a search runs.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

    kernel = ConstantKernel(1.0, (1e-2, 1e3)) * RBF(0.5, (0.25, 10.0))
    kernel += WhiteKernel(0.05, (1e-6, 1.0))
    noise = np.maximum(estimates.noise_variances / scale**2, 1e-9)
    regressor = GaussianProcessRegressor(kernel, alpha=noise)
    with warnings.catch_warnings():  # a length scale at its bound is fine
        warnings.simplefilter("ignore", ConvergenceWarning)
        regressor.fit(estimates.shares, (estimates.values - center) / scale)
    inverse = np.linalg.inv(regressor.kernel_(estimates.shares) + np.diag(noise))
    # The leave-one-out error of a candidate follows from its element of the inverse (Rasmussen &
    # Williams, eq. 5.12), so `leave_one_out_rmse` takes it as a residual with leverage 0.
    loo_errors = (inverse @ regressor.y_train_) / np.diag(inverse) * scale
    return GaussianProcessFit(
        regressor=regressor,
        center=center,
        scale=scale,
        deviation=float(regressor.kernel_.k2.noise_level) * scale**2,
        error=float(leave_one_out_rmse(loo_errors, np.zeros(len(loo_errors)), estimates)),
    )


@dataclass(frozen=True, slots=True)
class LackOfFitTest:
    """Lack-of-fit test of a polynomial: deviations of candidates against seed noise.

    ``p``: p-value of a correct polynomial, by the F test with ``df`` and ``df_error`` degrees of
    freedom; seeds are blocks.
    """

    statistic: float
    df: int
    df_error: int
    p: float


@dataclass(frozen=True, slots=True)
class ResponseModel:
    """The fitted surface of the chosen ``kind``, the one with the least error.

    ``errors``: root mean square leave-one-out error by kind. ``lack_of_fit``: test of each
    polynomial; empty for a single seed, which has no error to compare with.
    """

    kind: str
    errors: dict[str, float]
    lack_of_fit: dict[str, LackOfFitTest]
    estimates: CandidateEstimates
    fit: PolynomialFit | GaussianProcessFit

    def predict(self, shares_N3: Floats) -> tuple[Floats, Floats]:
        """Return the mean accuracy of networks at these shares and its standard error.

        The standard error is that of the surface; a single network deviates from it
        (``fit.deviation``). Raises SearchError for shares that do not sum to one.
        """
        shares = np.atleast_2d(np.asarray(shares_N3, dtype=np.float64))
        if shares.shape[1] != 3 or not np.allclose(shares.sum(axis=1), 1.0, atol=1e-6):
            raise SearchError("the surface: need three shares that sum to 1 for each place")
        return self.fit.predict(shares)


def fit_response_model(
    records: pd.DataFrame, *, epochs: int | None = None, include_stopped: bool = True
) -> ResponseModel:
    """Fit the surface of a results table at the last epoch.

    ``epochs``, ``include_stopped``: as in ``candidate_estimates``. Scheffé polynomials and a
    Gaussian process are fitted, weighted by the noise of seeds; of equal errors the simplest is
    chosen. Raises SearchError if the candidates do not determine a plane with one to spare.
    """
    estimates = candidate_estimates(records, epochs=epochs, include_stopped=include_stopped)
    fits: dict[str, PolynomialFit | GaussianProcessFit] = {**polynomial_fits(estimates)}
    if not fits:
        raise SearchError(
            "the surface: need at least 4 candidates that spread over the shares, got "
            f"{estimates.count_text}; train more"
        )
    tests = {
        kind: test
        for kind, fit in fits.items()
        if isinstance(fit, PolynomialFit) and (test := lack_of_fit_test(estimates, fit))
    }
    if gaussian_fit := gaussian_process(estimates):
        fits[GAUSSIAN_PROCESS] = gaussian_fit
    errors = {kind: fit.error for kind, fit in fits.items()}
    kind = min(errors, key=lambda name: errors[name])
    return ResponseModel(kind, errors, tests, estimates, fits[kind])


def lack_of_fit_test(estimates: CandidateEstimates, fit: PolynomialFit) -> LackOfFitTest | None:
    """Test the lack of fit of a polynomial on the runs of finished candidates.

    None for a single seed, or without candidates to spare.
    """
    if estimates.variance is None:
        return None
    candidate, seed, accuracy = (np.array(column) for column in zip(*estimates.runs, strict=True))
    share_terms = polynomial_terms(estimates.shares[candidate], fit.degree, fit.axes)
    blocks = (seed[:, None] == np.unique(seed)[1:]).astype(np.float64)
    design = np.hstack([share_terms, blocks])
    residuals = accuracy - design @ np.linalg.lstsq(design, accuracy)[0]
    pure_error = estimates.variance * estimates.df
    df = len(accuracy) - int(np.linalg.matrix_rank(design)) - estimates.df
    if df < 1:
        return None
    mean_square = max(0.0, float(residuals @ residuals) - pure_error) / df
    statistic = mean_square / max(estimates.variance, MIN_VARIANCE**2)
    return LackOfFitTest(statistic, df, estimates.df, float(fdtrc(df, estimates.df, statistic)))
