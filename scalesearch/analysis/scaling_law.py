"""Scaling laws of accuracy against cost: saturating power laws, one per direction.

error = floor + scale * C^(-exponent), with C the cost as a multiple of the baseline's, and floor,
scale and exponent at least 0. The fit is by least squares. For a given exponent the rest is linear,
so a grid of exponents is tried and the best one refined: no start to choose, no local minimum.

Bands come from a bootstrap with normal errors: the noise of seeds, and the networks' own deviation
from any smooth law, estimated from the residuals.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from scalesearch.analysis.additive_model import Floats, additive_model
from scalesearch.analysis.observations import SHARES
from scalesearch.analysis.optimum import Interval, quantile_interval
from scalesearch.analysis.paired import accuracies, last_epoch
from scalesearch.analysis.polynomials import AXES
from scalesearch.errors import SearchError

EXPONENTS = np.geomspace(0.01, 4.0, 40)
NUM_PARAMETERS = 3


def power_law_errors(laws_B3: Floats, factors: Floats | float) -> Floats:
    """Return the errors of laws, (B,) at one cost and (B, N) at several."""
    floor, scale, exponent = laws_B3.T
    if np.ndim(factors):
        floor, scale, exponent = floor[:, None], scale[:, None], exponent[:, None]
    error: Floats = floor + scale * np.asarray(factors, dtype=np.float64) ** -exponent
    return error


def fit_power_laws(factors_N: Floats, errors_BN: Floats) -> Floats:
    """Fit floor, scale and exponent (B, 3) to each row of errors at these costs."""
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
    """Fit floor and scale for given exponents; (B, 4) with the squared error."""
    x = factors_N[None] ** -exponent_B[:, None]
    mean_x, mean_y = x.mean(axis=1), errors_BN.mean(axis=1)
    spread = np.square(x - mean_x[:, None]).sum(axis=1)
    slope = ((x - mean_x[:, None]) * errors_BN).sum(axis=1) / np.maximum(spread, 1e-30)
    slope_without_floor = (x * errors_BN).sum(axis=1) / np.square(x).sum(axis=1)
    scale = np.where(mean_y - slope * mean_x < 0, slope_without_floor, slope)
    scale = np.maximum(scale, 0.0)
    floor = np.maximum(mean_y - scale * mean_x, 0.0)
    squared_error = np.square(errors_BN - floor[:, None] - scale[:, None] * x).sum(axis=1)
    return np.stack([floor, scale, exponent_B, squared_error], axis=1)


MIN_COSTS = NUM_PARAMETERS + 1
"""Fewest different costs; three determine a law, and leave no residuals."""
BOOTSTRAP_SAMPLES = 1000
MIN_AXIS_SHARE = 0.9
"""Share from which on a network belongs to the direction of an axis."""
COST_TOLERANCE = 1e-3
"""Relative difference below which two costs are equal."""


@dataclass(frozen=True, slots=True)
class ScalingLaw:
    """The law of one ``direction``, with intervals of 1 - ``level``.

    ``factors``, ``accuracies``: the data it was fitted to, by increasing cost. ``noise_variance``:
    of one run. ``deviation``: variance of a network about the law beyond its noise. ``draws``
    (B, 3): bootstrap draws of floor, scale and exponent.
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
        """Whether accuracy rises with cost; if not, the law is a constant."""
        return self.scale.value > 0

    def accuracy(self, factor: float) -> Interval:
        """Return the mean accuracy at ``factor`` times the baseline's cost, with its band."""
        return self._interval_at(factor, 0.0)

    def prediction(self, factor: float, seeds: int = 1) -> Interval:
        """Return the prediction interval of one network with ``seeds`` at that cost."""
        return self._interval_at(factor, self.deviation + self.noise_variance / seeds)

    def at_phi(self, phi: float, factor: float = 2.0) -> Interval:
        """Return the mean accuracy at ``factor`` ** ``phi`` times the baseline's cost."""
        return self.accuracy(factor**phi)

    def curve_rows(self, factors: Sequence[float]) -> list[dict[str, Any]]:
        """Return the curve with its band as flat rows."""
        return [
            {
                "direction": self.direction,
                "factor": factor,
                **self.accuracy(factor).columns("accuracy"),
            }
            for factor in factors
        ]

    @property
    def row(self) -> dict[str, Any]:
        """The law as a flat row."""
        row: dict[str, Any] = {"direction": self.direction, "networks": len(self.factors)}
        for name in ("floor", "scale", "exponent"):
            interval: Interval = getattr(self, name)
            row |= interval.columns(name)
        return row | {"deviation": self.deviation**0.5, "rises": self.is_rising}

    def _interval_at(self, factor: float, variance: float) -> Interval:
        if not factor > 0:
            raise SearchError(f"law of {self.direction}: need a cost above 0, got {factor}")
        parameters = self.floor.value, self.scale.value, self.exponent.value
        value = 1 - power_law_errors(np.array(parameters)[None], factor)[0]
        draws = 1 - power_law_errors(self.draws, factor)
        if variance > 0:
            draws = draws + np.random.default_rng(1).normal(0, variance**0.5, len(draws))
        return quantile_interval(float(value), draws, self.level)


