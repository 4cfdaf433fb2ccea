"""Whether short training ranks candidates as long training does, and the shortest that does.

Epochs of one table are of the same runs, under one schedule, as rungs see them. A shorter recipe,
whose schedule ends there, is another table: ``agreement_between`` compares the two.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd

from scalesearch.analysis.additive_model import Floats
from scalesearch.analysis.paired import Accuracies, accuracies
from scalesearch.analysis.rank_correlation import MIN_CANDIDATES, RankCorrelation, rank_correlation
from scalesearch.analysis.summary import has_reason
from scalesearch.errors import SearchError

EpochVerdict: TypeAlias = Literal["agrees", "not told apart", "differs", "noise", "not shown"]
CorrelationKind: TypeAlias = Literal["spearman", "kendall", "across"]
THRESHOLD = 0.7
MAX_EPOCHS = 9
"""Of a longer table, so many epochs are compared, ever further apart."""


@dataclass(frozen=True, slots=True)
class EpochRankCorrelation:
    """Of every two epochs, over the candidates that have both; ``level`` is the intervals'.

    ``pairs``: the earlier epoch first; each also with itself, which tells how it repeats itself
    over other seeds. ``verdicts``: of each epoch before the last, beside the last. "agrees": the
    lower bound of Spearman's rho over the same runs is at least the ``threshold``. "differs":
    across seeds it agrees with the last less than the last does with itself. "not told apart": it
    clearly agrees across seeds, and not clearly less. "noise": the last does not clearly agree
    with itself over other seeds, so there is no order to agree with. "not shown": none of these;
    more candidates or seeds would say.
    ``shortest``: the first epoch from which on all agree, or failing that, are not told apart
    (``sure`` is false); the last where none does; None where that has no order of its own, or too
    little is known. ``trained``: candidates with the first epoch.
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
        """One flat row for each two epochs."""
        return [pair.row for pair in self.pairs]

    @property
    def noise_ceiling(self) -> RankCorrelation:
        """The last epoch with itself: its ``repeat`` is what noise lets any other come to."""
        return self.pairs[-1]

    def matrix(self, kind: CorrelationKind = "spearman") -> Floats:
        """Values by epoch and epoch, nan where unknown; on the diagonal Spearman's rho of an epoch
        with itself over other seeds."""
        values = np.full((len(self.epochs), len(self.epochs)), np.nan)
        for pair in self.pairs:
            row, column = (self.epochs.index(int(label)) for label in (pair.one, pair.other))
            interval = pair.repeat if row == column else getattr(pair, kind)
            if interval is not None:
                values[row, column] = values[column, row] = interval.value
        return values

    @property
    def sentence(self) -> str:
        """What it comes to, in a sentence."""
        last, count = self.epochs[-1], self.noise_ceiling.candidates
        verdict_kinds = set(self.verdicts.values())
        if not self.verdicts:
            return f"only epoch {last} is on record, so there is nothing shorter to compare"
        if self.shortest_epoch is None and "noise" in verdict_kinds:
            return (
                f"the order after {last} epochs does not clearly repeat itself over other seeds: "
                "there is no order that a shorter run could predict"
            )
        if self.shortest_epoch is None and count >= MIN_CANDIDATES:
            return f"the {count} candidates with epoch {last} are equal, and in no order"
        if self.shortest_epoch is None:
            return f"{count} candidates with epoch {last} are too few to compare orders"
        if self.shortest_epoch == last:
            return (
                f"no epoch before the last ({last}) is shown to rank {count} candidates as it does"
            )
        comparison = (
            f"ranks them as epoch {last} does (Spearman's rho at least {self.threshold:g})"
            if self.is_proven
            else f"cannot be told from epoch {last} but for noise, which is no proof that it agrees"
        )
        return f"of {count} candidates, epoch {self.shortest_epoch} {comparison}"


def epoch_rank_correlation(
    records: pd.DataFrame,
    *,
    epochs: Sequence[int] | None = None,
    level: float = 0.1,
    threshold: float = THRESHOLD,
) -> EpochRankCorrelation:
    """The agreement between the epochs of a results table.

    ``epochs``: which, by default those of the table (``MOST_EPOCHS`` of them). Order of rows,
    repeated rows and further columns change nothing. Raises SearchError for an empty table, an
    epoch nobody has, and an accuracy that is not finite.
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
    """The agreement of two tables, each at its last epoch or the one of ``epochs``: trained on
    fewer images, at another resolution, or with another learning rate.

    ``by``: what makes two candidates the same: the network's fingerprint, or the names of the
    plan's cells, since networks at another resolution are others; by default the first where
    enough are common. Raises SearchError where too few are either way.
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
        f"{names[0]} and {names[1]}: need at least {MIN_CANDIDATES} candidates in common, by network or by "
        "cell, got fewer; compare searches of one plan"
    )


def _accuracies_by(kind: str, records: pd.DataFrame, epoch: int | None) -> Accuracies:
    last = epoch or (int(records["epoch"].max()) if len(records) else 0)
    values = accuracies(records, last)
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
                f"records: nobody has epoch {', '.join(map(str, missing))}; there are {recorded}"
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
    """The first epoch from which on all are good enough: proven, or else not told apart."""
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
            + ("; those that were let go on are alike, and harder to rank" if has_stopped else "")
        )
    if last.seeds < 2:
        notes.append(
            "fewer than two seeds in common: how far noise lets orders agree is not known, and the "
            "same run's luck makes its epochs agree"
        )
    return tuple(notes)
