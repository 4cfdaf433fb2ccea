"""Accuracy against cost: saturating power laws, along one direction or several from one baseline.

error = floor + scale * C^(-exponent), with C the cost as a multiple of the baseline's, and floor,
scale and exponent at least 0. Bands are of a bootstrap with normal errors: the seeds' noise, and
the networks' own deviation from any smooth law, which the fit leaves over.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from scalesearch.analysis.mixture import AXES
from scalesearch.analysis.observations import SHARES
from scalesearch.analysis.optimum import Interval
from scalesearch.analysis.pairs import accuracies
from scalesearch.analysis.powers import PARAMETERS, errors_at, power_laws
from scalesearch.analysis.twoway import Floats, two_way
from scalesearch.errors import SearchError

FEWEST = PARAMETERS + 1
"""Different costs: three determine a law, and nothing then tells how far networks stray from it."""
REPEATS = 1000
PURE = 0.9
"""Share of an axis from which on a network is said to lie along it."""
SAME = 1e-3
"""Costs that differ by less, as a part of themselves, are one."""


@dataclass(frozen=True, slots=True)
class Law:
    """Of one ``direction``. ``floor``, ``scale``, ``exponent``: with intervals of 1 - ``level``.

    ``factors``, ``accuracies``: what it was fitted to, by rising cost. ``noise``: variance of one
    run; ``deviation``: of a network about the law, beyond its noise. ``draws`` (B, 3): floor, scale
    and exponent of tables that might as well have come. ``rises``: whether accuracy rises with
    cost at all; where it does not, the law is a constant.
    """

    direction: str
    floor: Interval
    scale: Interval
    exponent: Interval
    factors: tuple[float, ...]
    accuracies: tuple[float, ...]
    noise: float
    deviation: float
    level: float
    draws: Floats = field(repr=False, compare=False)

    @property
    def rises(self) -> bool:
        return self.scale.value > 0

    def accuracy(self, factor: float) -> Interval:
        """Mean accuracy at so many times the baseline's cost, in the mean seed, with its band."""
        return self._at(factor, 0.0)

    def prediction(self, factor: float, seeds: int = 1) -> Interval:
        """Of one network there, trained with so many seeds: the band and its own chances."""
        return self._at(factor, self.deviation + self.noise / seeds)

    def at_phi(self, phi: float, factor: float = 2.0) -> Interval:
        """Mean accuracy at ``factor`` ** ``phi`` times the baseline's cost."""
        return self.accuracy(factor**phi)

    def rows(self, factors: Sequence[float]) -> list[dict[str, Any]]:
        """The curve with its band, flat."""
        bands = [(factor, self.accuracy(factor)) for factor in factors]
        return [
            {
                "direction": self.direction,
                "factor": factor,
                "accuracy": band.value,
                "accuracy_low": band.low,
                "accuracy_high": band.high,
            }
            for factor, band in bands
        ]

    @property
    def row(self) -> dict[str, Any]:
        """The law itself, flat."""
        row: dict[str, Any] = {"direction": self.direction, "networks": len(self.factors)}
        for name in ("floor", "scale", "exponent"):
            one: Interval = getattr(self, name)
            row |= {name: one.value, f"{name}_low": one.low, f"{name}_high": one.high}
        return row | {"deviation": self.deviation**0.5, "rises": self.rises}

    def _at(self, factor: float, variance: float) -> Interval:
        if not factor > 0:
            raise SearchError(f"law of {self.direction}: need a cost above 0, got {factor}")
        known = self.floor.value, self.scale.value, self.exponent.value
        value = 1 - errors_at(np.array(known)[None], factor)[0]
        drawn = 1 - errors_at(self.draws, factor)
        if variance > 0:
            drawn = drawn + np.random.default_rng(1).normal(0, variance**0.5, len(drawn))
        return _interval(float(value), drawn, self.level)


@dataclass(frozen=True, slots=True)
class HeldOut:
    """A network that was kept from the fit: ``predicted`` for it, what it came to, and whether
    that lies within. ``seeds``: behind ``observed``."""

    direction: str
    factor: float
    predicted: Interval
    observed: float
    seeds: int

    @property
    def inside(self) -> bool:
        return self.predicted.low <= self.observed <= self.predicted.high

    @property
    def row(self) -> dict[str, Any]:
        return {
            "direction": self.direction,
            "factor": self.factor,
            "predicted": self.predicted.value,
            "predicted_low": self.predicted.low,
            "predicted_high": self.predicted.high,
            "observed": self.observed,
            "seeds": self.seeds,
            "inside": self.inside,
        }


@dataclass(frozen=True, slots=True)
class Measured:
    """Networks of a table at one epoch, by rising cost: names, ``factors``, mean ``accuracies`` in
    the mean seed, ``seeds`` behind each; ``noise`` of a run, None for a single seed."""

    names: tuple[str, ...]
    factors: Floats
    accuracies: Floats
    seeds: Floats
    noise: float | None


def measured(records: pd.DataFrame, *, epochs: int | None = None) -> Measured:
    """What a table tells of its networks at the last epoch, or at ``epochs``.

    Raises SearchError for an empty table, and for costs or accuracies that are not finite.
    """
    last = epochs or (int(records["epoch"].max()) if len(records) else 0)
    final = records[records["epoch"] == last]
    if final.empty:
        raise SearchError(f"records: need networks with epoch {last}, got none; run the search")
    table = two_way(accuracies(final, last))
    factors = final.drop_duplicates("candidate").set_index("candidate")["factor"]
    costs = factors.loc[list(table.rows)].to_numpy(dtype=np.float64)
    if not (np.isfinite(costs) & (costs > 0)).all():
        raise SearchError("records: need costs above 0 for all networks, got some that are not")
    order = np.lexsort((np.array(table.rows), costs))
    return Measured(
        names=tuple(table.rows[place] for place in order),
        factors=costs[order],
        accuracies=table.row_effects[order],
        seeds=table.filled.sum(axis=1)[order],
        noise=table.variance,
    )


