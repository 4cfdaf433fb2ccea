"""The answer against the obvious alternatives: how far ahead, how surely, and what would settle it.

Who is compared is the trained candidate nearest to the top of the surface. It is not the one with
the highest mean, whose lead is in good part its luck; what luck is left is allowed for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import stdtrit

from scalesearch.analysis.mixture import terms
from scalesearch.analysis.pairs import Accuracies, behind, paired
from scalesearch.analysis.polynomials import SCALED, Polynomial
from scalesearch.analysis.power import seeds_needed
from scalesearch.analysis.selection import Chance, p_of_lead
from scalesearch.analysis.twoway import EXACT
from scalesearch.errors import SearchError
from scalesearch.scaling import Shares

MOST_FURTHER = 100
"""Further seeds, from which on they are not counted."""
FAR = 0.1
"""Distance on the simplex, from which on a network is said to be another than was asked for."""
UNEQUAL = 0.05
"""Of the cost, from which on two networks are said to cost differently."""


@dataclass(frozen=True, slots=True)
class Side:
    """A network on one side of a comparison. ``candidate``: "" where it was not trained to the end.
    ``factor``: its cost over the baseline's, None where there is no network. ``away``: distance on
    the simplex from the reference that it stands for."""

    candidate: str
    shares: Shares
    factor: float | None
    away: float = 0.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """How far a reference is behind the answer; accuracies are fractions.

    ``candidate``: the network that stands for it, None where none was trained to the end. ``by``:
    ``runs``, paired by seed, or ``surface``. ``difference``: above 0 where the answer is ahead;
    ``low``, ``high``: its own interval of 1 - level. ``p``: two-sided, allowing for the answer's
    choice by the same runs; ``p_corrected``: also for being one of several (Holm). ``settled``: it
    is below the level. ``seeds``: behind the reference. ``further_seeds``: that would show a
    difference of this size, corrected, with a probability of 0.8; ``MOST_FURTHER`` stands for more;
    None where it is settled, is the answer's own network, or is not known from runs. ``cost``: the
    reference's over the answer's. ``away``: how far its network is from it, in shares: a baseline
    may be unable to do what a reference asks. ``words``: all that in a few.
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
    def stands_in(self) -> bool:
        """Whether the network is another than the reference's in all but name."""
        return self.away > FAR


def holm(p: Sequence[float]) -> list[float]:
    """p-values corrected for being several (Holm, Scand. J. Statist. 6, 1979)."""
    order = sorted(range(len(p)), key=lambda index: p[index])
    corrected, so_far = [0.0] * len(p), 0.0
    for place, index in enumerate(order):
        so_far = max(so_far, min(1.0, (len(p) - place) * p[index]))
        corrected[index] = so_far
    return corrected


def comparisons(
    answer: Side,
    others: Mapping[str, Side],
    accuracy: Accuracies,
    fit: Polynomial | None,
    *,
    chance: Chance | None = None,
    level: float = 0.1,
) -> tuple[Comparison, ...]:
    """The answer against each of the others, corrected for their number.

    ``accuracy``: of candidates trained to the end. ``fit``: the surface, for the others; these are
    left out where it does not tell. ``chance``: what choosing the answer by the same runs gives it.
    """
    found = [
        one
        for name, other in others.items()
        for blank in [_blank(name, answer, other, accuracy)]
        if (
            one := _itself(blank, answer)
            or _by_runs(blank, answer, accuracy, chance, level)
            or _by_surface(blank, answer, other, fit, chance, level)
        )
    ]
    # Two references may be one network, which makes one comparison.
    family = {one.candidate or one.reference: one.p for one in found}
    family.pop(answer.candidate, None)
    corrected = dict(zip(family, holm([*family.values()]), strict=True))
    needs = _Needs(paired(accuracy).variance, len(accuracy), level, len(family))
    return tuple(
        _worded(replace(one, p_corrected=p, settled=p < level), answer, needs)
        for one in found
        for p in [corrected.get(one.candidate or one.reference, 1.0)]
    )


@dataclass(frozen=True, slots=True)
class _Needs:
    """What further seeds depend on."""

    variance: float | None
    candidates: int
    level: float
    family: int

    def further(self, difference: float, seeds: int) -> int | None:
        """Seeds beyond those there are, for a difference of this size."""
        if not self.variance:
            return None
        needed = seeds_needed(
            difference, self.variance**0.5, self.candidates, level=self.level / self.family
        )
        return min(MOST_FURTHER, max(1, needed - seeds))


