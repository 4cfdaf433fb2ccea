"""Proxy check: whether short training ranks candidates like long training.

Epochs of one table belong to the same runs under one learning-rate schedule, as rungs see them. A
shorter recipe, whose schedule ends earlier, is another table; ``table_rank_correlation`` compares
two tables.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd

from scalesearch.analysis.additive_model import Floats
from scalesearch.analysis.paired import Accuracies, accuracies, last_epoch
from scalesearch.analysis.rank_correlation import MIN_CANDIDATES, RankCorrelation, rank_correlation
from scalesearch.analysis.summary import has_reason
from scalesearch.errors import SearchError

EpochVerdict: TypeAlias = Literal["agrees", "not told apart", "differs", "noise", "not shown"]
CorrelationKind: TypeAlias = Literal["spearman", "kendall", "across"]
THRESHOLD = 0.7
MAX_EPOCHS = 9
"""Most epochs that are compared by default; in a longer table they are ever further apart."""


@dataclass(frozen=True, slots=True)
class EpochRankCorrelation:
    """Rank correlations of every two epochs, over the candidates that have both.

    ``pairs``: each with the earlier epoch first; an epoch is also paired with itself, which shows
    its repeatability over other seeds. ``verdicts``: each epoch before the last, compared with the
    last one. "agrees": the lower bound of Spearman's rho over the same runs is at least the
    ``threshold``. "differs": across seeds it agrees less with the last epoch than that does with
    itself. "not told apart": it clearly agrees across seeds, and not clearly less. "noise": the
    last epoch does not clearly agree with itself over other seeds, so there is no order to predict.
    "not shown": none of these; more candidates or seeds are needed. ``shortest_epoch``: the first
    epoch from which on all agree (``is_proven``), or else are not told apart; the last epoch if
    there is none; None if the last epoch has no order of its own, or there is too little data.
    ``trained_candidates``: number of candidates with the first epoch. ``level``: of the intervals.
    """

    epochs: tuple[int, ...]
    pairs: tuple[RankCorrelation, ...]
    verdicts: dict[int, EpochVerdict]
    shortest_epoch: int | None
    is_proven: bool
    trained_candidates: int
    level: float
    threshold: float
    notes: tuple[str, ...]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One flat row per pair of epochs."""
        return [pair.row for pair in self.pairs]

    @property
    def noise_ceiling(self) -> RankCorrelation:
        """The last epoch with itself; its ``repeat`` is the ceiling set by noise."""
        return self.pairs[-1]

    def matrix(self, kind: CorrelationKind = "spearman") -> Floats:
        """Return the correlations of the epochs as a square matrix, nan if unknown.

        The diagonal holds Spearman's rho of an epoch with itself over other seeds.
        """
        values = np.full((len(self.epochs), len(self.epochs)), np.nan)
        for pair in self.pairs:
            row, column = (self.epochs.index(int(label)) for label in (pair.one, pair.other))
            interval = pair.repeat if row == column else getattr(pair, kind)
            if interval is not None:
                values[row, column] = values[column, row] = interval.value
        return values

    @property
    def sentence(self) -> str:
        """The result in one sentence."""
        last, count = self.epochs[-1], self.noise_ceiling.candidates
        verdict_kinds = set(self.verdicts.values())
        if not self.verdicts:
            return f"only epoch {last} is on record, so no shorter training can be compared"
        if self.shortest_epoch is None and "noise" in verdict_kinds:
            return (
                f"the ranking after {last} epochs is not clearly repeatable over other seeds, so "
                "there is no ranking that a shorter run could predict"
            )
        if self.shortest_epoch is None and count >= MIN_CANDIDATES:
            return f"the {count} candidates with epoch {last} are equal, so there is no ranking"
        if self.shortest_epoch is None:
            return f"{count} candidates with epoch {last} are too few to compare rankings"
        if self.shortest_epoch == last:
            return (
                f"no epoch before the last ({last}) is shown to rank the {count} candidates like it"
            )
        comparison = (
            f"like epoch {last} (Spearman's rho at least {self.threshold:g})"
            if self.is_proven
            else f"within noise like epoch {last}, which does not prove that the rankings agree"
        )
        return f"epoch {self.shortest_epoch} ranks {count} candidates {comparison}"


