"""The coefficients that rounding makes one network of.

Everything that a results table says about how to scale, in one place.

It is of records alone, with a few plain facts beside them: the factor, and the baseline with its
rounding where the coefficients that are one network are to be told.
"""

import bisect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from scalesearch.analysis.additive_model import Floats
from scalesearch.analysis.comparisons import (
    Comparison,
    ComparisonSide,
    comparisons,
    nearest_result,
    selection_bias,
    surface_difference,
)
from scalesearch.analysis.conclusion_prose import conclusion_sentence
from scalesearch.analysis.observations import (
    CandidateEstimates,
    candidate_estimates,
    validate_records,
)
from scalesearch.analysis.optimum import Optimum, curved_polynomial_fits, optimum_of_estimates
from scalesearch.analysis.paired import Accuracies, accuracies, may_still_win
from scalesearch.analysis.polynomials import AXES, PolynomialFit
from scalesearch.analysis.response_model import ResponseModel, fit_response_model
from scalesearch.analysis.statistical_power import StatisticalPower, statistical_power
from scalesearch.analysis.summary import (
    CandidateResult,
    StoppedCandidate,
    candidate_results,
    stopped_candidates,
)
from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.scaled import scaled_widths
from scalesearch.architectures.stages import Architecture
from scalesearch.candidates.grid import depth_levels, width_level
from scalesearch.errors import SearchError
from scalesearch.scaling.coefficients import Multipliers, Shares
from scalesearch.scaling.published import SCHEMES
from scalesearch.scaling.rounding import Rounding

TOLERANCE = 1e-6


def equivalent_coefficients(
    baseline: Architecture, rounding: Rounding, multipliers: Multipliers
) -> dict[str, tuple[float, float]]:
    """The alpha, beta and gamma, each for itself, that at phi = 1 give the depth, the channels and
    the pixels of a network with these effective multipliers.

    Left out is an axis whose multiplier no coefficient gives under this rounding.
    """
    intervals = {
        "alpha": _depth(baseline, rounding, multipliers.depth),
        "beta": _width(baseline, rounding, multipliers.width),
        "gamma": _resolution(baseline, rounding, multipliers.resolution),
    }
    return {name: interval for name, interval in intervals.items() if interval is not None}


def _depth(baseline: Architecture, rounding: Rounding, depth: float) -> tuple[float, float] | None:
    # Rounded down, a depth is given by more than it comes to.
    levels = depth_levels(baseline, rounding, min(1.0, depth), 2 * max(1.0, depth))
    return next(
        ((level.low, level.high) for level in levels if abs(level.multiplier - depth) < TOLERANCE),
        None,
    )


def _width(baseline: Architecture, rounding: Rounding, width: float) -> tuple[float, float] | None:
    if abs(width - 1) < TOLERANCE:  # a level of its own, which tells no interval
        edges = rounding.width_edges(baseline.unrounded_widths, 2.0)
        return _constant_interval(
            edges, lambda multiplier: scaled_widths(baseline, multiplier, rounding), 1.0
        )
    level = width_level(baseline, rounding, width)
    return (level.low, level.high) if abs(level.multiplier - width) < TOLERANCE else None


def _resolution(
    baseline: Architecture, rounding: Rounding, resolution: float
) -> tuple[float, float] | None:
    own, step = baseline.resolution, rounding.resolution_multiple
    max_count = int(own * max(1.0, resolution) / step) + 2
    edges = {(count + 0.5) * step / own for count in range(max_count)}
    pixels = rounding.pixels(own * resolution)
    if abs(pixels / own - resolution) > TOLERANCE:
        return None
    return _constant_interval(
        edges, lambda multiplier: rounding.pixels(own * multiplier), resolution
    )


def _constant_interval(
    edges: set[float], value_at: Callable[[float], Any], value: float
) -> tuple[float, float]:
    """The interval between edges about ``value`` in which ``at`` does not change."""
    bounds = [0.0, *sorted(edges)]
    last = min(bisect.bisect_right(bounds, value), len(bounds) - 1)
    first, reference = last - 1, value_at(value)
    while first and value_at((bounds[first - 1] + bounds[first]) / 2) == reference:
        first -= 1
    while last + 1 < len(bounds) and value_at((bounds[last] + bounds[last + 1]) / 2) == reference:
        last += 1
    return bounds[first], bounds[last]


