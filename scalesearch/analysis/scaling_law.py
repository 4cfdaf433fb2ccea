"""Saturating power laws, fitted by least squares: error = floor + scale * cost^(-exponent).

For a given exponent the rest is linear, so a grid of exponents is tried, and the best then refined:
there is no start to choose, and no local minimum to be caught in.

Accuracy against cost: saturating power laws, along one direction or several from one baseline.

error = floor + scale * C^(-exponent), with C the cost as a multiple of the baseline's, and floor,
scale and exponent at least 0. Bands are of a bootstrap with normal errors: the seeds' noise, and
the networks' own deviation from any smooth law, which the fit leaves over.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from scalesearch.analysis.additive_model import Floats, additive_model
from scalesearch.analysis.observations import SHARES
from scalesearch.analysis.optimum import Interval
from scalesearch.analysis.paired import accuracies
from scalesearch.analysis.polynomials import AXES
from scalesearch.errors import SearchError

EXPONENTS = np.geomspace(0.01, 4.0, 40)
NUM_PARAMETERS = 3


def power_law_errors(laws_B3: Floats, factors: Floats | float) -> Floats:
    """What laws (floor, scale, exponent) come to: (B,) at one cost, (B, N) at several."""
    floor, scale, exponent = laws_B3.T
    if np.ndim(factors):
        floor, scale, exponent = floor[:, None], scale[:, None], exponent[:, None]
    error: Floats = floor + scale * np.asarray(factors, dtype=np.float64) ** -exponent
    return error


def fit_power_laws(factors_N: Floats, errors_BN: Floats) -> Floats:
    """Floor, scale and exponent of each row of errors at these costs by least squares, (B, 3)."""
    fits = np.stack(
        [_fit_floor_and_scale(factors_N, errors_BN, np.full(len(errors_BN), c)) for c in EXPONENTS]
    )
    best: Floats = fits[np.argmin(fits[:, :, 3], axis=0), np.arange(len(errors_BN))]
    step = float(np.log(EXPONENTS[1] / EXPONENTS[0]))
    while step > 1e-4:
        for shift in (-step, step):
            exponents = np.clip(best[:, 2] * np.exp(shift), EXPONENTS[0], EXPONENTS[-1])
            refit = _fit_floor_and_scale(factors_N, errors_BN, exponents)
            best = np.where((refit[:, 3] < best[:, 3])[:, None], refit, best)
        step /= 1.6
    return best[:, :3]


def _fit_floor_and_scale(factors_N: Floats, errors_BN: Floats, exponent_B: Floats) -> Floats:
    """Floor and scale for given exponents, neither below 0; (B, 4) with the squares left over."""
    x = factors_N[None] ** -exponent_B[:, None]
    mean_x, mean_y = x.mean(axis=1), errors_BN.mean(axis=1)
    spread = np.square(x - mean_x[:, None]).sum(axis=1)
    slope = ((x - mean_x[:, None]) * errors_BN).sum(axis=1) / np.maximum(spread, 1e-30)
    slope_without_floor = (x * errors_BN).sum(axis=1) / np.square(x).sum(axis=1)  # without a floor
    scale = np.where(mean_y - slope * mean_x < 0, slope_without_floor, slope)
    scale = np.maximum(scale, 0.0)
    floor = np.maximum(mean_y - scale * mean_x, 0.0)
    squared_error = np.square(errors_BN - floor[:, None] - scale[:, None] * x).sum(axis=1)
    return np.stack([floor, scale, exponent_B, squared_error], axis=1)


MIN_COSTS = NUM_PARAMETERS + 1
"""Different costs: three determine a law, and nothing then tells how far networks stray from it."""
BOOTSTRAP_SAMPLES = 1000
MIN_AXIS_SHARE = 0.9
"""Share of an axis from which on a network is said to lie along it."""
COST_TOLERANCE = 1e-3
"""Costs that differ by less, as a part of themselves, are one."""


@dataclass(frozen=True, slots=True)
class ScalingLaw:
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
    noise_variance: float
    deviation: float
    level: float
    draws: Floats = field(repr=False, compare=False)

    @property
    def is_rising(self) -> bool:
        return self.scale.value > 0

    def accuracy(self, factor: float) -> Interval:
        """Mean accuracy at so many times the baseline's cost, in the mean seed, with its band."""
        return self._interval_at(factor, 0.0)

    def prediction(self, factor: float, seeds: int = 1) -> Interval:
        """Of one network there, trained with so many seeds: the band and its own chances."""
        return self._interval_at(factor, self.deviation + self.noise_variance / seeds)

    def at_phi(self, phi: float, factor: float = 2.0) -> Interval:
        """Mean accuracy at ``factor`` ** ``phi`` times the baseline's cost."""
        return self.accuracy(factor**phi)

    def curve_rows(self, factors: Sequence[float]) -> list[dict[str, Any]]:
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
            interval: Interval = getattr(self, name)
            row |= {
                name: interval.value,
                f"{name}_low": interval.low,
                f"{name}_high": interval.high,
            }
        return row | {"deviation": self.deviation**0.5, "rises": self.is_rising}

    def _interval_at(self, factor: float, variance: float) -> Interval:
        if not factor > 0:
            raise SearchError(f"law of {self.direction}: need a cost above 0, got {factor}")
        parameters = self.floor.value, self.scale.value, self.exponent.value
        value = 1 - power_law_errors(np.array(parameters)[None], factor)[0]
        draws = 1 - power_law_errors(self.draws, factor)
        if variance > 0:
            draws = draws + np.random.default_rng(1).normal(0, variance**0.5, len(draws))
        return _quantile_interval(float(value), draws, self.level)


