"""Whether a search may stop: its answer is sure enough, or more of it would gain nothing."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import ndtr

from scalesearch.analysis.mixture import AXES, lattice, terms
from scalesearch.analysis.observations import Observations, observations
from scalesearch.analysis.optimum import Optimum, curved, of_observations
from scalesearch.analysis.polynomials import SCALED, Polynomial
from scalesearch.analysis.twoway import Floats
from scalesearch.errors import SearchError

FEWEST = 10
"""Candidates behind a quadratic surface of six terms before anything is called settled."""


@dataclass(frozen=True, slots=True)
class Settled:
    """``reason``: in words, whichever way. ``widths``: of the intervals of the three shares.
    ``expected_gain``: in accuracy, of the best place not seen over the best candidate seen.
    ``noise``: standard error of a candidate's mean. ``optimum``: what they come from. Nothing of
    these is known while candidates are too few.
    """

    settled: bool
    reason: str
    widths: dict[str, float]
    expected_gain: float | None
    noise: float | None
    optimum: Optimum | None

    def __bool__(self) -> bool:
        return self.settled


def settled(
    records: pd.DataFrame,
    factor: float,
    *,
    width: float | None = None,
    gain: bool | None = None,
    level: float = 0.1,
    epochs: int | None = None,
    within: Floats | None = None,
) -> Settled:
    """Whether the answer of a results table is settled, by one of the rules asked for.

    ``width``: the widest of the three shares' intervals (of 1 - ``level``) is narrower than this.
    ``gain``: the improvement still to be expected of an unseen candidate is less than the noise.
    ``epochs``, ``within``: as for ``optimum``; a baseline that cannot scale an axis needs
    ``within`` to say so, or the search might only not have come to it. Too few candidates settle
    nothing, and raise nothing: the reason says so. Some hundredths of a second for tens of
    candidates.
    """
    try:
        observed = observations(records, epochs=epochs)
        fits = curved(observed)
    except SearchError as error:
        return _open(str(error))
    if len(observed.candidates) < FEWEST:
        return _open(f"need at least {FEWEST} candidates, got {len(observed.candidates)}")
    if untried := _untried(fits, within):
        return _open(f"no candidate has tried to scale {' or '.join(untried)}")
    found = of_observations(observed, factor, level=level, within=within)
    fit = fits[found.degree]
    noise = _noise(observed, fit)
    expected = expected_gain(observed, fit, lattice(fit.axes) if within is None else within)
    widths = {axis: interval.width for axis, interval in found.share_intervals.items()}
    widest = max(widths, key=lambda axis: widths[axis])
    narrow = width is not None and widths[widest] < width
    idle = bool(gain) and expected < noise
    words = []
    if width is not None:
        comparison = "less" if narrow else "not less"
        words.append(
            f"the {widest} share is known to {widths[widest]:.2f}, {comparison} than {width:g}"
        )
    if gain:
        comparison = "less" if idle else "not less"
        words.append(
            f"another candidate may be expected to gain {expected:.4f}, {comparison} than the "
            f"noise, {noise:.4f}"
        )
    reason = "; ".join(words) or "no rule was asked for"
    return Settled(narrow or idle, reason, widths, expected, noise, found)


def expected_gain(observed: Observations, fit: Polynomial, places_N3: Floats) -> float:
    """Expected improvement of the best of these places over the best candidate seen, in accuracy.

    A network deviates from the surface (``fit.deviation``), the best one seen for the better, and
    a new one as chance will have it. With a single seed, deviation cannot be told from noise, and
    counts as noise.
    """
    deviation = 0.0 if observed.variance is None else fit.deviation
    known = terms(observed.shares, fit.degree, fit.axes)
    credit = deviation / (deviation + observed.noise)
    values = known @ fit.coefficients + credit * fit.residuals
    best = int(np.argmax(values))
    places = terms(places_N3, fit.degree, fit.axes)
    apart = places - known[best]
    variance = np.einsum("np,pq,nq->n", apart, fit.covariance, apart)
    error = np.sqrt(np.maximum(variance, 0) + deviation * (2 - credit[best]))
    error = np.maximum(error, 1e-12)
    lead = places @ fit.coefficients - values[best]
    standard = lead / error
    density = np.exp(-np.square(standard) / 2) / np.sqrt(2 * np.pi)
    return float((lead * ndtr(standard) + error * density).max())


def _untried(fits: dict[str, Polynomial], within: Floats | None) -> list[str]:
    """Axes that can be scaled, as far as is known, and that no candidate scales."""
    (tried, *_) = (fit.axes for fit in fits.values())
    return [
        axis
        for index, axis in enumerate(AXES)
        if index not in tried and (within is None or within[:, index].max() > SCALED)
    ]


def _noise(observed: Observations, fit: Polynomial) -> float:
    """Standard error of the mean of a candidate with the most seeds."""
    if observed.variance is None:
        return float(np.sqrt(fit.deviation))
    return float(np.sqrt(observed.variance / observed.seeds.max()))


def _open(reason: str) -> Settled:
    return Settled(False, reason, {}, None, None, None)
