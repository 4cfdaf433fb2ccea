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

from scalesearch.analysis.paired import (
    Accuracies,
    PairedDifference,
    accuracies,
    may_still_win,
    paired_difference,
    paired_noise,
)
from scalesearch.analysis.rank_correlation import RankCorrelation, rank_correlation
from scalesearch.errors import SearchError


@dataclass(frozen=True, slots=True)
class ReplicatedCandidate:
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
    gap: PairedDifference | None
    may_win: bool

    @property
    def row(self) -> dict[str, Any]:
        names = ("candidate", "cell", "role", "before", "place_before", "accuracy")
        row: dict[str, Any] = {name: getattr(self, name) for name in names}
        row |= {"standard_error": self.standard_error, "place": self.place, "seeds": self.seeds}
        gap = self.gap
        row |= {"behind": gap and gap.mean, "behind_low": gap and gap.low}
        return row | {
            "behind_high": gap and gap.high,
            "p": gap and gap.p,
            "may_win": self.may_win,
        }


@dataclass(frozen=True, slots=True)
class Replication:
    """A repetition, named in words by ``what``. ``results``: its best first. ``first``: the
    search's answer. ``holds``: whether that may still be the best; None where one seed cannot tell.
    ``change``: of accuracy, in the mean over all of these candidates. ``agreement``: of the two
    rankings, intervals of 1 - ``level``."""

    description: str
    results: tuple[ReplicatedCandidate, ...]
    search_best: ReplicatedCandidate
    holds: bool | None
    mean_change: float
    rank_correlation: RankCorrelation
    level: float

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One flat row for each candidate."""
        return [result.row for result in self.results]

    @property
    def sentence(self) -> str:
        """What it comes to, in a sentence."""
        best, search_best, spearman = (
            self.results[0],
            self.search_best,
            self.rank_correlation.spearman,
        )
        orders = (
            "too few candidates to compare orders"
            if spearman is None
            else f"Spearman's rho with the search {spearman.value:.2f} [{spearman.low:.2f}, {spearman.high:.2f}] "
            f"over {self.rank_correlation.candidates}"
        )
        if best.candidate == search_best.candidate:
            equal_count = sum(result.may_win for result in self.results) - 1
            alike = f", and {equal_count} others cannot be told from it" if equal_count else ""
            finding = "is the best again" + (alike if self.holds is not None else ", of one seed")
        elif self.holds is None or search_best.gap is None:
            finding = f"has place {search_best.place} of {len(self.results)}, and one seed cannot tell more"
        else:
            gap = search_best.gap
            size = f"{gap.mean:.4f} [{gap.low:.4f}, {gap.high:.4f}]"
            finding = (
                f"cannot be told from the best, {best.candidate}, which leads by {size}, with all "
                f"{len(self.results) - 1} comparisons counted"
                if self.holds
                else f"is beaten by {best.candidate} by {size}"
            )
        return (
            f"{self.description}: accuracy changes by {self.mean_change:+.4f} in the mean; the search's "
            f"answer, {search_best.candidate}, {finding}; {orders}"
        )


def compare_replication(
    before: pd.DataFrame,
    after: pd.DataFrame,
    description: str,
    *,
    epochs: tuple[int | None, int | None] = (None, None),
    search_best: str | None = None,
    level: float = 0.1,
) -> Replication:
    """A repetition's records beside the search's, each at its last epoch or that of ``epochs``.

    ``first``: the search's answer; by default the one of these candidates with the highest mean.
    Seeds may be others; they are then put side by side in their order. Raises SearchError where
    the two have no candidate in common.
    """
    last_epochs = [
        epoch or (int(table["epoch"].max()) if len(table) else 0)
        for table, epoch in zip((before, after), epochs, strict=True)
    ]
    accuracies_before, accuracies_after = (
        _with_seed_numbers(accuracies(t, end))
        for t, end in zip((before, after), last_epochs, strict=True)
    )
    common = sorted(set(accuracies_before) & set(accuracies_after))
    if not common or search_best not in (None, *common):
        raise SearchError(
            f"{description}: need the search's candidates, trained to the end, got others"
        )
    accuracies_before, accuracies_after = (
        {name: table[name] for name in common} for table in (accuracies_before, accuracies_after)
    )
    ranks_before, ranks_after = _ranks(accuracies_before), _ranks(accuracies_after)
    leader = min(common, key=lambda name: ranks_after[name])
    may_win, noise = may_still_win(accuracies_after, level), paired_noise(accuracies_after)
    candidate_rows = after.drop_duplicates("candidate").set_index("candidate")
    results = [
        ReplicatedCandidate(
            candidate=name,
            cell=str(candidate_rows.at[name, "cell"]) if "cell" in candidate_rows else "",
            role=str(candidate_rows.at[name, "role"]) if "role" in candidate_rows else "",
            before=_mean(accuracies_before[name]),
            place_before=ranks_before[name],
            accuracy=_mean(accuracies_after[name]),
            standard_error=noise.standard_error(len(accuracies_after[name])),
            place=ranks_after[name],
            seeds=len(accuracies_after[name]),
            gap=None
            if name == leader
            else _difference_if_known(accuracies_after, leader, name, level),
            may_win=may_win[name],
        )
        for name in sorted(common, key=lambda name: ranks_after[name])
    ]
    best_before = search_best or min(common, key=lambda name: ranks_before[name])
    search_result = next(result for result in results if result.candidate == best_before)
    return Replication(
        description=description,
        results=tuple(results),
        search_best=search_result,
        holds=None if noise.variance is None else search_result.may_win,
        mean_change=fsum(result.accuracy - result.before for result in results) / len(results),
        rank_correlation=rank_correlation(
            accuracies_before, accuracies_after, ("search", description), level=level
        ),
        level=level,
    )


def rows_of_best_tables(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Of each candidate the rows of that table in which it has the highest mean at the table's
    last epoch; of candidates that all tables have. Every candidate is as lucky in its choice."""
    means = {
        name: {
            candidate: _mean(seeds)
            for candidate, seeds in accuracies(table, int(table["epoch"].max())).items()
        }
        for name, table in tables.items()
    }
    common = set.intersection(*(set(means_of_table) for means_of_table in means.values()))
    best = {one: max(means, key=lambda name: means[name][one]) for one in sorted(common)}
    parts = [tables[name][tables[name]["candidate"] == one] for one, name in best.items()]
    return pd.concat(parts, ignore_index=True) if parts else next(iter(tables.values()))[:0]


def _with_seed_numbers(table: Accuracies) -> Accuracies:
    """Seeds by their number among the table's own, from 0."""
    order = {
        seed: index for index, seed in enumerate(sorted({s for t in table.values() for s in t}))
    }
    return {
        name: {order[seed]: value for seed, value in seeds.items()} for name, seeds in table.items()
    }


def _mean(seeds: Mapping[int, float]) -> float:
    return fsum(seeds.values()) / len(seeds)  # whatever their order


def _ranks(table: Accuracies) -> dict[str, int]:
    order = sorted(table, key=lambda name: (-_mean(table[name]), name))
    return {name: rank for rank, name in enumerate(order, start=1)}


def _difference_if_known(
    table: Accuracies, leader: str, other: str, level: float
) -> PairedDifference | None:
    try:
        return paired_difference(table, leader, other, level=level)
    except SearchError:  # one seed
        return None
