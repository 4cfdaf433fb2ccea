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

from scalesearch.analysis.answer import CandidateResult
from scalesearch.analysis.mixture import polynomial_terms
from scalesearch.analysis.observations import CandidateEstimates
from scalesearch.analysis.optimum import maximizing_shares
from scalesearch.analysis.polynomials import PolynomialFit
from scalesearch.analysis.twoway import Floats
from scalesearch.scaling import Shares

NOISE_TABLES = 3000
MIN_CHOICES = 30
"""Choices of one candidate before its leads are told from those of all."""


def p_value_of_lead(statistic: float, df: float, lead: float) -> float:
    """Two-sided, of a lead so far from nothing as ``statistic`` standard errors, or farther, where
    choosing alone gives ``lead``: Student's t moved by that, on both sides."""
    distance = abs(statistic)
    return min(1.0, float(stdtr(df, lead - distance) + stdtr(df, -lead - distance)))


@dataclass(frozen=True, slots=True)
class SelectionBias:
    """Tables of noise in which the answer was chosen: ``values`` (B, candidates) with their
    standard deviations ``scale``, the places ``chosen`` among the candidates, and the
    ``coefficients`` (B, terms) of the surface ``fit``."""

    estimates: CandidateEstimates
    fit: PolynomialFit
    values: Floats
    scale: Floats
    chosen_indices: tuple[int, ...]
    coefficients: Floats

    def expected_lead(self, candidate: str) -> float:
        """The mean lead of who is chosen over this candidate's runs, in standard errors."""
        index, chosen_indices = self.estimates.candidates.index(candidate), np.array(self.chosen_indices)
        rows = np.flatnonzero(chosen_indices != index)
        if not len(rows):
            return 0.0
        differences = self.values[rows, chosen_indices[rows]] - self.values[rows, index]
        lead = differences / np.hypot(self.scale[chosen_indices[rows]], self.scale[index])
        return max(0.0, float(lead.mean()))

    def expected_lead_at(self, shares: Shares) -> float:
        """The same on the surface, over the place of these shares."""
        places = np.vstack([self.estimates.shares[list(self.chosen_indices)], shares.as_tuple()])
        place_terms = polynomial_terms(places, self.fit.degree, self.fit.axes)
        contrasts = place_terms[:-1] - place_terms[-1]
        errors = np.sqrt(np.einsum("bp,pq,bq->b", contrasts, self.fit.covariance, contrasts))
        is_apart = errors > 1e-3 * errors.max(initial=0.0)
        if not is_apart.any():
            return 0.0
        lead = (contrasts * self.coefficients).sum(axis=1)[is_apart] / errors[is_apart]
        return max(0.0, float(lead.mean()))


def selection_bias(
    estimates: CandidateEstimates,
    fits: dict[str, PolynomialFit],
    fit: PolynomialFit,
    chosen_candidate: str,
    eligible: Sequence[str],
    feasible_shares: Floats | None = None,
) -> SelectionBias:
    """What choosing gives where all candidates are equal, of the tables that choose ``answer``.

    ``fits``, ``fit``: as for the optimum. ``eligible``: candidates that may be chosen. An answer
    that chance hardly ever chooses is taken for any other.
    """
    rng = np.random.default_rng(0)
    scale = np.sqrt(estimates.noise_variances + fit.deviation)
    values = rng.normal(size=(NOISE_TABLES, len(scale))) * scale
    eligible_indices = np.array([estimates.candidates.index(name) for name in eligible])
    best_B3 = maximizing_shares(values, estimates, fits, feasible_shares)
    squared_distances = np.square(best_B3[:, None] - estimates.shares[eligible_indices]).sum(axis=2)
    chosen_indices = eligible_indices[squared_distances.argmin(axis=1)]
    is_same_choice = chosen_indices == estimates.candidates.index(chosen_candidate)
    if is_same_choice.sum() < MIN_CHOICES:
        is_same_choice[:] = True
    return SelectionBias(
        estimates=estimates,
        fit=fit,
        values=values[is_same_choice],
        scale=scale,
        chosen_indices=tuple(int(index) for index in chosen_indices[is_same_choice]),
        coefficients=values[is_same_choice] @ fit.solver.T,
    )


def nearest_result(shares: Shares, names: list[str], results: Mapping[str, CandidateResult]) -> CandidateResult:
    """The result nearest to these shares, of those of these names.

    Rounded, so that equal distances go to the smaller fingerprint on every machine.
    """
    return min(
        (results[name] for name in names),
        key=lambda result: (round(result.shares.distance(shares), 9), result.candidate),
    )