@dataclass(frozen=True, slots=True)
class HeldOutNetwork:
    """A network left out of the fit, with its predicted and its observed accuracy.

    ``seeds``: number of runs behind ``observed``.
    """

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
        """Return all fields as a flat row."""
        return {
            "direction": self.direction,
            "factor": self.factor,
            **self.predicted.columns("predicted"),
            "observed": self.observed,
            "seeds": self.seeds,
            "inside": self.is_inside,
        }


@dataclass(frozen=True, slots=True)
class MeasuredNetworks:
    """The networks of a table at one epoch, by increasing cost.

    ``factors``: costs over the baseline's. ``accuracies``: means, in the mean seed. ``seeds``: runs
    behind each. ``noise_variance``: of one run, None for a single seed.
    """

    names: tuple[str, ...]
    factors: Floats
    accuracies: Floats
    seeds: Floats
    noise_variance: float | None


def measured_networks(records: pd.DataFrame, *, epochs: int | None = None) -> MeasuredNetworks:
    """Return the networks of a table at the last epoch, or at ``epochs``.

    Raises SearchError for an empty table, and for costs or accuracies that are not finite.
    """
    last = last_epoch(records, epochs)
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
    """Fit the law of each direction that has enough networks.

    ``directions``: names of candidates by direction, by default ``networks_by_direction``. The
    errors of a network that several directions share, such as the baseline, are drawn once. Raises
    SearchError if no direction has enough networks.
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
    """Fit one law to all networks of a table, such as the members of a family."""
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
    """Predict the cheapest network of at least ``factor`` from the cheaper ones.

    Raises SearchError if there are too few of either.
    """
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
    law = fit_scaling_law(smaller, direction, epochs=epochs, level=level)
    index = larger_indices[0]
    seeds = int(networks.seeds[index])
    cost = float(networks.factors[index])
    accuracy = float(networks.accuracies[index])
    return HeldOutNetwork(direction, cost, law.prediction(cost, seeds), accuracy, seeds)


def networks_by_direction(records: pd.DataFrame) -> dict[str, list[str]]:
    """Group the networks of a table by direction, the baseline first in each.

    A network belongs to an axis whose share is at least ``MIN_AXIS_SHARE``, and to "compound" if
    it scales all three.
    """
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
            f"law of {direction}: need networks of at least {MIN_COSTS} different costs, got "
            f"{distinct_costs}"
        )
    noise = (networks.noise_variance or 0.0) / networks.seeds[indices]
    fitted = fit_power_laws(factors, values[None])[0]
    residuals = values - power_law_errors(fitted[None], factors)[0]
    df = len(indices) - NUM_PARAMETERS
    deviation = max(0.0, float(np.square(residuals).sum()) / df - float(noise.mean()))
    errors = normals_BN[:, indices] * np.sqrt(noise + deviation)
    if deviation > 0:  # estimated from few networks, so itself uncertain
        chi_squared = np.random.default_rng(2).chisquare(df, (len(normals_BN), 1))
        errors = errors * np.sqrt(df / chi_squared)
    resampled = values - residuals + errors
    draws = fit_power_laws(factors, resampled)
    floor, scale, exponent = (
        quantile_interval(float(fitted[index]), draws[:, index], level)
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