def epoch_rank_correlation(
    records: pd.DataFrame,
    *,
    epochs: Sequence[int] | None = None,
    level: float = 0.1,
    threshold: float = THRESHOLD,
) -> EpochRankCorrelation:
    """Return the rank correlations between the epochs of a results table.

    ``epochs``: the epochs to compare, by default those of the table (at most ``MAX_EPOCHS``). The
    order of rows, repeated rows and further columns change nothing. Raises SearchError for an
    empty table, an epoch that is not on record, and an accuracy that is not finite.
    """
    chosen = _compared_epochs(records, epochs)
    values = {epoch: accuracies(records, epoch) for epoch in chosen}
    pairs = tuple(
        rank_correlation(values[earlier], values[later], (earlier, later), level=level)
        for index, later in enumerate(chosen)
        for earlier in chosen[: index + 1]
    )
    last = chosen[-1]
    verdicts = {
        int(pair.one): _verdict(pair, threshold)
        for pair in pairs
        if pair.other == last and pair.one != last
    }
    shortest, sure = _shortest_epoch(verdicts, last, pairs[-1].spearman is None)
    return EpochRankCorrelation(
        epochs=tuple(chosen),
        pairs=pairs,
        verdicts=verdicts,
        shortest_epoch=shortest,
        is_proven=sure,
        trained_candidates=len(values[chosen[0]]),
        level=level,
        threshold=threshold,
        notes=_notes(records, pairs, len(values[chosen[0]])),
    )


def table_rank_correlation(
    left: pd.DataFrame,
    right: pd.DataFrame,
    names: tuple[str, str] = ("one", "other"),
    *,
    epochs: tuple[int | None, int | None] = (None, None),
    match_by: Literal["candidate", "cell"] | None = None,
    level: float = 0.1,
) -> RankCorrelation:
    """Return the rank correlation of two tables at their last epochs, or ``epochs``.

    The tables may differ in images, resolution or learning rate. ``match_by``: match candidates by
    fingerprint, or by the names of the design's cells, since networks at another resolution have
    other fingerprints; by default the first with enough candidates in common. Raises SearchError
    if both have too few.
    """
    kinds = (match_by,) if match_by else ("candidate", "cell")
    for kind in kinds:
        tables = [
            _accuracies_by(kind, table, epoch)
            for table, epoch in zip((left, right), epochs, strict=True)
        ]
        if len(set(tables[0]) & set(tables[1])) >= MIN_CANDIDATES or kind == match_by:
            return rank_correlation(tables[0], tables[1], names, level=level)
    raise SearchError(
        f"{names[0]} and {names[1]}: need at least {MIN_CANDIDATES} candidates in common, by "
        "network or by cell, got fewer; compare searches with the same design"
    )


def _accuracies_by(kind: str, records: pd.DataFrame, epoch: int | None) -> Accuracies:
    values = accuracies(records, last_epoch(records, epoch))
    if kind == "candidate":
        return values
    if "cell" not in records:
        return {}
    cells = dict(zip(records["candidate"], records["cell"], strict=True))
    return {
        cell: seeds
        for name, seeds in values.items()
        for cell in str(cells[name]).split("; ")
        if cell
    }


def _compared_epochs(records: pd.DataFrame, requested: Sequence[int] | None) -> list[int]:
    recorded = sorted({int(epoch) for epoch in records["epoch"]})
    if not recorded:
        raise SearchError("records: need at least one finished epoch, got an empty table")
    if requested is not None:
        if missing := sorted(set(requested) - set(recorded)):
            raise SearchError(
                f"records: need recorded epochs, got {', '.join(map(str, missing))}; use some of "
                f"{recorded}"
            )
        return sorted(set(requested))
    if len(recorded) <= MAX_EPOCHS:
        return recorded
    indices = np.geomspace(1, len(recorded), MAX_EPOCHS).round().astype(int) - 1
    return [recorded[index] for index in sorted(set(indices.tolist()))]


def _verdict(pair: RankCorrelation, threshold: float) -> EpochVerdict:
    if pair.spearman is None:
        return "not shown"
    if pair.repeat is not None and pair.repeat.low <= 0:
        return "noise"
    if pair.spearman.low >= threshold:
        return "agrees"
    if pair.shortfall is not None and pair.shortfall.low > 0:
        return "differs"
    alike = pair.across is not None and pair.across.low > 0
    return "not told apart" if alike else "not shown"


def _shortest_epoch(
    verdicts: dict[int, EpochVerdict], last: int, too_few: bool
) -> tuple[int | None, bool]:
    """Return the first epoch from which on all agree, or else are not told apart."""
    kinds = set(verdicts.values())
    if not kinds or "noise" in kinds or too_few:
        return None, False
    for accepted, proven in (({"agrees"}, True), ({"agrees", "not told apart"}, False)):
        shortest = last
        for epoch in sorted(verdicts, reverse=True):
            if verdicts[epoch] not in accepted:
                break
            shortest = epoch
        if shortest != last:
            return shortest, proven
    return last, True


def _notes(
    records: pd.DataFrame, pairs: Iterable[RankCorrelation], trained: int
) -> tuple[str, ...]:
    notes, last = [], list(pairs)[-1]
    if last.candidates < trained:
        has_stopped = "stopped" in records and bool(has_reason(records["stopped"]).any())
        notes.append(
            f"{last.candidates} of {trained} candidates have the last epoch"
            + ("; the ones that continued are similar and harder to rank" if has_stopped else "")
        )
    if last.seeds < 2:
        notes.append(
            "fewer than two seeds in common: the highest correlation that noise permits is "
            "unknown, and epochs of the same run agree partly because they share its luck"
        )
    return tuple(notes)
