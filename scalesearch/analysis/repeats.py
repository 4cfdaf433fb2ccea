"""Candidates trained again in another way, beside the search that chose them.

A search's answer is chosen from many, for luck as well. Whether it holds is asked of the
repetition alone: it does unless another candidate beats it there beyond chance, all comparisons
counted (``pairs.may_still_win``).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import fsum
from typing import Any

import pandas as pd

from scalesearch.analysis.pairs import (
    Accuracies,
    Difference,
    accuracies,
    behind,
    may_still_win,
    paired,
)
from scalesearch.analysis.ranks import RankAgreement, rank_agreement
from scalesearch.errors import SearchError


@dataclass(frozen=True, slots=True)
class Again:
    """One candidate in both: mean accuracies and places, its cells and its role in the repetition.

    ``behind``: how far it is behind the repetition's best there; None for the best itself, and
    where no two seeds tell the noise. ``may_win``: whether it may still be the best of them.
    """

    candidate: str
    cell: str
    role: str
    before: float
    place_before: int
    accuracy: float
    standard_error: float | None
    place: int
    seeds: int
    behind: Difference | None
    may_win: bool

    @property
    def row(self) -> dict[str, Any]:
        names = ("candidate", "cell", "role", "before", "place_before", "accuracy")
        row: dict[str, Any] = {name: getattr(self, name) for name in names}
        row |= {"standard_error": self.standard_error, "place": self.place, "seeds": self.seeds}
        gap = self.behind
        row |= {"behind": gap and gap.mean, "behind_low": gap and gap.low}
        return row | {
            "behind_high": gap and gap.high,
            "p": gap and gap.p,
            "may_win": self.may_win,
        }


@dataclass(frozen=True, slots=True)
class Repeated:
    """A repetition, named in words by ``what``. ``results``: its best first. ``first``: the
    search's answer. ``holds``: whether that may still be the best; None where one seed cannot tell.
    ``change``: of accuracy, in the mean over all of these candidates. ``agreement``: of the two
    rankings, intervals of 1 - ``level``."""

    what: str
    results: tuple[Again, ...]
    first: Again
    holds: bool | None
    change: float
    agreement: RankAgreement
    level: float

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One flat row for each candidate."""
        return [result.row for result in self.results]

    @property
    def words(self) -> str:
        """What it comes to, in a sentence."""
        best, first, rho = self.results[0], self.first, self.agreement.spearman
        orders = (
            "too few candidates to compare orders"
            if rho is None
            else f"Spearman's rho with the search {rho.value:.2f} [{rho.low:.2f}, {rho.high:.2f}] "
            f"over {self.agreement.candidates}"
        )
        if best.candidate == first.candidate:
            others = sum(result.may_win for result in self.results) - 1
            alike = f", and {others} others cannot be told from it" if others else ""
            held = "is the best again" + (alike if self.holds is not None else ", of one seed")
        elif self.holds is None or first.behind is None:
            held = f"has place {first.place} of {len(self.results)}, and one seed cannot tell more"
        else:
            gap = first.behind
            size = f"{gap.mean:.4f} [{gap.low:.4f}, {gap.high:.4f}]"
            held = (
                f"cannot be told from the best, {best.candidate}, which leads by {size}, with all "
                f"{len(self.results) - 1} comparisons counted"
                if self.holds
                else f"is beaten by {best.candidate} by {size}"
            )
        return (
            f"{self.what}: accuracy changes by {self.change:+.4f} in the mean; the search's "
            f"answer, {first.candidate}, {held}; {orders}"
        )


def repeated(
    before: pd.DataFrame,
    after: pd.DataFrame,
    what: str,
    *,
    epochs: tuple[int | None, int | None] = (None, None),
    first: str | None = None,
    level: float = 0.1,
) -> Repeated:
    """A repetition's records beside the search's, each at its last epoch or that of ``epochs``.

    ``first``: the search's answer; by default the one of these candidates with the highest mean.
    Seeds may be others; they are then put side by side in their order. Raises SearchError where
    the two have no candidate in common.
    """
    ends = [
        epoch or (int(table["epoch"].max()) if len(table) else 0)
        for table, epoch in zip((before, after), epochs, strict=True)
    ]
    old, new = (_by_order(accuracies(t, end)) for t, end in zip((before, after), ends, strict=True))
    common = sorted(set(old) & set(new))
    if not common or first not in (None, *common):
        raise SearchError(f"{what}: need the search's candidates, trained to the end, got others")
    old, new = ({name: table[name] for name in common} for table in (old, new))
    places_old, places_new = _places(old), _places(new)
    leader = min(common, key=lambda name: places_new[name])
    winners, noise = may_still_win(new, level), paired(new)
    facts = after.drop_duplicates("candidate").set_index("candidate")
    results = [
        Again(
            candidate=name,
            cell=str(facts.at[name, "cell"]) if "cell" in facts else "",
            role=str(facts.at[name, "role"]) if "role" in facts else "",
            before=_mean(old[name]),
            place_before=places_old[name],
            accuracy=_mean(new[name]),
            standard_error=noise.standard_error(len(new[name])),
            place=places_new[name],
            seeds=len(new[name]),
            behind=None if name == leader else _behind(new, leader, name, level),
            may_win=winners[name],
        )
        for name in sorted(common, key=lambda name: places_new[name])
    ]
    best_before = first or min(common, key=lambda name: places_old[name])
    mine = next(result for result in results if result.candidate == best_before)
    return Repeated(
        what=what,
        results=tuple(results),
        first=mine,
        holds=None if noise.variance is None else mine.may_win,
        change=fsum(result.accuracy - result.before for result in results) / len(results),
        agreement=rank_agreement(old, new, ("search", what), level=level),
        level=level,
    )


def at_their_best(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Of each candidate the rows of that table in which it has the highest mean at the table's
    last epoch; of candidates that all tables have. Every candidate is as lucky in its choice."""
    means = {
        name: {
            candidate: _mean(seeds)
            for candidate, seeds in accuracies(table, int(table["epoch"].max())).items()
        }
        for name, table in tables.items()
    }
    common = set.intersection(*(set(known) for known in means.values()))
    best = {one: max(means, key=lambda name: means[name][one]) for one in sorted(common)}
    parts = [tables[name][tables[name]["candidate"] == one] for one, name in best.items()]
    return pd.concat(parts, ignore_index=True) if parts else next(iter(tables.values()))[:0]


def _by_order(table: Accuracies) -> Accuracies:
    """Seeds by their number among the table's own, from 0."""
    order = {
        seed: place for place, seed in enumerate(sorted({s for t in table.values() for s in t}))
    }
    return {name: {order[seed]: value for seed, value in t.items()} for name, t in table.items()}


def _mean(seeds: Mapping[int, float]) -> float:
    return fsum(seeds.values()) / len(seeds)  # whatever their order


def _places(table: Accuracies) -> dict[str, int]:
    order = sorted(table, key=lambda name: (-_mean(table[name]), name))
    return {name: place for place, name in enumerate(order, start=1)}


def _behind(table: Accuracies, leader: str, other: str, level: float) -> Difference | None:
    try:
        return behind(table, leader, other, level=level)
    except SearchError:  # one seed
        return None
