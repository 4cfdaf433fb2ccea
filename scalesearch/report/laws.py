"""Accuracy against cost: the laws of a star, or of a family, and what they predict."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from scalesearch.analysis.exponents import StarShares, star_shares
from scalesearch.analysis.laws import HeldOut, Law, directions_of, held_out, laws
from scalesearch.errors import SearchError
from scalesearch.experiment import read_experiment
from scalesearch.files import write_text
from scalesearch.records import read_records

SCHEMA = "scalesearch/laws"
VERSION = 1


@dataclass(frozen=True, slots=True)
class Laws:
    """Of the networks of ``name``. ``laws`` by direction; what they predict at ``factor`` ** phi
    for each of ``phis``; ``held_out``: those whose larger networks were kept from the fit to check
    it; ``shares``: what the three axes' exponents come to, None where one of them has no law."""

    name: str
    factor: float
    phis: tuple[float, ...]
    laws: dict[str, Law]
    held_out: tuple[HeldOut, ...]
    shares: StarShares | None

    @property
    def predictions(self) -> list[dict[str, Any]]:
        """One flat row for each direction and phi."""
        costs = [self.factor**phi for phi in self.phis]
        return [
            {"direction": row["direction"], "phi": phi, **row}
            for law in self.laws.values()
            for phi, row in zip(self.phis, law.rows(costs), strict=True)
        ]

    @property
    def sentences(self) -> list[str]:
        """What is to be said of them."""
        found = [
            f"{name}: accuracy does not rise with cost here, so its law is level"
            for name, law in self.laws.items()
            if not law.rises
        ]
        for one in self.held_out:
            inside = "inside" if one.inside else "outside of"
            low, high = one.predicted.low, one.predicted.high
            found.append(
                f"{one.direction}: at {one.factor:.2f}x, kept from the fit, {one.observed:.4f} is "
                f"{inside} the predicted [{low:.4f}, {high:.4f}]"
            )
        if self.shares is not None:
            parts = [
                f"{axis} {one.value:.2f} [{one.low:.2f}, {one.high:.2f}]"
                for axis, one in self.shares.share_intervals.items()
            ]
            found.append(
                f"if what the axes gain adds up, {self.factor:g}x is best divided as "
                f"{', '.join(parts)}"
            )
        return found

    @property
    def document(self) -> dict[str, Any]:
        """All of it, for programs: ``laws.json``."""
        return {
            "schema": SCHEMA,
            "version": VERSION,
            "name": self.name,
            "factor": self.factor,
            "sentences": self.sentences,
            "laws": [law.row for law in self.laws.values()],
            "predictions": self.predictions,
            "held_out": [one.row for one in self.held_out],
            "shares": None if self.shares is None else self.shares.rows,
        }


def laws_of(
    folder: str | Path,
    *,
    factor: float = 2.0,
    phis: Sequence[float] = (1, 2, 3, 4),
    hold_out: float | None = None,
    level: float = 0.1,
) -> Laws:
    """The laws of the networks on record in a folder, by direction.

    ``hold_out``: check each law on the cheapest network of at least so many times the baseline's
    cost, predicted from the cheaper ones. Raises SearchError where no direction has networks of
    enough different costs, or none can be held out.
    """
    folder = Path(folder)
    path = folder / "experiment.yaml"
    if not path.is_file():
        raise SearchError(f"{folder}: holds no search; name the folder of one (results/NAME)")
    experiment, records = read_experiment(path), read_records(folder / "records.csv")
    known = records[records["epoch"] == experiment.rungs[-1]]
    found = laws(known, level=level)
    shares = None
    with suppress(SearchError):  # no star, or one that goes nowhere
        shares = star_shares(found, factor)
    return Laws(
        name=experiment.name,
        factor=factor,
        phis=tuple(phis),
        laws=found,
        held_out=() if hold_out is None else tuple(_held_out(known, found, hold_out, level)),
        shares=shares,
    )


def write_laws(folder: str | Path, found: Laws) -> Path:
    """Write ``laws.json`` into a folder."""
    path = Path(folder) / "laws.json"
    write_text(path, json.dumps(found.document, indent=2, allow_nan=False) + "\n")
    return path


def _held_out(
    known: pd.DataFrame, found: dict[str, Law], factor: float, level: float
) -> list[HeldOut]:
    directions = directions_of(known)
    checks, reasons = [], []
    for name in found:
        rows = known[known["candidate"].isin(directions[name])]
        try:
            checks.append(held_out(rows, factor, name, level=level))
        except SearchError as error:
            reasons.append(str(error))
    if not checks:
        raise SearchError("\n".join(reasons))
    return checks