def laws(
    records: pd.DataFrame,
    directions: Mapping[str, Sequence[str]] | None = None,
    *,
    epochs: int | None = None,
    level: float = 0.1,
) -> dict[str, Law]:
    """The law of each direction that has enough networks.

    ``directions``: names of candidates by direction; by default those of ``directions_of``. Errors
    of a network that several directions share, as they do the baseline, are drawn once. Raises
    SearchError where no direction has enough.
    """
    known = measured(records, epochs=epochs)
    groups = directions_of(records) if directions is None else directions
    random = np.random.default_rng(0)
    chance_BN = random.normal(size=(REPEATS, len(known.names)))
    found, reasons = {}, []
    for direction, names in groups.items():
        places = [place for place, name in enumerate(known.names) if name in set(names)]
        try:
            found[direction] = _law(direction, known, places, chance_BN, level)
        except SearchError as error:
            reasons.append(str(error))
    if not found:
        raise SearchError(
            "; ".join(reasons) or "records: need networks along a direction, got none"
        )
    return found


def law(
    records: pd.DataFrame,
    direction: str = "all",
    *,
    epochs: int | None = None,
    level: float = 0.1,
) -> Law:
    """One law for all networks of a table: the members of a family, or one arm of a star."""
    names = sorted({str(name) for name in records["candidate"]})
    return laws(records, {direction: names}, epochs=epochs, level=level)[direction]


def held_out(
    records: pd.DataFrame,
    factor: float,
    direction: str = "all",
    *,
    epochs: int | None = None,
    level: float = 0.1,
) -> HeldOut:
    """Whether the law of the networks that cost less than ``factor`` predicts the cheapest of the
    others. Raises SearchError where either are too few."""
    known = measured(records, epochs=epochs)
    larger = [place for place, cost in enumerate(known.factors) if cost >= factor * (1 - SAME)]
    if not larger:
        raise SearchError(
            f"law of {direction}: need a network of at least {factor:g}x to hold out, got at most "
            f"{known.factors.max():g}x"
        )
    smaller = records[records["candidate"].isin(known.names[: larger[0]])]
    fitted, place = law(smaller, direction, epochs=epochs, level=level), larger[0]
    seeds = int(known.seeds[place])
    cost = float(known.factors[place])
    accuracy = float(known.accuracies[place])
    return HeldOut(direction, cost, fitted.prediction(cost, seeds), accuracy, seeds)


def directions_of(records: pd.DataFrame) -> dict[str, list[str]]:
    """The networks of a star by axis: those with ``PURE`` of their cost on it; and, as "compound",
    those that spend on all three. The baseline, which spends nothing, begins each of them."""
    rows = records.drop_duplicates("candidate")
    base = [str(name) for name in rows.loc[(rows["factor"] - 1).abs() < SAME, "candidate"]]
    rest = rows[~rows["candidate"].isin(base)]
    found = {
        axis: [str(name) for name in rest.loc[rest[column] >= PURE, "candidate"]]
        for axis, column in zip(AXES, SHARES, strict=True)
    }
    mixed = (rest[SHARES] > 1 - PURE).all(axis=1)
    found["compound"] = [str(name) for name in rest.loc[mixed, "candidate"]]
    return {name: [*base, *names] for name, names in found.items() if names}


def _law(
    direction: str, known: Measured, places: Sequence[int], chance_BN: Floats, level: float
) -> Law:
    factors, values = known.factors[places], 1 - known.accuracies[places]
    costs = 1 + int((np.diff(factors) > SAME * factors[1:]).sum()) if len(places) else 0
    if costs < FEWEST:
        raise SearchError(
            f"law of {direction}: need networks of at least {FEWEST} different costs, got {costs}"
        )
    noise = (known.noise or 0.0) / known.seeds[places]
    fitted = power_laws(factors, values[None])[0]
    left = values - errors_at(fitted[None], factors)[0]
    spare = len(places) - PARAMETERS
    deviation = max(0.0, float(np.square(left).sum()) / spare - float(noise.mean()))
    errors = chance_BN[:, places] * np.sqrt(noise + deviation)
    if deviation > 0:  # it is known from few networks, and itself uncertain
        doubt = np.random.default_rng(2).chisquare(spare, (len(chance_BN), 1))
        errors = errors * np.sqrt(spare / doubt)
    drawn = values - left + errors
    draws = power_laws(factors, drawn)
    floor, scale, exponent = (
        _interval(float(fitted[place]), draws[:, place], level) for place in range(PARAMETERS)
    )
    return Law(
        direction,
        floor,
        scale,
        exponent,
        factors=tuple(map(float, factors)),
        accuracies=tuple(map(float, 1 - values)),
        noise=known.noise or 0.0,
        deviation=deviation,
        level=level,
        draws=draws,
    )


def _interval(value: float, drawn: Floats, level: float) -> Interval:
    low, high = np.quantile(drawn, [level / 2, 1 - level / 2])
    return Interval(value, float(min(low, value)), float(max(high, value)))
