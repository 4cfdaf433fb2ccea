"""Drift of the best shares with training length, and axes favoured by short runs.

ResNet-RS (arXiv:2103.07579, section 6) finds that short training favours width. Here every run is
its own control: the gain of a run from an early epoch to the last is compared between candidates.

Two questions are kept apart. Does the gain depend on the shares? It also does where learning curves
only fan out, since a run that ends higher has gained more from the same start. Does the surface
change its *shape*, and with it its optimum (``shape_change``)? A surface that is flat at the last
epoch has no optimum that could move; there, gains that depend on the shares are the drift, if the
early surface was not flat.

An axis is favoured early if the early surface recommends it and it then gains less than the others.
An axis that is bad throughout also gains less where curves fan out, but is not favoured early.

Two surfaces of the same candidates have the same shape if late = a + k * early with one k for all,
and then the same optimum. The test takes the k for which shares explain least of late - k * early,
relative to the residuals, and tests whether they explain any of it (the overidentification test of
Anderson & Rubin, Ann. Math. Stat. 20, 1949). With the least root instead of a known k, the test is
not significant too often, however little the early surface says.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.linalg import eigh
from scipy.special import fdtrc, stdtrit

from scalesearch.analysis.additive_model import Floats, additive_model
from scalesearch.analysis.observations import candidate_estimates, shares_of_candidates
from scalesearch.analysis.optimum import Interval, optimum_of_estimates
from scalesearch.analysis.paired import accuracies
from scalesearch.analysis.polynomials import AXES, MAX_CONDITION, polynomial_terms, scaled_axes
from scalesearch.analysis.summary import has_reason
from scalesearch.errors import SearchError

MIN_SUM_OF_SQUARES = 1e-18


def axis_effects(
    design_NP: Floats, values_N: Floats, names: Sequence[str], level: float
) -> dict[str, Interval]:
    """Return each share's effect against the others' mean (Cox), with t intervals."""
    solver = np.linalg.pinv(design_NP)
    residuals = values_N - design_NP @ (solver @ values_N)
    residual_df = len(values_N) - design_NP.shape[1]
    variance = float(residuals @ residuals) / residual_df
    t_limit = float(stdtrit(residual_df, 1 - level / 2))
    intervals = {}
    for index, name in enumerate(names):
        contrast = np.full(len(names), -1 / (len(names) - 1))
        contrast[index] = 1.0
        row = contrast @ solver
        value, error = float(row @ values_N), float(np.sqrt(variance * (row @ row)))
        intervals[name] = Interval(value, value - t_limit * error, value + t_limit * error)
    return intervals


def p_value_of_differences(design_NP: Floats, values_N: Floats) -> float:
    """Return p of the F test of equal effects of all shares."""
    explained_squares, residual_squares = _sums_of_squares(design_NP, values_N[:, None])
    df, residual_df = design_NP.shape[1] - 1, len(values_N) - design_NP.shape[1]
    mean_square = explained_squares[0, 0] / df
    statistic = mean_square / max(residual_squares[0, 0] / residual_df, MIN_SUM_OF_SQUARES)
    return float(fdtrc(df, residual_df, statistic))


def shape_change(design_NP: Floats, values_N2: Floats) -> tuple[float | None, float]:
    """Return the k that minimises what shares explain of late - k * early, and p.

    Without a positive k (the surface is inverted, or one of the two is flat) k is None, and p is
    that of the less explained of the two, without a correction for the search for k.
    """
    explained_squares, residual_squares = _sums_of_squares(design_NP, values_N2)
    residual_squares = residual_squares + MIN_SUM_OF_SQUARES * np.eye(2)
    df, residual_df = design_NP.shape[1] - 1, len(values_N2) - design_NP.shape[1]
    roots, vectors = eigh(explained_squares, residual_squares)
    least = max(0.0, float(roots[0]))  # rounding may make it negative
    early, late = vectors[:, 0]
    if early * late < 0:
        steepness = float(-early / late)
        if df < 2:  # two lines that rise the same way are always proportional
            return steepness, 1.0
        return steepness, float(fdtrc(df - 1, residual_df, least / (df - 1) * residual_df))
    least = min(
        explained_squares[index, index] / residual_squares[index, index] for index in (0, 1)
    )
    return None, float(fdtrc(df, residual_df, least / df * residual_df))


def _sums_of_squares(design_NP: Floats, values_NK: Floats) -> tuple[Floats, Floats]:
    """Return explained and residual sums of squares and products about the mean."""
    fitted = design_NP @ np.linalg.pinv(design_NP) @ values_NK
    residuals, deviations = values_NK - fitted, fitted - values_NK.mean(axis=0)
    return deviations.T @ deviations, residuals.T @ residuals


SPARE_CANDIDATES = 2
"""Fewest candidates beyond the terms of a surface before it is tested."""


@dataclass(frozen=True, slots=True)
class AccuracyGain:
    """Gains in accuracy from an early epoch to the last, mean over seeds.

    ``mean``: mean gain. ``gain_effects``: by axis, how much more a network gains that spends
    everything on it than one that spends nothing on it and the rest evenly, on a linear surface.
    ``early_effects``: by axis, the same for the accuracy at the early epoch. ``p``: p-value of
    gains that do not depend on shares (F test). ``p_shape``: p-value of an unchanged shape of the
    surface. ``steepness``: k of the module's description, None if it is not positive. ``degree``:
    degree of the surfaces in that test; a linear one misses a drift towards a flat surface.
    ``p_first``, ``p_last``: p-values of flat surfaces at the early and the last epoch; for the
    last, the smaller p of both degrees.
    """

    early_epoch: int
    last_epoch: int
    candidates: int
    mean: Interval
    gain_effects: dict[str, Interval]
    early_effects: dict[str, Interval]
    p: float
    p_shape: float
    steepness: float | None
    p_first: float
    p_last: float
    degree: str

    @property
    def row(self) -> dict[str, Any]:
        """All fields as a flat row: ``width``, ``width_low``, ``width_high`` and so on."""
        row: dict[str, Any] = {"early": self.early_epoch, "last": self.last_epoch}
        row |= {"candidates": self.candidates, **self.mean.columns("gain")}
        for axis, interval in self.gain_effects.items():
            row |= interval.columns(axis)
        for axis, interval in self.early_effects.items():
            row |= interval.columns(f"{axis}_before")
        names = ("p", "p_shape", "steepness", "p_first", "p_last", "degree")
        return row | {name: getattr(self, name) for name in names}

    def is_drift(self, level: float) -> bool:
        """Return whether the optimum moves: the shape changes, or differences vanish."""
        vanish = max(self.p, self.p_first) <= level < self.p_last
        return self.p_shape <= level or vanish


@dataclass(frozen=True, slots=True)
class EpochOptimum:
    """The optimum at an epoch: shares with intervals by axis, from ``candidates``."""

    epoch: int
    candidates: int
    shares: dict[str, Interval]

    @property
    def row(self) -> dict[str, Any]:
        """Return both ends of each interval as a flat row."""
        row: dict[str, Any] = {"epoch": self.epoch, "candidates": self.candidates}
        for axis, interval in self.shares.items():
            row |= interval.columns(axis)
        return row


@dataclass(frozen=True, slots=True)
class EpochDrift:
    """The drift of a results table over its epochs.

    ``gains``: from each earlier epoch to the last. ``optima``: the optimum by epoch.
    ``has_drift``: whether the optimum moves from the first epoch to the last, at ``level``; None
    with too few candidates. ``favoured_early``, ``penalised_early``: the axes that the first epoch
    favours, or penalises, compared with the last one.
    """

    gains: tuple[AccuracyGain, ...]
    optima: tuple[EpochOptimum, ...]
    has_drift: bool | None
    favoured_early: tuple[str, ...]
    penalised_early: tuple[str, ...]
    level: float
    notes: tuple[str, ...]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One flat row per earlier epoch."""
        return [gain.row for gain in self.gains]

    @property
    def sentence(self) -> str:
        """The result in one sentence."""
        if not self.gains:
            return "too few candidates have two epochs to test whether the best shares drift"
        first = self.gains[0]
        between = f"from epoch {first.early_epoch} to {first.last_epoch}"
        if self.has_drift:
            parts = [f"{axis} is favoured early" for axis in self.favoured_early]
            parts += [f"{axis} is penalised early" for axis in self.penalised_early]
            axes_text = ", ".join(parts) or "no single axis stands out"
            if first.p_shape <= self.level:
                return f"the best shares drift {between} (p {first.p_shape:.2g}): {axes_text}"
            return (
                f"differences between shares at epoch {first.early_epoch} have vanished at "
                f"{first.last_epoch} (p {first.p:.2g}): {axes_text}"
            )
        if first.p <= self.level:
            return (
                f"gains {between} depend on the shares (p {first.p:.2g}{_axes_text(first)}); a "
                f"drift of the best shares is not significant (p {first.p_shape:.2g})"
            )
        return (
            f"neither a dependence of gains {between} on the shares (p {first.p:.2g}) nor a drift "
            f"of the best shares (p {first.p_shape:.2g}) is significant, which does not prove that "
            "there is none"
        )


