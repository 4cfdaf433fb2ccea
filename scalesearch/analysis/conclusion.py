"""The conclusion of a search: optimum, recommended network, comparisons, power.

A conclusion follows from the records alone, with the budget's factor, and the baseline and its
rounding for the intervals of coefficients that give the recommended network.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

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
from scalesearch.analysis.conclusion_prose import (
    caveats_text,
    count_text,
    flat_surface_text,
    optimum_text,
    undetermined_text,
)
from scalesearch.analysis.equivalent_coefficients import equivalent_coefficients
from scalesearch.analysis.observations import (
    CandidateEstimates,
    candidate_estimates,
    validate_records,
)
from scalesearch.analysis.optimum import Optimum, curved_polynomial_fits, optimum_of_estimates
from scalesearch.analysis.paired import Accuracies, accuracies, last_epoch, may_still_win
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
from scalesearch.architectures.stages import Architecture
from scalesearch.errors import SearchError
from scalesearch.scaling.coefficients import Shares
from scalesearch.scaling.published import SCHEMES
from scalesearch.scaling.rounding import Rounding

UNEQUAL_COST_RATIO = 1.1
"""Cost of the most over the least expensive candidate above which costs are called unequal."""
INTERVAL_TOLERANCE = 0.01
"""Distance from an interval, in shares, that still counts as inside."""


@dataclass(frozen=True, slots=True)
class Conclusion:
    """The conclusion of a search at ``epoch``; intervals are of 1 - ``level``.

    ``sentence``: the conclusion in one sentence. ``candidates``: number of candidates trained to
    the end, with at most ``seeds`` seeds. ``stopped``: the candidates that were not trained to the
    end. ``cost_range``: least and greatest realised factor of the trained candidates. ``optimum``,
    ``response_model``: the estimated optimum and the surface that fits best; None if the candidates
    do not determine one, and the notes say why. ``nearest_to_optimum``: the trained candidate
    nearest to the optimum, among those that no other one clearly beats; it is compared with the
    references. ``recommended``: the cheapest to run of the candidates about as good as the best,
    chosen for ``reason``. ``equivalent_coefficients``: the intervals of alpha, beta and gamma that
    round to it at phi = 1; None if the baseline is not known. ``power``: the differences that such
    a search can detect; None if the noise is unknown.
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
    """A validated table, with results and accuracies at the last epoch."""

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
    """Draw the conclusion of a results table for a budget of ``factor``.

    ``epochs``: the last epoch, by default the table's. ``baseline``, ``rounding``: needed for
    ``equivalent_coefficients``. ``latencies``: seconds by candidate; they decide what is cheap to
    run if all are known, else activations do. ``feasible_shares``: as for ``optimum``. The order of
    rows, repeated rows and further columns change nothing. With too few candidates for an optimum
    the conclusion says so. Raises SearchError for a table without a candidate at the last epoch,
    for missing columns, values that are missing or not finite, and two accuracies of one run.
    """
    table = validate_records(records)
    results = {result.candidate: result for result in candidate_results(table, epochs=epochs)}
    last = last_epoch(table, epochs)
    evidence = _Evidence(
        table=table,
        results=results,
        accuracy=accuracies(table, last),
        estimates=candidate_estimates(table, epochs=last),
        feasible_shares=feasible_shares,
    )
    costs = [result.factor for result in results.values()]
    draft = Conclusion(
        name=name,
        sentence="",
        factor=factor,
        epoch=last,
        level=level,
        candidates=len(results),
        seeds=max(result.seeds for result in results.values()),
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
    return replace(draft, sentence=_sentence(draft))


class UndeterminedOptimum(SearchError):
    """Raised if the candidates do not determine the shares with the highest accuracy."""


def _with_optimum(
    draft: Conclusion, evidence: _Evidence, latencies: Mapping[str, float]
) -> Conclusion:
    """Add everything that follows from the surface."""
    estimates, level = evidence.estimates, draft.level
    try:
        fits = curved_polynomial_fits(estimates)
    except SearchError as error:
        raise UndeterminedOptimum(str(error)) from error
    best = optimum_of_estimates(
        estimates, draft.factor, level=level, feasible_shares=evidence.feasible_shares
    )
    may_win = [
        name for name, possible in may_still_win(evidence.accuracy, level).items() if possible
    ]
    leader = nearest_result(best.shares, may_win, evidence.results)
    bias = selection_bias(
        estimates,
        fits,
        fits[best.degree],
        leader.candidate,
        sorted(evidence.accuracy),
        evidence.feasible_shares,
    )
    compared = comparisons(
        ComparisonSide(leader.candidate, leader.shares, leader.factor),
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
    recommended, reason = _recommendation(best, fits[best.degree], as_good, leader, latencies)
    return replace(
        draft,
        optimum=best,
        response_model=fit_response_model(evidence.table, epochs=draft.epoch),
        nearest_to_optimum=leader,
        recommended=recommended,
        reason=reason,
        comparisons=compared,
        notes=(*best.notes, *_recommendation_notes(best, recommended, fits[best.degree])),
    )


def _recommendation(
    best: Optimum,
    fit: PolynomialFit,
    as_good: list[CandidateResult],
    leader: CandidateResult,
    latencies: Mapping[str, float],
) -> tuple[CandidateResult, str]:
    """Choose the cheapest to run of the candidates as good as the best, and why.

    ``as_good``: candidates within noise of the best, both on the surface and by their own runs. A
    noisier search has more of them. So if shares matter at all, the surface must also put the
    candidate within one standard error of the optimum: the usual rule for a cheaper model
    (Breiman et al. 1984, section 3.4.3).
    """
    eligible, qualifier = as_good, "within noise of the best"
    if best.p_flat <= best.level:
        qualifier = "within one standard error of the best"
        eligible = [
            result
            for result in as_good
            if surface_difference(fit, best.shares, result.shares)[0] <= best.standard_error
        ]
    if not eligible:
        return leader, "the nearest to the optimum, as no trained network is as good"
    if all(result.candidate in latencies for result in eligible):
        prices = {result.candidate: latencies[result.candidate] for result in eligible}
        criterion = "lowest latency"
    else:
        prices = {result.candidate: float(result.activations) for result in eligible}
        criterion = "fewest activations"
    chosen = min(
        eligible, key=lambda result: (prices[result.candidate], result.macs, result.candidate)
    )
    if len(eligible) == 1:
        return chosen, f"the only trained network {qualifier}"
    return chosen, f"with the {criterion} among {len(eligible)} networks {qualifier}"


def _recommendation_notes(
    best: Optimum, recommended: CandidateResult, fit: PolynomialFit
) -> tuple[str, ...]:
    """Return a note if the recommended network is not near the optimum."""
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
        "the recommended network is outside the intervals of the optimum: it is the nearest "
        f"trained network, {100 * mean:.1f} +-{100 * half_width:.1f} points below the optimum on "
        "the surface",
    )


def _references(
    table: pd.DataFrame, results: Mapping[str, CandidateResult]
) -> dict[str, ComparisonSide]:
    """Return each scheme's network, or its shares alone if it has none."""
    rows = table.drop_duplicates("candidate")
    roles = rows["role"].astype(str).str.split("+")
    sides = {}
    for name, scheme in SCHEMES.items():
        role_rows = rows[roles.map(lambda row_roles, role=name: role in row_roles)]
        if len(role_rows) > 1:
            role_rows = role_rows[role_rows["candidate"].isin(list(results))]
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
    """Return the power of the finished candidates, as if all had the most seeds."""
    estimates = evidence.estimates
    if not estimates.variance:
        return None
    compared_networks = {
        comparison.candidate or comparison.reference for comparison in draft.comparisons
    }
    compared_networks -= {draft.nearest_to_optimum.candidate} if draft.nearest_to_optimum else set()
    return statistical_power(
        estimates.shares[: estimates.finished_count],
        float(np.sqrt(estimates.variance)),
        draft.seeds,
        basis=f"the runs themselves, {estimates.df} degrees of freedom",
        comparisons=len(compared_networks),
        level=draft.level,
    )


def _best_mean_note(evidence: _Evidence) -> tuple[str, ...]:
    """Return the highest mean as a note, for want of a surface."""
    best = next(iter(evidence.results.values()))
    return (
        f"the highest mean of {len(evidence.results)} is {best.accuracy:.4f}, of {best.candidate}; "
        "the best of several is partly lucky, so this is not a conclusion",
    )


def _notes(draft: Conclusion) -> tuple[str, ...]:
    notes = []
    leader = draft.nearest_to_optimum.candidate if draft.nearest_to_optimum else None
    if draft.has_unequal_costs:
        low, high = draft.cost_range
        notes.append(
            f"candidates cost {low:.2f}x to {high:.2f}x, so the more accurate ones may only be the "
            "more expensive ones: this is not a search at equal cost"
        )
    if any(comparison.candidate != leader for comparison in draft.comparisons):
        notes.append(
            "p-values are corrected for the selection of the network by the same runs and for the "
            "number of comparisons; the interval of a difference is not corrected"
        )
    missing = set(SCHEMES) - {comparison.reference for comparison in draft.comparisons}
    if missing and draft.optimum is not None:
        notes.append(f"not compared, since no network was trained: {', '.join(sorted(missing))}")
    return tuple(notes)


def _sentence(draft: Conclusion) -> str:
    """Return the conclusion in one sentence."""
    settings = f"{count_text(draft.seeds, 'seed')} and {count_text(draft.epoch, 'epoch')}"
    networks = draft.candidates + len(draft.stopped)
    best = draft.optimum
    if best is None or draft.recommended is None:
        clause = undetermined_text(draft.candidates, settings)
    elif best.p_flat > draft.level:
        worse = [
            f"the network nearest to {comparison.reference}"
            if comparison.is_stand_in
            else comparison.reference
            for comparison in draft.comparisons
            if comparison.settled and comparison.difference > 0
        ]
        clause = flat_surface_text(
            best.p_flat, draft.factor, settings, networks, worse, draft.recommended
        )
    else:
        clause = optimum_text(
            best, draft.factor, settings, networks, draft.recommended, draft.reason
        )
    caveats = caveats_text(
        is_single_seed=best is not None and draft.seeds == 1,
        unequal_costs=draft.cost_range if draft.has_unequal_costs else None,
    )
    return f"{'; '.join([clause, *caveats])}."