UNEQUAL_COST_RATIO = 1.1
"""Dearest over cheapest candidate, from which on a search is no comparison at equal cost."""
INTERVAL_TOLERANCE = 0.01
"""How far from an interval, in shares, still counts as inside."""


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What is said about a search, at its last ``epoch``; intervals are of 1 - ``level``.

    ``sentence``: the answer in one. ``candidates``: trained to the end, with at most so many
    ``seeds``; ``stopped``: those that were not. ``costs``: the least and the greatest realised
    factor of the former. ``optimum``: the estimate, and ``surface`` what shape fits best; None
    where the candidates determine none, and the notes say why. ``answer``: the trained candidate
    nearest to the optimum, of those that no other one clearly beats; it is what is compared.
    ``recommended``: the cheapest to run of those about as good as the best, for the reason
    ``why``. ``same_network``: the alpha, beta and gamma that round to it at phi = 1; None where the
    baseline is not known. ``power``: which differences such a search can show; None without a
    measure of noise.
    """

    name: str
    sentence: str
    factor: float
    epoch: int
    level: float
    candidates: int
    seeds: int
    cost_range: tuple[float, float]
    stopped: tuple[StoppedCandidate, ...] = ()
    optimum: Optimum | None = None
    response_model: ResponseModel | None = None
    nearest_to_optimum: CandidateResult | None = None
    recommended: CandidateResult | None = None
    reason: str = ""
    equivalent_coefficients: dict[str, tuple[float, float]] | None = None
    comparisons: tuple[Comparison, ...] = ()
    power: StatisticalPower | None = None
    notes: tuple[str, ...] = ()

    @property
    def has_unequal_costs(self) -> bool:
        """Whether the candidates cost too differently to be compared at equal cost."""
        return self.cost_range[1] > UNEQUAL_COST_RATIO * self.cost_range[0]


@dataclass(frozen=True, slots=True)
class _Evidence:
    """A checked table, and what is made of it; ``results``, ``accuracy``: at the last epoch."""

    table: pd.DataFrame
    results: dict[str, CandidateResult]
    accuracy: Accuracies
    estimates: CandidateEstimates
    feasible_shares: Floats | None


def conclusion(
    records: pd.DataFrame,
    factor: float,
    *,
    name: str = "",
    epochs: int | None = None,
    level: float = 0.1,
    baseline: Architecture | CustomModel | None = None,
    rounding: Rounding | None = None,
    latencies: Mapping[str, float] | None = None,
    feasible_shares: Floats | None = None,
) -> Conclusion:
    """What a results table says, for a budget of ``factor``.

    ``epochs``: the last epoch, by default the table's. ``baseline``, ``rounding``: to tell which
    coefficients are one network. ``latencies``: seconds by candidate, which decide what is cheap to
    run where all are known; else activations do. ``within``: as for ``optimum``. Order of rows,
    repeated rows and further columns change nothing. Raises SearchError for a table without a
    candidate at the last epoch, for missing columns, values that are missing or not finite, and
    two accuracies of one run. Candidates that are too few to tell the optimum are an answer, which
    says so.
    """
    table = validate_records(records)
    results = {result.candidate: result for result in candidate_results(table, epochs=epochs)}
    last = epochs or int(table["epoch"].max())
    evidence = _Evidence(
        table=table,
        results=results,
        accuracy=accuracies(table, last),
        estimates=candidate_estimates(table, epochs=last),
        feasible_shares=feasible_shares,
    )
    costs = [one.factor for one in results.values()]
    draft = Conclusion(
        name=name,
        sentence="",
        factor=factor,
        epoch=last,
        level=level,
        candidates=len(results),
        seeds=max(one.seeds for one in results.values()),
        cost_range=(min(costs), max(costs)),
        stopped=stopped_candidates(table, epochs=last),
    )
    try:
        draft = _with_optimum(draft, evidence, latencies or {})
    except UndeterminedOptimum as error:
        draft = replace(draft, notes=(str(error), *_best_mean_note(evidence)))
    best = draft.recommended
    if best is not None and isinstance(baseline, Architecture) and rounding is not None:
        equivalent = equivalent_coefficients(baseline, rounding, best.multipliers)
        draft = replace(draft, equivalent_coefficients=equivalent)
    draft = replace(draft, power=_power(draft, evidence), notes=(*draft.notes, *_notes(draft)))
    return replace(draft, sentence=conclusion_sentence(draft))


class UndeterminedOptimum(SearchError):
    """Candidates that do not determine where accuracy is highest."""


def _with_optimum(
    draft: Conclusion, evidence: _Evidence, latencies: Mapping[str, float]
) -> Conclusion:
    """With all that comes from the surface."""
    observed, level = evidence.estimates, draft.level
    try:
        fits = curved_polynomial_fits(observed)
    except SearchError as error:
        raise UndeterminedOptimum(str(error)) from error
    best = optimum_of_estimates(
        observed, draft.factor, level=level, feasible_shares=evidence.feasible_shares
    )
    may_win = [
        name for name, possible in may_still_win(evidence.accuracy, level).items() if possible
    ]
    nearest_candidate = nearest_result(best.shares, may_win, evidence.results)
    bias = selection_bias(
        observed,
        fits,
        fits[best.degree],
        nearest_candidate.candidate,
        sorted(evidence.accuracy),
        evidence.feasible_shares,
    )
    compared = comparisons(
        ComparisonSide(
            nearest_candidate.candidate, nearest_candidate.shares, nearest_candidate.factor
        ),
        _references(evidence.table, evidence.results),
        evidence.accuracy,
        fits[best.degree],
        bias=bias,
        level=level,
    )
    worse = {
        comparison.candidate
        for comparison in compared
        if comparison.settled and comparison.difference > 0
    }
    not_worse = [name for name in may_win if name not in worse]
    as_good = [evidence.results[name] for name in best.equivalent_candidates if name in not_worse]
    recommended, why = _recommendation(
        best, fits[best.degree], as_good, nearest_candidate, latencies
    )
    fitted_model = fit_response_model(evidence.table, epochs=draft.epoch)
    return replace(
        draft,
        optimum=best,
        response_model=fitted_model,
        nearest_to_optimum=nearest_candidate,
        recommended=recommended,
        reason=why,
        comparisons=compared,
        notes=(*best.notes, *_recommendation_notes(best, recommended, fits[best.degree])),
    )


def _recommendation(
    best: Optimum,
    fit: PolynomialFit,
    as_good: list[CandidateResult],
    nearest_candidate: CandidateResult,
    latencies: Mapping[str, float],
) -> tuple[CandidateResult, str]:
    """The cheapest to run of those trained candidates that cannot be told from the best, neither by
    where they are on the surface nor by their own runs.

    The noisier a search, the more of them there are, so where shares matter at all the surface has
    to put it within one standard error of the optimum, too: the customary rule for a cheaper model
    (Breiman et al. 1984, section 3.4.3).
    """
    eligible, qualifier = as_good, "that cannot be told from the best"
    if best.p_flat <= best.level:
        qualifier = "within one standard error of the best"
        eligible = [
            result
            for result in as_good
            if surface_difference(fit, best.shares, result.shares)[0] <= best.standard_error
        ]
    if not eligible:
        return (
            nearest_candidate,
            "the nearest to the optimum, as none trained to the end is as good",
        )
    if all(one.candidate in latencies for one in eligible):
        price, criterion = (
            {one.candidate: latencies[one.candidate] for one in eligible},
            "lowest latency",
        )
    else:
        price, criterion = (
            {one.candidate: one.activations for one in eligible},
            "fewest activations",
        )
    chosen = min(eligible, key=lambda one: (price[one.candidate], one.macs, one.candidate))
    if len(eligible) == 1:
        return chosen, f"the only one trained to the end {qualifier}"
    return chosen, f"the {criterion} of {len(eligible)} {qualifier}"


def _recommendation_notes(
    best: Optimum, recommended: CandidateResult, fit: PolynomialFit
) -> tuple[str, ...]:
    """What is known of a recommended network that is not where the optimum is thought to be."""
    inside = all(
        interval.low - INTERVAL_TOLERANCE
        <= getattr(recommended.shares, axis)
        <= interval.high + INTERVAL_TOLERANCE
        for axis, interval in best.share_intervals.items()
    )
    mean, error = surface_difference(fit, best.shares, recommended.shares)
    if inside or best.p_flat > best.level or mean <= best.standard_error:
        return ()
    half_width = float(stdtrit(fit.df, 1 - best.level / 2)) * error
    return (
        "the recommended network is outside of the optimum's intervals: it is the nearest that was "
        f"trained, and behind by {100 * mean:.1f} +-{100 * half_width:.1f} points on the surface",
    )


def _references(
    table: pd.DataFrame, results: Mapping[str, CandidateResult]
) -> dict[str, ComparisonSide]:
    """Each known scheme: the network that stands for it, trained to the end or not, or its shares
    alone."""
    rows = table.drop_duplicates("candidate")
    sides = {}
    for name, scheme in SCHEMES.items():
        has_role = (
            rows["role"].astype(str).str.split("+").map(lambda roles, role=name: role in roles)
        )
        role_rows = rows[has_role]
        role_rows = (
            role_rows[role_rows["candidate"].isin(list(results))]
            if len(role_rows) > 1
            else role_rows
        )
        if role_rows.empty:
            sides[name] = ComparisonSide("", scheme.shares, None)
            continue
        row = role_rows.iloc[0]
        shares = Shares(*(float(row[f"{axis}_share"]) for axis in AXES))
        trained = str(row["candidate"]) if row["candidate"] in results else ""
        sides[name] = ComparisonSide(
            trained, shares, float(row["factor"]), shares.distance(scheme.shares)
        )
    return sides


def _power(draft: Conclusion, evidence: _Evidence) -> StatisticalPower | None:
    """Of the candidates trained to the end, as if all had the most seeds."""
    observed = evidence.estimates
    if not observed.variance:
        return None
    compared_networks = {
        comparison.candidate or comparison.reference for comparison in draft.comparisons
    }
    compared_networks -= {draft.nearest_to_optimum.candidate} if draft.nearest_to_optimum else set()
    return statistical_power(
        observed.shares[: observed.finished_count],
        float(np.sqrt(observed.variance)),
        draft.seeds,
        basis=f"the runs themselves, {observed.df} degrees of freedom",
        comparisons=len(compared_networks),
        level=draft.level,
    )


def _best_mean_note(evidence: _Evidence) -> tuple[str, ...]:
    """Without a surface, the highest mean, called what it is."""
    best = next(iter(evidence.results.values()))
    return (
        f"the highest mean of {len(evidence.results)} is {best.accuracy:.4f}, of {best.candidate}; "
        "the luckiest of several is flattered, so this is no answer",
    )


def _notes(draft: Conclusion) -> tuple[str, ...]:
    notes, own_network = (
        [],
        draft.nearest_to_optimum.candidate if draft.nearest_to_optimum else None,
    )
    if draft.has_unequal_costs:
        low, high = draft.cost_range
        notes.append(
            f"candidates cost from {low:.2f}x to {high:.2f}x, so the more accurate may only be the "
            "dearer ones: this is no search at equal cost"
        )
    if any(comparison.candidate != own_network for comparison in draft.comparisons):
        notes.append(
            "p-values allow for the answer's choice by the same runs and for the number of "
            "comparisons; the interval of a difference is of that one alone"
        )
    missing = set(SCHEMES) - {one.reference for one in draft.comparisons}
    if missing and draft.optimum is not None:
        notes.append(f"nothing is known of {', '.join(sorted(missing))}: none was trained so")
    return tuple(notes)