def epoch_drift(
    records: pd.DataFrame,
    factor: float,
    *,
    epochs: Sequence[int] | None = None,
    level: float = 0.1,
) -> EpochDrift:
    """Return the drift of a results table for a budget of ``factor``.

    ``epochs``: the epochs to compare, by default all of the table. ``has_drift`` uses the first
    and the last alone, so that more epochs do not make a false positive more likely. The order of
    rows, repeated rows and further columns change nothing. Raises SearchError for an empty table,
    and for shares or accuracies that are not finite.
    """
    recorded = sorted({int(epoch) for epoch in records["epoch"]})
    compared = recorded if epochs is None else sorted(set(epochs) & set(recorded))
    if not compared:
        raise SearchError("records: need at least one epoch that is on record, got none")
    gains = tuple(
        gain
        for early in compared[:-1]
        if (gain := accuracy_gain(records, early, compared[-1], level=level)) is not None
    )
    includes_first = bool(gains) and gains[0].early_epoch == compared[0]
    drifts = gains[0].is_drift(level) if includes_first else None
    gain_effects, early_effects = (
        (gains[0].gain_effects, gains[0].early_effects) if drifts else ({}, {})
    )
    return EpochDrift(
        gains=gains,
        optima=tuple(_optima_by_epoch(records, factor, compared, level)),
        has_drift=drifts,
        favoured_early=tuple(
            axis
            for axis, interval in gain_effects.items()
            if interval.high < 0 < early_effects[axis].low
        ),
        penalised_early=tuple(
            axis
            for axis, interval in gain_effects.items()
            if early_effects[axis].high < 0 < interval.low
        ),
        level=level,
        notes=_notes(records, compared),
    )


