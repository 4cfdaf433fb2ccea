"""Accuracy as a surface over shares, of the kind that predicts unseen candidates best."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import fdtrc

from scalesearch.analysis.mixture import terms
from scalesearch.analysis.observations import TINY, Observations, observations
from scalesearch.analysis.polynomials import Polynomial, polynomials
from scalesearch.analysis.process import NAME, Process, process
from scalesearch.analysis.twoway import Floats
from scalesearch.errors import SearchError


@dataclass(frozen=True, slots=True)
class LackOfFit:
    """What a polynomial leaves over of the candidates, against what their seeds leave over.

    ``p``: of so much or more where the polynomial is right, from Fisher's F of ``df`` and
    ``df_error`` degrees of freedom; seeds are blocks.
    """

    statistic: float
    df: int
    df_error: int
    p: float


@dataclass(frozen=True, slots=True)
class Surface:
    """``kind``: the one chosen, for the least error. ``errors``: root mean square of what each
    candidate is missed by when the others predict it, by kind. ``lack_of_fit``: of each polynomial;
    none for a single seed, which has no error of its own to compare with.
    """

    kind: str
    errors: dict[str, float]
    lack_of_fit: dict[str, LackOfFit]
    observed: Observations
    fit: Polynomial | Process

    def predict(self, shares_N3: Floats) -> tuple[Floats, Floats]:
        """Mean accuracy of networks at these shares, in the mean seed, and its standard error.

        The standard error is of the surface; a single network deviates from it by more
        (``fit.deviation``). Raises SearchError for shares that do not sum to one.
        """
        shares = np.atleast_2d(np.asarray(shares_N3, dtype=np.float64))
        if shares.shape[1] != 3 or not np.allclose(shares.sum(axis=1), 1.0, atol=1e-6):
            raise SearchError("the surface: need three shares that sum to 1 for each place")
        return self.fit.predict(shares)


def surface(records: pd.DataFrame, *, epochs: int | None = None, stopped: bool = True) -> Surface:
    """The surface of a results table at the last epoch.

    ``epochs``, ``stopped``: as in ``observations``. Scheffé polynomials and a Gaussian process are
    fitted with the seeds' noise as weights; of equal errors, the simplest. Raises SearchError where
    the candidates do not determine a plane with one to spare.
    """
    observed = observations(records, epochs=epochs, stopped=stopped)
    fits: dict[str, Polynomial | Process] = {**polynomials(observed)}
    if not fits:
        raise SearchError(
            "the surface: need at least 4 candidates that spread over the shares, got "
            f"{observed.counted}; train more"
        )
    tests = {
        kind: found
        for kind, fit in fits.items()
        if isinstance(fit, Polynomial) and (found := lack_of_fit(observed, fit))
    }
    if smooth := process(observed):
        fits[NAME] = smooth
    errors = {kind: fit.error for kind, fit in fits.items()}
    kind = min(errors, key=lambda name: errors[name])
    return Surface(kind, errors, tests, observed, fits[kind])


def lack_of_fit(observed: Observations, fit: Polynomial) -> LackOfFit | None:
    """The F test on the runs of the finished candidates: polynomial and seeds against candidates
    and seeds. None without error or candidates to spare."""
    if observed.variance is None:
        return None
    candidate, seed, accuracy = (np.array(column) for column in zip(*observed.runs, strict=True))
    known = terms(observed.shares[candidate], fit.degree, fit.axes)
    blocks = (seed[:, None] == np.unique(seed)[1:]).astype(np.float64)
    design = np.hstack([known, blocks])
    left = accuracy - design @ np.linalg.lstsq(design, accuracy)[0]
    pure = observed.variance * observed.df
    df = len(accuracy) - int(np.linalg.matrix_rank(design)) - observed.df
    if df < 1:
        return None
    lacking = max(0.0, float(left @ left) - pure) / df
    statistic = lacking / max(observed.variance, TINY**2)
    return LackOfFit(statistic, df, observed.df, float(fdtrc(df, observed.df, statistic)))
