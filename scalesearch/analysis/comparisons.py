"""Comparisons of the leader with the references, corrected for selection bias.

The chosen candidate (the leader) is the trained one nearest to the maximum of the surface. It is
not the one with the highest mean, whose lead is largely luck.

Its own runs helped to place that maximum. If all candidates were equal, it would still lead by most
of a standard error, and a comparison would be significant in one of six searches instead of one of
ten (in one of three for the highest mean). So the selection is repeated on tables of pure noise,
and p-values measure a lead against the leads found there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import stdtr, stdtrit

from scalesearch.analysis.additive_model import ROUNDING_ERROR, Floats
from scalesearch.analysis.observations import CandidateEstimates
from scalesearch.analysis.optimum import maximizing_shares
from scalesearch.analysis.paired import Accuracies, paired_difference, paired_noise
from scalesearch.analysis.polynomials import MIN_SCALED_SHARE, PolynomialFit, polynomial_terms
from scalesearch.analysis.statistical_power import seeds_needed
from scalesearch.analysis.summary import CandidateResult
from scalesearch.errors import SearchError
from scalesearch.scaling.coefficients import Shares

NOISE_TABLES = 3000
MIN_CHOICES = 30
"""Fewest noise tables that choose a candidate before its own leads are used, not all leads."""


def p_value_of_lead(statistic: float, df: float, lead: float) -> float:
    """Return the two-sided p-value of a lead of ``statistic`` standard errors.

    ``lead``: the lead that selection alone gives; Student's t is shifted by it on both sides.
    """
    distance = abs(statistic)
    return min(1.0, float(stdtr(df, lead - distance) + stdtr(df, -lead - distance)))


@dataclass(frozen=True, slots=True)
class SelectionBias:
    """Noise tables in which a leader was chosen.

    ``values`` (B, candidates), with standard deviations ``scale``. ``chosen_indices``: the leader
    of each table. ``coefficients`` (B, terms): of the surface of each table, as for ``fit``.
    """

    estimates: CandidateEstimates
    fit: PolynomialFit
    values: Floats
    scale: Floats
    chosen_indices: tuple[int, ...]
    coefficients: Floats

    def expected_lead(self, candidate: str) -> float:
        """Return the leader's mean lead over this candidate's runs, in standard errors."""
        index = self.estimates.candidates.index(candidate)
        chosen_indices = np.array(self.chosen_indices)
        rows = np.flatnonzero(chosen_indices != index)
        if not len(rows):
            return 0.0
        differences = self.values[rows, chosen_indices[rows]] - self.values[rows, index]
        lead = differences / np.hypot(self.scale[chosen_indices[rows]], self.scale[index])
        return max(0.0, float(lead.mean()))

    def expected_lead_at(self, shares: Shares) -> float:
        """Return the leader's mean lead over these shares on the surface."""
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
    """Simulate the choice of ``chosen_candidate`` among equal candidates.

    ``fits``, ``fit``: as for the optimum. ``eligible``: candidates that may be chosen. If noise
    hardly ever chooses the candidate, all tables are returned.
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


def nearest_result(
    shares: Shares, names: list[str], results: Mapping[str, CandidateResult]
) -> CandidateResult:
    """Return the result nearest to these shares among the names given.

    Distances are rounded, so that ties go to the smaller fingerprint on every machine.
    """
    return min(
        (results[name] for name in names),
        key=lambda result: (round(result.shares.distance(shares), 9), result.candidate),
    )


MAX_FURTHER_SEEDS = 100
"""Largest number of further seeds that is reported; it stands for any larger number."""
STAND_IN_DISTANCE = 0.1
"""Distance in shares above which a network is called a stand-in for its reference."""
UNEQUAL_COST_TOLERANCE = 0.05
"""Relative difference above which two costs are called different."""


@dataclass(frozen=True, slots=True)
class ComparisonSide:
    """A network on one side of a comparison.

    ``candidate``: "" if it was not trained to the end. ``factor``: its cost over the baseline's,
    None without a network. ``distance``: distance in shares from the reference it stands for.
    """

    candidate: str
    shares: Shares
    factor: float | None
    distance: float = 0.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """The difference between the leader and a reference; accuracies are fractions.

    ``candidate``: the network that stands for the reference, None if it was not trained to the
    end. ``by``: ``runs`` (paired by seed) or ``surface``. ``difference``: above 0 if the leader is
    ahead. ``low``, ``high``: interval of 1 - level of this difference alone. ``p``: two-sided,
    corrected for selection bias. ``p_corrected``: corrected also for the number of comparisons
    (Holm). ``settled``: whether ``p_corrected`` is below the level. ``seeds``: number of seeds of
    the reference. ``further_seeds``: seeds that would detect a difference of this size with a
    probability of 0.8, after correction; ``MAX_FURTHER_SEEDS`` stands for more, None if it is
    settled, the leader's own network, or not compared by runs. ``cost``: the reference's over the
    leader's. ``away``: distance in shares between the network and its reference, since a baseline
    may be unable to scale as a reference asks. ``words``: the comparison in one phrase.
    """

    reference: str
    candidate: str | None
    by: str
    difference: float
    low: float
    high: float
    p: float
    p_corrected: float
    settled: bool
    seeds: int
    further_seeds: int | None
    cost: float | None
    away: float
    words: str

    @property
    def is_stand_in(self) -> bool:
        """Whether the network differs clearly from its reference."""
        return self.away > STAND_IN_DISTANCE


def holm_correction(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for their number (Holm, Scand. J. Statist. 6, 1979)."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    corrected, running_max = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        running_max = max(running_max, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = running_max
    return corrected


def comparisons(
    leader: ComparisonSide,
    references: Mapping[str, ComparisonSide],
    accuracy: Accuracies,
    fit: PolynomialFit | None,
    *,
    bias: SelectionBias | None = None,
    level: float = 0.1,
) -> tuple[Comparison, ...]:
    """Compare the leader with each reference, corrected for their number.

    ``accuracy``: runs of candidates trained to the end. ``fit``: the surface, for references that
    were not; these are left out if the surface does not cover them. ``bias``: the selection bias
    of the leader.
    """
    uncorrected = [
        comparison
        for name, reference in references.items()
        for empty in [_empty_comparison(name, leader, reference, accuracy)]
        if (
            comparison := _if_same_network(empty, leader)
            or _from_runs(empty, leader, accuracy, bias, level)
            or _from_surface(empty, leader, reference, fit, bias, level)
        )
    ]
    # Two references may be the same network, which counts as one comparison.
    p_by_network = {item.candidate or item.reference: item.p for item in uncorrected}
    p_by_network.pop(leader.candidate, None)
    corrected = dict(zip(p_by_network, holm_correction([*p_by_network.values()]), strict=True))
    further_seeds = _FurtherSeeds(
        paired_noise(accuracy).variance, len(accuracy), level, len(p_by_network)
    )
    return tuple(
        _with_words(replace(item, p_corrected=p, settled=p < level), leader, further_seeds)
        for item in uncorrected
        for p in [corrected.get(item.candidate or item.reference, 1.0)]
    )


@dataclass(frozen=True, slots=True)
class _FurtherSeeds:
    """The quantities that the number of further seeds depends on."""

    variance: float | None
    candidates: int
    level: float
    tests: int

    def needed(self, difference: float, seeds: int) -> int | None:
        """Return the seeds needed beyond ``seeds`` to detect this difference."""
        if not self.variance:
            return None
        needed = seeds_needed(
            difference, self.variance**0.5, self.candidates, level=self.level / self.tests
        )
        return min(MAX_FURTHER_SEEDS, max(1, needed - seeds))


def _empty_comparison(
    name: str, leader: ComparisonSide, reference: ComparisonSide, accuracy: Accuracies
) -> Comparison:
    """Return a comparison without a difference."""
    cost = reference.factor / leader.factor if reference.factor and leader.factor else None
    return Comparison(
        reference=name,
        candidate=reference.candidate or None,
        by="runs",
        difference=0.0,
        low=0.0,
        high=0.0,
        p=1.0,
        p_corrected=1.0,
        settled=False,
        seeds=len(accuracy.get(reference.candidate, ())),
        further_seeds=None,
        cost=cost,
        away=reference.distance,
        words="",
    )


def _if_same_network(empty: Comparison, leader: ComparisonSide) -> Comparison | None:
    return empty if empty.candidate == leader.candidate else None


def _from_runs(
    empty: Comparison,
    leader: ComparisonSide,
    accuracy: Accuracies,
    bias: SelectionBias | None,
    level: float,
) -> Comparison | None:
    """Return None if either was not trained to the end, or the noise is unknown."""
    if empty.candidate is None:
        return None
    try:
        difference = paired_difference(accuracy, leader.candidate, empty.candidate, level=level)
    except SearchError:
        return None
    p = difference.p
    if difference.standard_error > ROUNDING_ERROR:
        lead = bias.expected_lead(empty.candidate) if bias else 0.0
        p = p_value_of_lead(difference.mean / difference.standard_error, difference.df, lead)
    return replace(empty, difference=difference.mean, low=difference.low, high=difference.high, p=p)


def _from_surface(
    empty: Comparison,
    leader: ComparisonSide,
    reference: ComparisonSide,
    fit: PolynomialFit | None,
    bias: SelectionBias | None,
    level: float,
) -> Comparison | None:
    """Return None if there is no surface, or it does not cover the reference."""
    unscaled_axes = [axis for axis in range(3) if fit and axis not in fit.axes]
    if fit is None or any(
        reference.shares.as_tuple()[axis] > MIN_SCALED_SHARE for axis in unscaled_axes
    ):
        return None
    mean, error = surface_difference(fit, leader.shares, reference.shares)
    half_width = float(stdtrit(fit.df, 1 - level / 2)) * error
    p = float(abs(mean) <= ROUNDING_ERROR)
    if error > ROUNDING_ERROR:
        lead = bias.expected_lead_at(reference.shares) if bias else 0.0
        p = p_value_of_lead(mean / error, fit.df, lead)
    return replace(
        empty, by="surface", difference=mean, low=mean - half_width, high=mean + half_width, p=p
    )


def surface_difference(fit: PolynomialFit, left: Shares, right: Shares) -> tuple[float, float]:
    """Return the surface at ``left`` minus that at ``right``, and its standard error."""
    place_terms = polynomial_terms(
        np.array([left.as_tuple(), right.as_tuple()]), fit.degree, fit.axes
    )
    contrast = place_terms[0] - place_terms[1]
    error = float(np.sqrt(max(0.0, contrast @ fit.covariance @ contrast)))
    return float(contrast @ fit.coefficients), error


def _with_words(
    comparison: Comparison, leader: ComparisonSide, further_seeds: _FurtherSeeds
) -> Comparison:
    """Add the phrase for people and the number of further seeds."""
    distance_text = f"{comparison.away:.2f} away in shares" if comparison.is_stand_in else ""
    if comparison.candidate == leader.candidate:
        aside = f" ({distance_text})" if distance_text else ""
        return replace(comparison, words=f"is itself the network of {comparison.reference}{aside}")
    points, half_width = 100 * abs(comparison.difference), 50 * (comparison.high - comparison.low)
    ahead = comparison.difference >= 0
    verb = (
        ("beats" if ahead else "loses to")
        if comparison.settled
        else ("leads" if ahead else "trails")
    )
    unequal = comparison.cost is not None and abs(comparison.cost - 1) > UNEQUAL_COST_TOLERANCE
    asides = [f"nearest network, {distance_text}"] if distance_text else []
    asides += [f"at {comparison.cost:.2f} times the cost"] if unequal else []
    name = f"{comparison.reference} ({', '.join(asides)})" if asides else comparison.reference
    words = f"{verb} {name} by {points:.1f} +-{half_width:.1f} points"
    words += ", on the fitted surface" if comparison.by == "surface" else ""
    if comparison.settled:
        return replace(comparison, words=words)
    more_seeds = (
        further_seeds.needed(comparison.difference, comparison.seeds)
        if comparison.by == "runs"
        else None
    )
    words += " (not significant"
    if more_seeds is not None and more_seeds >= MAX_FURTHER_SEEDS:
        words += f"; showing so small a difference takes {MAX_FURTHER_SEEDS} more seeds or more"
    elif more_seeds is not None:
        plural = "s" if more_seeds > 1 else ""
        words += f"; {more_seeds} more seed{plural} would show it, if it is real"
    return replace(comparison, words=f"{words})", further_seeds=more_seeds)
