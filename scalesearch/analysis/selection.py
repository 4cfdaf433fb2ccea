"""What choosing the answer by the same runs does to its lead, and p-values that allow for it.

The candidate nearest to the top of a surface had a hand in where that top is: where all are equal,
it leads by most of a standard error for nothing, and "significant" comes up in one of six searches
in place of one of ten (for the highest mean: one of three). So the choice is repeated on tables of
pure noise, and a lead is measured against the leads that it gives there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr

from scalesearch.analysis.answer import Result
from scalesearch.analysis.mixture import terms
from scalesearch.analysis.observations import Observations
from scalesearch.analysis.optimum import tops
from scalesearch.analysis.polynomials import Polynomial
from scalesearch.analysis.twoway import Floats
from scalesearch.scaling import Shares

REPEATS = 3000
LEAST = 30
"""Choices of one candidate before its leads are told from those of all."""


def p_of_lead(statistic: float, df: float, lead: float) -> float:
    """Two-sided, of a lead so far from nothing as ``statistic`` standard errors, or farther, where
    choosing alone gives ``lead``: Student's t moved by that, on both sides."""
    far = abs(statistic)
    return min(1.0, float(stdtr(df, lead - far) + stdtr(df, -lead - far)))


@dataclass(frozen=True, slots=True)
class Chance:
    """Tables of noise in which the answer was chosen: ``values`` (B, candidates) with their
    standard deviations ``scale``, the places ``chosen`` among the candidates, and the
    ``coefficients`` (B, terms) of the surface ``fit``."""

    observed: Observations
    fit: Polynomial
    values: Floats
    scale: Floats
    chosen: tuple[int, ...]
    coefficients: Floats

    def lead_over(self, candidate: str) -> float:
        """The mean lead of who is chosen over this candidate's runs, in standard errors."""
        place, chosen = self.observed.candidates.index(candidate), np.array(self.chosen)
        here = np.flatnonzero(chosen != place)
        if not len(here):
            return 0.0
        apart = self.values[here, chosen[here]] - self.values[here, place]
        lead = apart / np.hypot(self.scale[chosen[here]], self.scale[place])
        return max(0.0, float(lead.mean()))

    def lead_over_shares(self, shares: Shares) -> float:
        """The same on the surface, over the place of these shares."""
        places = np.vstack([self.observed.shares[list(self.chosen)], shares.as_tuple()])
        known = terms(places, self.fit.degree, self.fit.axes)
        apart = known[:-1] - known[-1]
        errors = np.sqrt(np.einsum("bp,pq,bq->b", apart, self.fit.covariance, apart))
        far = errors > 1e-3 * errors.max(initial=0.0)
        if not far.any():
            return 0.0
        lead = (apart * self.coefficients).sum(axis=1)[far] / errors[far]
        return max(0.0, float(lead.mean()))


def chance(
    observed: Observations,
    fits: dict[str, Polynomial],
    fit: Polynomial,
    answer: str,
    eligible: Sequence[str],
    within: Floats | None = None,
) -> Chance:
    """What choosing gives where all candidates are equal, of the tables that choose ``answer``.

    ``fits``, ``fit``: as for the optimum. ``eligible``: candidates that may be chosen. An answer
    that chance hardly ever chooses is taken for any other.
    """
    random = np.random.default_rng(0)
    scale = np.sqrt(observed.noise + fit.deviation)
    values = random.normal(size=(REPEATS, len(scale))) * scale
    may = np.array([observed.candidates.index(name) for name in eligible])
    best_B3 = tops(values, observed, fits, within)
    apart = np.square(best_B3[:, None] - observed.shares[may]).sum(axis=2)
    chosen = may[apart.argmin(axis=1)]
    mine = chosen == observed.candidates.index(answer)
    if mine.sum() < LEAST:
        mine[:] = True
    return Chance(
        observed=observed,
        fit=fit,
        values=values[mine],
        scale=scale,
        chosen=tuple(int(place) for place in chosen[mine]),
        coefficients=values[mine] @ fit.solver.T,
    )


def nearest(shares: Shares, names: list[str], results: Mapping[str, Result]) -> Result:
    """The result nearest to these shares, of those of these names.

    Rounded, so that equal distances go to the smaller fingerprint on every machine.
    """
    return min(
        (results[name] for name in names),
        key=lambda one: (round(one.shares.distance(shares), 9), one.candidate),
    )