@dataclass(frozen=True, slots=True)
class HeldOutNetwork:
    """A network that was kept from the fit: ``predicted`` for it, what it came to, and whether
    that lies within. ``seeds``: behind ``observed``."""

    direction: str
    factor: float
    predicted: Interval
    observed: float
    seeds: int

    @property
    def is_inside(self) -> bool:
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
            "inside": self.is_inside,
        }


@dataclass(frozen=True, slots=True)
class MeasuredNetworks:
    """Networks of a table at one epoch, by rising cost: names, ``factors``, mean ``accuracies`` in
    the mean seed, ``seeds`` behind each; ``noise`` of a run, None for a single seed."""

    names: tuple[str, ...]
    factors: Floats
    accuracies: Floats
    seeds: Floats
    noise_variance: float | None


def measured_networks(records: pd.DataFrame, *, epochs: int | None = None) -> MeasuredNetworks:
    """What a table tells of its networks at the last epoch, or at ``epochs``.

    Raises SearchError for an empty table, and for costs or accuracies that are not finite.
    """
    last = epochs or (int(records["epoch"].max()) if len(records) else 0)
    final = records[records["epoch"] == last]
    if final.empty:
        raise SearchError(f"records: need networks with epoch {last}, got none; run the search")
    table = additive_model(accuracies(final, last))
    factors = final.drop_duplicates("candidate").set_index("candidate")["factor"]
    costs = factors.loc[list(table.rows)].to_numpy(dtype=np.float64)
    if not (np.isfinite(costs) & (costs > 0)).all():
        raise SearchError("records: need costs above 0 for all networks, got some that are not")
    order = np.lexsort((np.array(table.rows), costs))
    return MeasuredNetworks(
        names=tuple(table.rows[index] for index in order),
        factors=costs[order],
        accuracies=table.row_effects[order],
        seeds=table.has_value.sum(axis=1)[order],
        noise_variance=table.variance,
    )


def fit_scaling_laws(
    records: pd.DataFrame,
    directions: Mapping[str, Sequence[str]] | None = None,
    *,
    epochs: int | None = None,
    level: float = 0.1,
) -> dict[str, ScalingLaw]:
    """The law of each direction that has enough networks.

    ``directions``: names of candidates by direction; by default those of ``directions_of``. Errors
    of a network that several directions share, as they do the baseline, are drawn once. Raises
    SearchError where no direction has enough.
    """
    networks = measured_networks(records, epochs=epochs)
    groups = networks_by_direction(records) if directions is None else directions
    rng = np.random.default_rng(0)
    normals_BN = rng.normal(size=(BOOTSTRAP_SAMPLES, len(networks.names)))
    fitted, failures = {}, []
    for direction, names in groups.items():
        indices = [index for index, name in enumerate(networks.names) if name in set(names)]
        try:
            fitted[direction] = _fit_direction(direction, networks, indices, normals_BN, level)
        except SearchError as error:
            failures.append(str(error))
    if not fitted:
        raise SearchError(
            "; ".join(failures) or "records: need networks along a direction, got none"
        )
    return fitted


