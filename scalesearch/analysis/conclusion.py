"""Everything that a results table says about how to scale, in one place.

It is of records alone, with a few plain facts beside them: the factor, and the baseline with its
rounding where the coefficients that are one network are to be told.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from scalesearch.analysis.answer import Result, Stopped, stopped, summary
from scalesearch.analysis.checked import checked
from scalesearch.analysis.comparisons import Comparison, Side, apart_on, comparisons
from scalesearch.analysis.mixture import AXES
from scalesearch.analysis.observations import Observations, observations
from scalesearch.analysis.optimum import Optimum, curved, of_observations
from scalesearch.analysis.pairs import Accuracies, accuracies, may_still_win
from scalesearch.analysis.polynomials import Polynomial
from scalesearch.analysis.power import Power, power_of
from scalesearch.analysis.same_network import same_network
from scalesearch.analysis.selection import chance, nearest
from scalesearch.analysis.sentences import sentence
from scalesearch.analysis.surface import Surface, surface
from scalesearch.analysis.twoway import Floats
from scalesearch.architectures import Architecture, Foreign
from scalesearch.errors import SearchError
from scalesearch.published import SCHEMES
from scalesearch.rounding import Rounding
from scalesearch.scaling import Shares

UNEQUAL = 1.1
"""Dearest over cheapest candidate, from which on a search is no comparison at equal cost."""
NEAR = 0.01
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
    costs: tuple[float, float]
    stopped: tuple[Stopped, ...] = ()
    optimum: Optimum | None = None
    surface: Surface | None = None
    answer: Result | None = None
    recommended: Result | None = None
    why: str = ""
    same_network: dict[str, tuple[float, float]] | None = None
    comparisons: tuple[Comparison, ...] = ()
    power: Power | None = None
    notes: tuple[str, ...] = ()

    @property
    def unequal(self) -> bool:
        """Whether the candidates cost too differently to be compared at equal cost."""
        return self.costs[1] > UNEQUAL * self.costs[0]


@dataclass(frozen=True, slots=True)
class _Seen:
    """A checked table, and what is made of it; ``results``, ``accuracy``: at the last epoch."""

    table: pd.DataFrame
    results: dict[str, Result]
    accuracy: Accuracies
    observed: Observations
    within: Floats | None


def conclusion(
    records: pd.DataFrame,
    factor: float,
    *,
    name: str = "",
    epochs: int | None = None,
    level: float = 0.1,
    baseline: Architecture | Foreign | None = None,
    rounding: Rounding | None = None,
    latencies: Mapping[str, float] | None = None,
    within: Floats | None = None,
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
    table = checked(records)
    results = {one.candidate: one for one in summary(table, epochs=epochs)}
    last = epochs or int(table["epoch"].max())
    seen = _Seen(
        table=table,
        results=results,
        accuracy=accuracies(table, last),
        observed=observations(table, epochs=last),
        within=within,
    )
    costs = [one.factor for one in results.values()]
    found = Conclusion(
        name=name,
        sentence="",
        factor=factor,
        epoch=last,
        level=level,
        candidates=len(results),
        seeds=max(one.seeds for one in results.values()),
        costs=(min(costs), max(costs)),
        stopped=stopped(table, epochs=last),
    )
    try:
        found = _estimated(found, seen, latencies or {})
    except Undetermined as error:
        found = replace(found, notes=(str(error), *_luckiest(seen)))
    best = found.recommended
    if best is not None and isinstance(baseline, Architecture) and rounding is not None:
        same = same_network(baseline, rounding, best.multipliers)
        found = replace(found, same_network=same)
    found = replace(found, power=_power(found, seen), notes=(*found.notes, *_notes(found)))
    return replace(found, sentence=sentence(found))


class Undetermined(SearchError):
    """Candidates that do not determine where accuracy is highest."""


def _estimated(found: Conclusion, seen: _Seen, latencies: Mapping[str, float]) -> Conclusion:
    """With all that comes from the surface."""
    observed, level = seen.observed, found.level
    try:
        fits = curved(observed)
    except SearchError as error:
        raise Undetermined(str(error)) from error
    best = of_observations(observed, found.factor, level=level, within=seen.within)
    may_win = [name for name, may in may_still_win(seen.accuracy, level).items() if may]
    answer = nearest(best.shares, may_win, seen.results)
    lucky = chance(
        observed, fits, fits[best.degree], answer.candidate, sorted(seen.accuracy), seen.within
    )
    told = comparisons(
        Side(answer.candidate, answer.shares, answer.factor),
        _references(seen.table, seen.results),
        seen.accuracy,
        fits[best.degree],
        chance=lucky,
        level=level,
    )
    worse = {one.candidate for one in told if one.settled and one.difference > 0}
    left = [name for name in may_win if name not in worse]
    alike = [seen.results[name] for name in best.flat_candidates if name in left]
    recommended, why = _recommended(best, fits[best.degree], alike, answer, latencies)
    shape = surface(seen.table, epochs=found.epoch)
    return replace(
        found,
        optimum=best,
        surface=shape,
        answer=answer,
        recommended=recommended,
        why=why,
        comparisons=told,
        notes=(*best.notes, *_shortfall(best, recommended, fits[best.degree])),
    )


def _recommended(
    best: Optimum,
    fit: Polynomial,
    alike: list[Result],
    answer: Result,
    latencies: Mapping[str, float],
) -> tuple[Result, str]:
    """The cheapest to run of those trained candidates that cannot be told from the best, neither by
    where they are on the surface nor by their own runs.

    The noisier a search, the more of them there are, so where shares matter at all the surface has
    to put it within one standard error of the optimum, too: the customary rule for a cheaper model
    (Breiman et al. 1984, section 3.4.3).
    """
    near, within = alike, "that cannot be told from the best"
    if best.p_flat <= best.level:
        within = "within one standard error of the best"
        near = [
            one for one in alike if apart_on(fit, best.shares, one.shares)[0] <= best.standard_error
        ]
    if not near:
        return answer, "the nearest to the optimum, as none trained to the end is as good"
    if all(one.candidate in latencies for one in near):
        cheap, what = {one.candidate: latencies[one.candidate] for one in near}, "lowest latency"
    else:
        cheap, what = {one.candidate: one.activations for one in near}, "fewest activations"
    chosen = min(near, key=lambda one: (cheap[one.candidate], one.macs, one.candidate))
    if len(near) == 1:
        return chosen, f"the only one trained to the end {within}"
    return chosen, f"the {what} of {len(near)} {within}"


def _shortfall(best: Optimum, recommended: Result, fit: Polynomial) -> tuple[str, ...]:
    """What is known of a recommended network that is not where the optimum is thought to be."""
    inside = all(
        one.low - NEAR <= getattr(recommended.shares, axis) <= one.high + NEAR
        for axis, one in best.share_intervals.items()
    )
    mean, error = apart_on(fit, best.shares, recommended.shares)
    if inside or best.p_flat > best.level or mean <= best.standard_error:
        return ()
    reach = float(stdtrit(fit.df, 1 - best.level / 2)) * error
    return (
        "the recommended network is outside of the optimum's intervals: it is the nearest that was "
        f"trained, and behind by {100 * mean:.1f} +-{100 * reach:.1f} points on the surface",
    )


def _references(table: pd.DataFrame, results: Mapping[str, Result]) -> dict[str, Side]:
    """Each known scheme: the network that stands for it, trained to the end or not, or its shares
    alone."""
    rows = table.drop_duplicates("candidate")
    found = {}
    for name, scheme in SCHEMES.items():
        plays = rows["role"].astype(str).str.split("+").map(lambda roles, one=name: one in roles)
        named = rows[plays]
        named = named[named["candidate"].isin(list(results))] if len(named) > 1 else named
        if named.empty:
            found[name] = Side("", scheme.shares, None)
            continue
        first = named.iloc[0]
        shares = Shares(*(float(first[f"{axis}_share"]) for axis in AXES))
        trained = str(first["candidate"]) if first["candidate"] in results else ""
        found[name] = Side(trained, shares, float(first["factor"]), shares.distance(scheme.shares))
    return found


def _power(found: Conclusion, seen: _Seen) -> Power | None:
    """Of the candidates trained to the end, as if all had the most seeds."""
    observed = seen.observed
    if not observed.variance:
        return None
    family = {one.candidate or one.reference for one in found.comparisons}
    family -= {found.answer.candidate} if found.answer else set()
    return power_of(
        observed.shares[: observed.finished],
        float(np.sqrt(observed.variance)),
        found.seeds,
        basis=f"the runs themselves, {observed.df} degrees of freedom",
        comparisons=len(family),
        level=found.level,
    )


def _luckiest(seen: _Seen) -> tuple[str, ...]:
    """Without a surface, the highest mean, called what it is."""
    best = next(iter(seen.results.values()))
    return (
        f"the highest mean of {len(seen.results)} is {best.accuracy:.4f}, of {best.candidate}; "
        "the luckiest of several is flattered, so this is no answer",
    )


def _notes(found: Conclusion) -> tuple[str, ...]:
    notes, own = [], found.answer.candidate if found.answer else None
    if found.unequal:
        low, high = found.costs
        notes.append(
            f"candidates cost from {low:.2f}x to {high:.2f}x, so the more accurate may only be the "
            "dearer ones: this is no search at equal cost"
        )
    if any(one.candidate != own for one in found.comparisons):
        notes.append(
            "p-values allow for the answer's choice by the same runs and for the number of "
            "comparisons; the interval of a difference is of that one alone"
        )
    untold = set(SCHEMES) - {one.reference for one in found.comparisons}
    if untold and found.optimum is not None:
        notes.append(f"nothing is known of {', '.join(sorted(untold))}: none was trained so")
    return tuple(notes)