def _blank(name: str, answer: Side, other: Side, accuracy: Accuracies) -> Comparison:
    """A comparison that found nothing."""
    cost = other.factor / answer.factor if other.factor and answer.factor else None
    return Comparison(
        reference=name,
        candidate=other.candidate or None,
        by="runs",
        difference=0.0,
        low=0.0,
        high=0.0,
        p=1.0,
        p_corrected=1.0,
        settled=False,
        seeds=len(accuracy.get(other.candidate, ())),
        further_seeds=None,
        cost=cost,
        away=other.away,
        words="",
    )


def _itself(blank: Comparison, answer: Side) -> Comparison | None:
    return blank if blank.candidate == answer.candidate else None


def _by_runs(
    blank: Comparison, answer: Side, accuracy: Accuracies, chance: Chance | None, level: float
) -> Comparison | None:
    """None where either was not trained to the end, or no two seeds tell the noise."""
    if blank.candidate is None:
        return None
    try:
        found = behind(accuracy, answer.candidate, blank.candidate, level=level)
    except SearchError:
        return None
    p = found.p
    if found.standard_error > EXACT:
        lead = chance.lead_over(blank.candidate) if chance else 0.0
        p = p_of_lead(found.mean / found.standard_error, found.df, lead)
    return replace(blank, difference=found.mean, low=found.low, high=found.high, p=p)


def _by_surface(
    blank: Comparison,
    answer: Side,
    other: Side,
    fit: Polynomial | None,
    chance: Chance | None,
    level: float,
) -> Comparison | None:
    """None without a surface, or where the other scales an axis that no candidate does."""
    absent = [axis for axis in range(3) if fit and axis not in fit.axes]
    if fit is None or any(other.shares.as_tuple()[axis] > SCALED for axis in absent):
        return None
    mean, error = apart_on(fit, answer.shares, other.shares)
    reach = float(stdtrit(fit.df, 1 - level / 2)) * error
    p = float(abs(mean) <= EXACT)
    if error > EXACT:
        lead = chance.lead_over_shares(other.shares) if chance else 0.0
        p = p_of_lead(mean / error, fit.df, lead)
    return replace(blank, by="surface", difference=mean, low=mean - reach, high=mean + reach, p=p)


def apart_on(fit: Polynomial, one: Shares, other: Shares) -> tuple[float, float]:
    """How much higher the surface is at one place than at the other, and its standard error."""
    known = terms(np.array([one.as_tuple(), other.as_tuple()]), fit.degree, fit.axes)
    apart = known[0] - known[1]
    error = float(np.sqrt(max(0.0, apart @ fit.covariance @ apart)))
    return float(apart @ fit.coefficients), error


def _worded(one: Comparison, answer: Side, needs: _Needs) -> Comparison:
    """With what it says, and the seeds that would settle it."""
    far = f"{one.away:.2f} from it in shares" if one.stands_in else ""
    if one.candidate == answer.candidate:
        aside = f" ({far})" if far else ""
        return replace(one, words=f"is the network of {one.reference} itself{aside}")
    points, reach = 100 * abs(one.difference), 50 * (one.high - one.low)
    ahead = one.difference >= 0
    verb = ("beats" if ahead else "loses to") if one.settled else ("leads" if ahead else "trails")
    unequal = one.cost is not None and abs(one.cost - 1) > UNEQUAL
    asides = [f"its network is {far}"] if far else []
    asides += [f"{one.cost:.2f} times its cost"] if unequal else []
    name = f"{one.reference} ({', '.join(asides)})" if asides else one.reference
    words = f"{verb} {name} by {points:.1f} +-{reach:.1f} points"
    words += ", by the surface" if one.by == "surface" else ""
    if one.settled:
        return replace(one, words=words)
    further = needs.further(one.difference, one.seeds) if one.by == "runs" else None
    words += " (not significant"
    if further is not None and further >= MOST_FURTHER:
        words += f"; to show so little would take {MOST_FURTHER} further seeds or more"
    elif further is not None:
        words += (
            f"; {further} further seed{'s' if further > 1 else ''} would show it, if it is real"
        )
    return replace(one, words=f"{words})", further_seeds=further)