def fit_scaling_law(
    records: pd.DataFrame,
    direction: str = "all",
    *,
    epochs: int | None = None,
    level: float = 0.1,
) -> ScalingLaw:
    """One law for all networks of a table: the members of a family, or one arm of a star."""
    names = sorted({str(name) for name in records["candidate"]})
    return fit_scaling_laws(records, {direction: names}, epochs=epochs, level=level)[direction]


def held_out_network(
    records: pd.DataFrame,
    factor: float,
    direction: str = "all",
    *,
    epochs: int | None = None,
    level: float = 0.1,
) -> HeldOutNetwork:
    """Whether the law of the networks that cost less than ``factor`` predicts the cheapest of the
    others. Raises SearchError where either are too few."""
    networks = measured_networks(records, epochs=epochs)
    larger_indices = [
        index
        for index, cost in enumerate(networks.factors)
        if cost >= factor * (1 - COST_TOLERANCE)
    ]
    if not larger_indices:
        raise SearchError(
            f"law of {direction}: need a network of at least {factor:g}x to hold out, got at most "
            f"{networks.factors.max():g}x"
        )
    smaller = records[records["candidate"].isin(networks.names[: larger_indices[0]])]
    fitted, place = (
        fit_scaling_law(smaller, direction, epochs=epochs, level=level),
        larger_indices[0],
    )
    seeds = int(networks.seeds[place])
    cost = float(networks.factors[place])
    accuracy = float(networks.accuracies[place])
    return HeldOutNetwork(direction, cost, fitted.prediction(cost, seeds), accuracy, seeds)


def networks_by_direction(records: pd.DataFrame) -> dict[str, list[str]]:
    """The networks of a star by axis: those with ``PURE`` of their cost on it; and, as "compound",
    those that spend on all three. The baseline, which spends nothing, begins each of them."""
    rows = records.drop_duplicates("candidate")
    baseline_names = [
        str(name) for name in rows.loc[(rows["factor"] - 1).abs() < COST_TOLERANCE, "candidate"]
    ]
    rest = rows[~rows["candidate"].isin(baseline_names)]
    directions = {
        axis: [str(name) for name in rest.loc[rest[column] >= MIN_AXIS_SHARE, "candidate"]]
        for axis, column in zip(AXES, SHARES, strict=True)
    }
    is_compound = (rest[SHARES] > 1 - MIN_AXIS_SHARE).all(axis=1)
    directions["compound"] = [str(name) for name in rest.loc[is_compound, "candidate"]]
    return {name: [*baseline_names, *names] for name, names in directions.items() if names}


def _fit_direction(
    direction: str,
    networks: MeasuredNetworks,
    indices: Sequence[int],
    normals_BN: Floats,
    level: float,
) -> ScalingLaw:
    factors, values = networks.factors[indices], 1 - networks.accuracies[indices]
    distinct_costs = (
        1 + int((np.diff(factors) > COST_TOLERANCE * factors[1:]).sum()) if len(indices) else 0
    )
    if distinct_costs < MIN_COSTS:
        raise SearchError(
            f"law of {direction}: need networks of at least {MIN_COSTS} different costs, got {distinct_costs}"
        )
    noise = (networks.noise_variance or 0.0) / networks.seeds[indices]
    fitted = fit_power_laws(factors, values[None])[0]
    residuals = values - power_law_errors(fitted[None], factors)[0]
    df = len(indices) - NUM_PARAMETERS
    deviation = max(0.0, float(np.square(residuals).sum()) / df - float(noise.mean()))
    errors = normals_BN[:, indices] * np.sqrt(noise + deviation)
    if deviation > 0:  # it is known from few networks, and itself uncertain
        chi_squared = np.random.default_rng(2).chisquare(df, (len(normals_BN), 1))
        errors = errors * np.sqrt(df / chi_squared)
    resampled = values - residuals + errors
    draws = fit_power_laws(factors, resampled)
    floor, scale, exponent = (
        _quantile_interval(float(fitted[index]), draws[:, index], level)
        for index in range(NUM_PARAMETERS)
    )
    return ScalingLaw(
        direction,
        floor,
        scale,
        exponent,
        factors=tuple(map(float, factors)),
        accuracies=tuple(map(float, 1 - values)),
        noise_variance=networks.noise_variance or 0.0,
        deviation=deviation,
        level=level,
        draws=draws,
    )


def _quantile_interval(value: float, draws: Floats, level: float) -> Interval:
    low, high = np.quantile(draws, [level / 2, 1 - level / 2])
    return Interval(value, float(min(low, value)), float(max(high, value)))
