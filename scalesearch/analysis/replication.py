"""Replication: candidates trained again, compared with the search that chose them.

A search's best candidate is chosen among many, partly for its luck. Whether it holds is decided by
the replication alone: it does unless another candidate significantly beats it there, corrected for
all comparisons (``paired.may_still_win``).
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
    last_epoch,
    may_still_win,
    paired_difference,
    paired_noise,
)
from scalesearch.analysis.rank_correlation import RankCorrelation, rank_correlation
from scalesearch.errors import SearchError


@dataclass(frozen=True, slots=True)
class ReplicatedCandidate:
    """A candidate's mean accuracies and ranks in the search and the replication.

    ``place_before``, ``place``: its ranks in the search and in the replication. ``gap``: how far it
    is behind the replication's best; None for the best itself, and with one seed. ``may_win``:
    whether it may still be the best.
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
        """Return all fields as a flat row."""
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
    """A replication, with a ``description`` in words.

    ``results``: the best of the replication first. ``search_best``: the best candidate of the
    search. ``holds``: whether it may still be the best; None with one seed. ``mean_change``: mean
    change of accuracy over the candidates. ``rank_correlation``: of the two rankings, with
    intervals of 1 - ``level``.
    """

    description: str
    results: tuple[ReplicatedCandidate, ...]
    search_best: ReplicatedCandidate
    holds: bool | None
    mean_change: float
    rank_correlation: RankCorrelation
    level: float

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One flat row per candidate."""
        return [result.row for result in self.results]

    @property
    def sentence(self) -> str:
        """The result in one sentence."""
        spearman = self.rank_correlation.spearman
        rankings_text = (
            "too few candidates to compare rankings"
            if spearman is None
            else f"Spearman's rho with the search {spearman.value:.2f} "
            f"[{spearman.low:.2f}, {spearman.high:.2f}] over {self.rank_correlation.candidates} "
            "candidates"
        )
        return (
            f"{self.description}: accuracy changes by {self.mean_change:+.4f} on average; the best "
            f"candidate of the search, {self.search_best.candidate}, {self._finding()}; "
            f"{rankings_text}"
        )

    def _finding(self) -> str:
        best, search_best = self.results[0], self.search_best
        if best.candidate == search_best.candidate:
            if self.holds is None:
                return "is the best again, with one seed"
            equal_count = sum(result.may_win for result in self.results) - 1
            others = f", and {equal_count} others are within noise of it" if equal_count else ""
            return f"is the best again{others}"
        if self.holds is None or search_best.gap is None:
            return f"is number {search_best.place} of {len(self.results)}, with one seed"
        gap = search_best.gap
        size = f"{gap.mean:.4f} [{gap.low:.4f}, {gap.high:.4f}]"
        if not self.holds:
            return f"is beaten by {best.candidate} by {size}"
        return (
            f"is within noise of the best, {best.candidate}, which leads by {size} (corrected for "
            f"{len(self.results) - 1} comparisons)"
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
    """Compare a replication with its search, at their last epochs or ``epochs``.

    ``search_best``: the best candidate of the search, by default the one with the highest mean
    among the common candidates. Seeds may differ; they are then matched in order. Raises
    SearchError if the two have no candidate in common, or ``search_best`` is not among them.
    """
    accuracies_before, accuracies_after = (
        _with_seed_numbers(accuracies(table, last_epoch(table, epoch)))
        for table, epoch in zip((before, after), epochs, strict=True)
    )
    common = sorted(set(accuracies_before) & set(accuracies_after))
    if not common or search_best not in (None, *common):
        raise SearchError(
            f"{description}: need candidates of the search, trained to the end, got others"
        )
    accuracies_before, accuracies_after = (
        {name: table[name] for name in common} for table in (accuracies_before, accuracies_after)
    )
    results = _replicated_candidates(accuracies_before, accuracies_after, after, level)
    best_before = search_best or min(results, key=lambda result: result.place_before).candidate
    search_result = next(result for result in results if result.candidate == best_before)
    is_noise_known = paired_noise(accuracies_after).variance is not None
    return Replication(
        description=description,
        results=tuple(results),
        search_best=search_result,
        holds=search_result.may_win if is_noise_known else None,
        mean_change=fsum(result.accuracy - result.before for result in results) / len(results),
        rank_correlation=rank_correlation(
            accuracies_before, accuracies_after, ("search", description), level=level
        ),
        level=level,
    )


def _replicated_candidates(
    before: Accuracies, after: Accuracies, records: pd.DataFrame, level: float
) -> list[ReplicatedCandidate]:
    """Return the candidates of two tables, the best of the replication first.

    ``records``: the replication's, for cells and roles.
    """
    ranks_before, ranks_after = _ranks(before), _ranks(after)
    names = sorted(after, key=lambda name: ranks_after[name])
    may_win, noise = may_still_win(after, level), paired_noise(after)
    rows = records.drop_duplicates("candidate").set_index("candidate")
    return [
        ReplicatedCandidate(
            candidate=name,
            cell=str(rows.at[name, "cell"]) if "cell" in rows else "",
            role=str(rows.at[name, "role"]) if "role" in rows else "",
            before=_mean(before[name]),
            place_before=ranks_before[name],
            accuracy=_mean(after[name]),
            standard_error=noise.standard_error(len(after[name])),
            place=ranks_after[name],
            seeds=len(after[name]),
            gap=None if name == names[0] else _difference_if_known(after, names[0], name, level),
            may_win=may_win[name],
        )
        for name in names
    ]


def rows_of_best_tables(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return the rows of each candidate from the table in which its mean is highest.

    Means are at each table's last epoch, over candidates that all tables have. Every candidate
    gains by this selection alike.
    """
    means = {
        name: {
            candidate: _mean(seeds)
            for candidate, seeds in accuracies(table, int(table["epoch"].max())).items()
        }
        for name, table in tables.items()
    }
    common = set.intersection(*(set(means_of_table) for means_of_table in means.values()))
    parts = []
    for candidate in sorted(common):
        candidate_means = {name: means[name][candidate] for name in means}
        table = tables[max(candidate_means, key=candidate_means.__getitem__)]
        parts.append(table[table["candidate"] == candidate])
    return pd.concat(parts, ignore_index=True) if parts else next(iter(tables.values()))[:0]


def _with_seed_numbers(table: Accuracies) -> Accuracies:
    """Replace seeds by their index among the table's seeds."""
    seeds = sorted({seed for runs in table.values() for seed in runs})
    number = {seed: index for index, seed in enumerate(seeds)}
    return {
        name: {number[seed]: value for seed, value in runs.items()} for name, runs in table.items()
    }


def _mean(seeds: Mapping[int, float]) -> float:
    return fsum(seeds.values()) / len(seeds)  # independent of their order


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