def accuracy_gain(
    records: pd.DataFrame, early_epoch: int, last_epoch: int, *, level: float = 0.1
) -> AccuracyGain | None:
    """Return the gains between two epochs; None with too few candidates for a plane."""
    before, after = accuracies(records, early_epoch), accuracies(records, last_epoch)
    runs = {
        name: {seed: (before[name][seed], after[name][seed]) for seed in before[name]
               if seed in after[name]}
        for name in sorted(set(before) & set(after))
    }  # fmt: skip
    runs = {name: seeds for name, seeds in runs.items() if seeds}
    if not runs:
        return None
    tables = [
        additive_model(
            {
                name: {seed: pair[index] for seed, pair in seeds.items()}
                for name, seeds in runs.items()
            }
        )
        for index in (0, 1)
    ]
    shares = shares_of_candidates(records, list(runs))
    values_N2 = np.stack([table.row_effects for table in tables], axis=1)
    return _gain_of_values(shares, values_N2, early_epoch, last_epoch, level)


def _gain_of_values(
    shares_N3: Floats, values_N2: Floats, early_epoch: int, last_epoch: int, level: float
) -> AccuracyGain | None:
    axes = scaled_axes(shares_N3)
    designs = {
        degree: design
        for degree in ("linear", "quadratic")
        if len(axes) > 1
        and len(design := polynomial_terms(shares_N3, degree, axes))
        >= design.shape[1] + SPARE_CANDIDATES
        and np.linalg.cond(design) < MAX_CONDITION
    }
    if "linear" not in designs:
        return None
    degree = list(designs)[-1]
    steepness, p_shape = shape_change(designs[degree], values_N2)
    gains = values_N2[:, 1] - values_N2[:, 0]
    names = [AXES[axis] for axis in axes]
    error = float(gains.std(ddof=1)) / len(gains) ** 0.5
    half_width = float(stdtrit(len(gains) - 1, 1 - level / 2)) * error
    mean = float(gains.mean())
    return AccuracyGain(
        early_epoch=early_epoch,
        last_epoch=last_epoch,
        candidates=len(gains),
        mean=Interval(mean, mean - half_width, mean + half_width),
        gain_effects=axis_effects(designs["linear"], gains, names, level),
        early_effects=axis_effects(designs["linear"], values_N2[:, 0], names, level),
        p=p_value_of_differences(designs["linear"], gains),
        p_shape=p_shape,
        steepness=steepness,
        p_first=p_value_of_differences(designs["linear"], values_N2[:, 0]),
        p_last=min(p_value_of_differences(design, values_N2[:, 1]) for design in designs.values()),
        degree=degree,
    )


def _axes_text(first: AccuracyGain) -> str:
    """Return the axes that gain significantly more or less than the others, as text."""
    more = [axis for axis, interval in first.gain_effects.items() if interval.low > 0]
    less = [axis for axis, interval in first.gain_effects.items() if interval.high < 0]
    parts = [f"more on {' and '.join(more)}"] if more else []
    parts += [f"less on {' and '.join(less)}"] if less else []
    return "".join(f"; {part}" for part in parts)


def _optima_by_epoch(
    records: pd.DataFrame, factor: float, epochs: Sequence[int], level: float
) -> list[EpochOptimum]:
    optima = []
    for epoch in epochs:
        try:
            estimates = candidate_estimates(records, epochs=epoch, include_stopped=False)
            best = optimum_of_estimates(estimates, factor, level=level)
        except SearchError:  # too few for a surface
            continue
        optima.append(EpochOptimum(epoch, len(estimates.candidates), best.share_intervals))
    return optima


def _notes(records: pd.DataFrame, epochs: Sequence[int]) -> tuple[str, ...]:
    if "stopped" not in records or not has_reason(records["stopped"]).any():
        return ()
    last = set(records.loc[records["epoch"] == epochs[-1], "candidate"])
    if set(records["candidate"]) <= last:
        return ()
    return (
        "candidates continued because they did well early, partly by luck; later that luck is "
        "missing, which looks like a smaller gain",
    )
