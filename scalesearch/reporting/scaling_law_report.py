"""Scaling laws: accuracy against cost along each direction, and their predictions."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from scalesearch.analysis.exponents import ExponentShares, exponent_shares
from scalesearch.analysis.scaling_law import (
    HeldOutNetwork,
    ScalingLaw,
    fit_scaling_laws,
    held_out_network,
    networks_by_direction,
)
from scalesearch.errors import SearchError
from scalesearch.io import write_json
from scalesearch.results.search_folder import SearchFolder

SCHEMA = "scalesearch/laws"
VERSION = 1


@dataclass(frozen=True, slots=True)
class ScalingLaws:
    """The scaling laws of a search's networks, with predictions and checks."""

    name: str
    """Name of the search."""
    factor: float
    phis: tuple[float, ...]
    """Predictions are at ``factor ** phi`` times the baseline's cost."""
    laws: dict[str, ScalingLaw]
    """Laws by direction."""
    held_out: tuple[HeldOutNetwork, ...]
    """Large networks that were left out of a fit to check its prediction."""
    shares: ExponentShares | None
    """Shares that follow from the exponents of the three axes; None if an axis has no law."""

    @property
    def predictions(self) -> list[dict[str, Any]]:
        """One row of scalars for each direction and phi."""
        costs = [self.factor**phi for phi in self.phis]
        return [
            {"direction": row["direction"], "phi": phi, **row}
            for law in self.laws.values()
            for phi, row in zip(self.phis, law.curve_rows(costs), strict=True)
        ]

    @property
    def sentences(self) -> list[str]:
        """The results that need words."""
        lines = [
            f"{name}: accuracy does not rise with cost here, so its law is level"
            for name, law in self.laws.items()
            if not law.is_rising
        ]
        for check in self.held_out:
            inside_or_outside = "inside" if check.is_inside else "outside of"
            low, high = check.predicted.low, check.predicted.high
            lines.append(
                f"{check.direction}: at {check.factor:.2f}x, kept from the fit, "
                f"{check.observed:.4f} is {inside_or_outside} the predicted "
                f"[{low:.4f}, {high:.4f}]"
            )
        if self.shares is not None:
            shares = [
                f"{axis} {share.value:.2f} [{share.low:.2f}, {share.high:.2f}]"
                for axis, share in self.shares.share_intervals.items()
            ]
            lines.append(
                f"if what the axes gain adds up, {self.factor:g}x is best divided as "
                f"{', '.join(shares)}"
            )
        return lines

    @property
    def document(self) -> dict[str, Any]:
        """The laws as JSON values, for ``laws.json``."""
        return {
            "schema": SCHEMA,
            "version": VERSION,
            "name": self.name,
            "factor": self.factor,
            "sentences": self.sentences,
            "laws": [law.row for law in self.laws.values()],
            "predictions": self.predictions,
            "held_out": [check.row for check in self.held_out],
            "shares": None if self.shares is None else self.shares.rows,
        }


def scaling_laws_of_folder(
    folder: str | Path,
    *,
    factor: float = 2.0,
    phis: Sequence[float] = (1, 2, 3, 4),
    hold_out: float | None = None,
    level: float = 0.1,
) -> ScalingLaws:
    """Fit the scaling laws of a search's networks, one for each direction.

    ``hold_out``: check each law on the cheapest network of at least this many times the baseline's
    cost, predicted from the cheaper ones. Raises SearchError if no direction has networks of
    enough different costs, or if no network can be held out.
    """
    search = SearchFolder(folder)
    last_epoch = search.last_epoch
    final_records = search.records[search.records["epoch"] == last_epoch]
    fitted_laws = fit_scaling_laws(final_records, level=level)
    shares = None
    with suppress(SearchError):  # an axis has no networks, or accuracy rises along none
        shares = exponent_shares(fitted_laws, factor)
    return ScalingLaws(
        name=search.experiment.name,
        factor=factor,
        phis=tuple(phis),
        laws=fitted_laws,
        held_out=()
        if hold_out is None
        else tuple(_held_out_checks(final_records, fitted_laws, hold_out, level)),
        shares=shares,
    )


def write_scaling_laws(folder: str | Path, scaling_laws: ScalingLaws) -> Path:
    """Write ``laws.json`` into a folder."""
    path = Path(folder) / "laws.json"
    write_json(path, scaling_laws.document, allow_nan=False)
    return path


def _held_out_checks(
    final_records: pd.DataFrame, fitted_laws: dict[str, ScalingLaw], factor: float, level: float
) -> list[HeldOutNetwork]:
    directions = networks_by_direction(final_records)
    checks, reasons = [], []
    for name in fitted_laws:
        rows = final_records[final_records["candidate"].isin(directions[name])]
        try:
            checks.append(held_out_network(rows, factor, name, level=level))
        except SearchError as error:
            reasons.append(str(error))
    if not checks:
        raise SearchError("\n".join(reasons))
    return checks
