"""Accuracy as a surface over shares, of the kind that predicts unseen candidates best."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import fdtrc

from scalesearch.analysis.mixture import polynomial_terms
from scalesearch.analysis.observations import MIN_VARIANCE, CandidateEstimates, candidate_estimates
from scalesearch.analysis.polynomials import PolynomialFit, polynomial_fits
from scalesearch.analysis.process import GAUSSIAN_PROCESS, GaussianProcessFit, gaussian_process
from scalesearch.analysis.twoway import Floats
from scalesearch.errors import SearchError


@dataclass(frozen=True, slots=True)
class LackOfFitTest:
    """What a polynomial leaves over of the candidates, against what their seeds leave over.

    ``p``: of so much or more where the polynomial is right, from Fisher's F of ``df`` and
    ``df_error`` degrees of freedom; seeds are blocks.
    """

    statistic: float
    df: int
    df_error: int
    p: float


@dataclass(frozen=True, slots=True)
class ResponseModel:
    """``kind``: the one chosen, for the least error. ``errors``: root mean square of what each
    candidate is missed by when the others predict it, by kind. ``lack_of_fit``: of each polynomial;
    none for a single seed, which has no error of its own to compare with.
    """

    kind: str
    errors: dict[str, float]
    lack_of_fit: dict[str, LackOfFitTest]
    estimates: CandidateEstimates
    fit: PolynomialFit | GaussianProcessFit

    def predict(self, shares_N3: Floats) -> tuple[Floats, Floats]:
        """Mean accuracy of networks at these shares, in the mean seed, and its standard error.

        The standard error is of the surface; a single network deviates from it by more
        (``fit.deviation``). Raises SearchError for shares that do not sum to one.
        """
        shares = np.atleast_2d(np.asarray(shares_N3, dtype=np.float64))
        if shares.shape[1] != 3 or not np.allclose(shares.sum(axis=1), 1.0, atol=1e-6):
            raise SearchError("the surface: need three shares that sum to 1 for each place")
        return self.fit.predict(shares)


def surface(records: pd.DataFrame, *, epochs: int | None = None, include_stopped: bool = True) -> ResponseModel:
    """The surface of a results table at the last epoch.

    ``epochs``, ``stopped``: as in ``observations``. Scheffé polynomials and a Gaussian process are
    fitted with the seeds' noise as weights; of equal errors, the simplest. Raises SearchError where
    the candidates do not determine a plane with one to spare.
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
    """The F test on the runs of the finished candidates: polynomial and seeds against candidates
    and seeds. None without error or candidates to spare."""
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
