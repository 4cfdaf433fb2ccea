"""Mixture surfaces compared: what an axis is worth, and whether two have one shape.

Two surfaces of the same candidates have one shape where late = a + k * early, for one k of all of
them; their best places are then the same. The test of it: of all late - k * early, take the one
that shares explain least beside what they leave over, and ask whether they explain it at all (the
test of overidentification of Anderson & Rubin, Ann. Math. Stat. 20, 1949; with the least root in
place of a known k it is not too often significant, however little the early surface tells).

Whether what is best drifts with the length of training, and which axis short runs favour.

ResNet-RS (arXiv:2103.07579, section 6) finds that short training favours width. Runs are their own
controls: what a run gains from an early epoch to the last is compared between candidates.

Two questions are kept apart. Does the gain depend on the shares? It does so, too, where curves only
fan out, since who ends higher has gained more from the same beginning. Does the surface change its
*shape*, and its best place with it (``shapes``)? A surface that is level at last has no best place
that could be moved: there, gains that depend on the shares are the drift, where the early surface
was not level.

An axis is called favoured early where the early surface says to spend on it, and it then gains
less than the others; where it is bad from beginning to end, and curves fan out, only the latter.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.linalg import eigh
from scipy.special import fdtrc, stdtrit

from scalesearch.analysis.additive_model import Floats, additive_model
from scalesearch.analysis.observations import SHARES, candidate_estimates
from scalesearch.analysis.optimum import Interval, optimum_of_estimates
from scalesearch.analysis.paired import accuracies
from scalesearch.analysis.polynomials import AXES, MAX_CONDITION, MIN_SCALED_SHARE, polynomial_terms
from scalesearch.analysis.summary import has_reason
from scalesearch.errors import SearchError

MIN_SUM_OF_SQUARES = 1e-18


def axis_effects(
    design_NP: Floats, values_N: Floats, names: Sequence[str], level: float
) -> dict[str, Interval]:
    """Of each part against the mean of the others (Cox's direction), with t intervals."""
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
    """p of the F test that the parts of a mixture differ at all."""
    explained_squares, residual_squares = _sums_of_squares(design_NP, values_N[:, None])
    df, residual_df = design_NP.shape[1] - 1, len(values_N) - design_NP.shape[1]
    return float(
        fdtrc(
            df,
            residual_df,
            explained_squares[0, 0]
            / df
            / max(residual_squares[0, 0] / residual_df, MIN_SUM_OF_SQUARES),
        )
    )


def shape_change(design_NP: Floats, values_N2: Floats) -> tuple[float | None, float]:
    """The k of late - k * early that shares explain least, and p of its being explained at all.

    Without a positive k (the surface is turned about, or one of the two says nothing) the less
    explained of the two stands for it, with nothing taken off for having looked for a k.
    """
    explained_squares, residual_squares = _sums_of_squares(design_NP, values_N2)
    residual_squares = residual_squares + MIN_SUM_OF_SQUARES * np.eye(2)
    df, residual_df = design_NP.shape[1] - 1, len(values_N2) - design_NP.shape[1]
    roots, vectors = eigh(explained_squares, residual_squares)
    least = max(0.0, float(roots[0]))  # a sum of squares, but for rounding
    early, late = vectors[:, 0]
    if early * late < 0:
        steepness = float(-early / late)
        if df < 2:  # a line is in proportion to any other that rises the same way
            return steepness, 1.0
        return steepness, float(fdtrc(df - 1, residual_df, least / (df - 1) * residual_df))
    least = min(
        explained_squares[index, index] / residual_squares[index, index] for index in (0, 1)
    )
    return None, float(fdtrc(df, residual_df, least / df * residual_df))


def _sums_of_squares(design_NP: Floats, values_NK: Floats) -> tuple[Floats, Floats]:
    """Sums of squares and products: what the parts explain beyond a mean, and what they leave."""
    fitted = design_NP @ np.linalg.pinv(design_NP) @ values_NK
    residuals, deviations = values_NK - fitted, fitted - values_NK.mean(axis=0)
    return deviations.T @ deviations, residuals.T @ residuals


SPARE_CANDIDATES = 2
"""Candidates beyond the terms of a surface before it is tested."""


@dataclass(frozen=True, slots=True)
class AccuracyGain:
    """What ``candidates`` gained from the epoch ``early`` to ``last``, in the mean over seeds.

    ``mean``: gain of all. ``effects``: by axis, how much more a network gains that spends all on
    it than one that spends nothing on it and the rest evenly, on a linear surface. ``before``: by
    axis, likewise, how much more accurate it is at ``early``. ``p``: of gains that depend on shares
    so much, or more, by chance (F test). ``p_shape``: of a surface that changes its shape so much,
    or more, by chance; ``steepness``: k of the module's account, None where it is not positive.
    ``degree``: of the surfaces of that test; a linear one misses a drift towards where the surface
    is level. ``p_first``, ``p_last``: of surfaces so uneven, or more, where shares make no
    difference; for the last, the lesser p of its surfaces of both degrees.
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
        """All of it, flat: ``width``, ``width_low``, ``width_high`` and so on."""
        row: dict[str, Any] = {"early": self.early_epoch, "last": self.last_epoch}
        row |= {"candidates": self.candidates, **_interval_columns("gain", self.mean)}
        for axis, interval in self.gain_effects.items():
            row |= _interval_columns(axis, interval)
        for axis, interval in self.early_effects.items():
            row |= _interval_columns(f"{axis}_before", interval)
        names = ("p", "p_shape", "steepness", "p_first", "p_last", "degree")
        return row | {name: getattr(self, name) for name in names}

    def is_drift(self, level: float) -> bool:
        """Whether the best place moves: the shape changes, or differences vanish."""
        vanish = max(self.p, self.p_first) <= level < self.p_last
        return self.p_shape <= level or vanish


@dataclass(frozen=True, slots=True)
class EpochOptimum:
    """The surface's optimum at an epoch: shares with intervals, by axis, of ``candidates``."""

    epoch: int
    candidates: int
    shares: dict[str, Interval]

    @property
    def row(self) -> dict[str, Any]:
        row: dict[str, Any] = {"epoch": self.epoch, "candidates": self.candidates}
        for axis, interval in self.shares.items():
            row |= _interval_columns(axis, interval)
        return row


@dataclass(frozen=True, slots=True)
class EpochDrift:
    """``gains``: from each earlier epoch to the last. ``bests``: the optimum epoch by epoch.

    ``drifts``: whether the best place moves from the first of the epochs to the last, at the
    ``level``; None where the candidates are too few to say. ``favoured``: the axes that the first
    epoch then favours beside the last, and ``slighted`` those that it slights.
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
        """One flat row for each earlier epoch."""
        return [gain.row for gain in self.gains]

    @property
    def sentence(self) -> str:
        """What it comes to, in a sentence."""
        if not self.gains:
            return "too few candidates have two epochs to say whether the best drifts"
        first = self.gains[0]
        between = f"from epoch {first.early_epoch} to {first.last_epoch}"
        if self.has_drift:
            parts = [f"{axis} is favoured early" for axis in self.favoured_early]
            parts += [f"{axis} is slighted early" for axis in self.penalised_early]
            axes_text = ", ".join(parts) or "no one axis stands out"
            if first.p_shape <= self.level:
                return f"what is best drifts {between} (p {first.p_shape:.2g}): {axes_text}"
            return (
                f"what seems best at epoch {first.early_epoch} is level at {first.last_epoch} (p {first.p:.2g} "
                f"of such gains): {axes_text}"
            )
        if first.p <= self.level:
            return (
                f"gains {between} depend on the shares (p {first.p:.2g}{_axes_text(first)}); that what "
                f"is best drifts is not shown (p {first.p_shape:.2g})"
            )
        return (
            f"gains {between} are not shown to depend on the shares (p {first.p:.2g}), nor that "
            f"what is best drifts (p {first.p_shape:.2g}); neither is proof of the opposite"
        )


def epoch_drift(
    records: pd.DataFrame,
    factor: float,
    *,
    epochs: Sequence[int] | None = None,
    level: float = 0.1,
) -> EpochDrift:
    """The drift of a results table of a budget of ``factor``.

    ``epochs``: which, the last among them; by default all of the table. ``drifts`` goes by the
    first and the last alone, so that many epochs are no more chances. Order of rows, repeated rows
    and further columns change nothing. Raises SearchError for an empty table, and for shares or
    accuracies that are not finite.
    """
    recorded = sorted({int(epoch) for epoch in records["epoch"]})
    compared = recorded if epochs is None else sorted(set(epochs) & set(recorded))
    if not compared:
        raise SearchError("records: need at least one epoch that is on record, got none")
    possible_gains = (
        accuracy_gain(records, early, compared[-1], level=level) for early in compared[:-1]
    )
    gains = tuple(gain_or_none for gain_or_none in possible_gains if gain_or_none is not None)
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
            a for a, one in gain_effects.items() if early_effects[a].high < 0 < one.low
        ),
        level=level,
        notes=_notes(records, compared),
    )


def accuracy_gain(
    records: pd.DataFrame, early_epoch: int, last_epoch: int, *, level: float = 0.1
) -> AccuracyGain | None:
    """What candidates gained between two epochs; None where they are too few for a plane."""
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
    candidate_rows = records.drop_duplicates("candidate").set_index("candidate")
    shares = candidate_rows.loc[list(runs), SHARES].to_numpy(dtype=np.float64)
    if not np.isfinite(shares).all():
        raise SearchError("records: need finite shares for every candidate, got some that are not")
    values_N2 = np.stack([table.row_effects for table in tables], axis=1)
    return _gain_of_values(shares, values_N2, early_epoch, last_epoch, level)


def _gain_of_values(
    shares_N3: Floats, values_N2: Floats, early_epoch: int, last_epoch: int, level: float
) -> AccuracyGain | None:
    axes = tuple(axis for axis in range(3) if shares_N3[:, axis].max() > MIN_SCALED_SHARE)
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
    """The axes that clearly gain more or less than the others."""
    more = [axis for axis, interval in first.gain_effects.items() if interval.low > 0]
    less = [axis for axis, one in first.gain_effects.items() if one.high < 0]
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
        "candidates were let go on for doing well early; the luck in that is missing later, and "
        "looks like a smaller gain",
    )


def _interval_columns(name: str, interval: Interval) -> dict[str, float]:
    return {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}
