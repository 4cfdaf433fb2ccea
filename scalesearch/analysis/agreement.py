"""Whether short training ranks candidates as long training does, and the shortest that does.

Epochs of one table are of the same runs, under one schedule, as rungs see them. A shorter recipe,
whose schedule ends there, is another table: ``agreement_between`` compares the two.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd

from scalesearch.analysis.answer import told
from scalesearch.analysis.pairs import Accuracies, accuracies
from scalesearch.analysis.ranks import FEWEST, RankAgreement, rank_agreement
from scalesearch.analysis.twoway import Floats
from scalesearch.errors import SearchError

Verdict: TypeAlias = Literal["agrees", "not told apart", "differs", "noise", "not shown"]
Kind: TypeAlias = Literal["spearman", "kendall", "across"]
THRESHOLD = 0.7
MOST_EPOCHS = 9
"""Of a longer table, so many epochs are compared, ever further apart."""


@dataclass(frozen=True, slots=True)
class Agreement:
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
    pairs: tuple[RankAgreement, ...]
    verdicts: dict[int, Verdict]
    shortest: int | None
    sure: bool
    trained: int
    level: float
    threshold: float
    notes: tuple[str, ...]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One flat row for each two epochs."""
        return [pair.row for pair in self.pairs]

    @property
    def ceiling(self) -> RankAgreement:
        """The last epoch with itself: its ``repeat`` is what noise lets any other come to."""
        return self.pairs[-1]

    def matrix(self, kind: Kind = "spearman") -> Floats:
        """Values by epoch and epoch, nan where unknown; on the diagonal Spearman's rho of an epoch
        with itself over other seeds."""
        found = np.full((len(self.epochs), len(self.epochs)), np.nan)
        for pair in self.pairs:
            one, other = (self.epochs.index(int(epoch)) for epoch in (pair.one, pair.other))
            interval = pair.repeat if one == other else getattr(pair, kind)
            if interval is not None:
                found[one, other] = found[other, one] = interval.value
        return found

    @property
    def words(self) -> str:
        """What it comes to, in a sentence."""
        last, count = self.epochs[-1], self.ceiling.candidates
        kinds = set(self.verdicts.values())
        if not self.verdicts:
            return f"only epoch {last} is on record, so there is nothing shorter to compare"
        if self.shortest is None and "noise" in kinds:
            return (
                f"the order after {last} epochs does not clearly repeat itself over other seeds: "
                "there is no order that a shorter run could predict"
            )
        if self.shortest is None and count >= FEWEST:
            return f"the {count} candidates with epoch {last} are equal, and in no order"
        if self.shortest is None:
            return f"{count} candidates with epoch {last} are too few to compare orders"
        if self.shortest == last:
            return (
                f"no epoch before the last ({last}) is shown to rank {count} candidates as it does"
            )
        how = (
            f"ranks them as epoch {last} does (Spearman's rho at least {self.threshold:g})"
            if self.sure
            else f"cannot be told from epoch {last} but for noise, which is no proof that it agrees"
        )
        return f"of {count} candidates, epoch {self.shortest} {how}"


def agreement(
    records: pd.DataFrame,
    *,
    epochs: Sequence[int] | None = None,
    level: float = 0.1,
    threshold: float = THRESHOLD,
) -> Agreement:
    """The agreement between the epochs of a results table.

    ``epochs``: which, by default those of the table (``MOST_EPOCHS`` of them). Order of rows,
    repeated rows and further columns change nothing. Raises SearchError for an empty table, an
    epoch nobody has, and an accuracy that is not finite.
    """
    chosen = _epochs(records, epochs)
    values = {epoch: accuracies(records, epoch) for epoch in chosen}
    pairs = tuple(
        rank_agreement(values[one], values[other], (one, other), level=level)
        for place, other in enumerate(chosen)
        for one in chosen[: place + 1]
    )
    last = chosen[-1]
    verdicts = {
        int(pair.one): _verdict(pair, threshold)
        for pair in pairs
        if pair.other == last and pair.one != last
    }
    shortest, sure = _shortest(verdicts, last, pairs[-1].spearman is None)
    return Agreement(
        epochs=tuple(chosen),
        pairs=pairs,
        verdicts=verdicts,
        shortest=shortest,
        sure=sure,
        trained=len(values[chosen[0]]),
        level=level,
        threshold=threshold,
        notes=_notes(records, pairs, len(values[chosen[0]])),
    )


def agreement_between(
    one: pd.DataFrame,
    other: pd.DataFrame,
    names: tuple[str, str] = ("one", "other"),
    *,
    epochs: tuple[int | None, int | None] = (None, None),
    by: Literal["candidate", "cell"] | None = None,
    level: float = 0.1,
) -> RankAgreement:
    """The agreement of two tables, each at its last epoch or the one of ``epochs``: trained on
    fewer images, at another resolution, or with another learning rate.

    ``by``: what makes two candidates the same: the network's fingerprint, or the names of the
    plan's cells, since networks at another resolution are others; by default the first where
    enough are common. Raises SearchError where too few are either way.
    """
    kinds = (by,) if by else ("candidate", "cell")
    for kind in kinds:
        tables = [
            _known_by(kind, table, epoch) for table, epoch in zip((one, other), epochs, strict=True)
        ]
        if len(set(tables[0]) & set(tables[1])) >= FEWEST or kind == by:
            return rank_agreement(tables[0], tables[1], names, level=level)
    raise SearchError(
        f"{names[0]} and {names[1]}: need at least {FEWEST} candidates in common, by network or by "
        "cell, got fewer; compare searches of one plan"
    )


def _known_by(kind: str, records: pd.DataFrame, epoch: int | None) -> Accuracies:
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


def _epochs(records: pd.DataFrame, asked: Sequence[int] | None) -> list[int]:
    known = sorted({int(epoch) for epoch in records["epoch"]})
    if not known:
        raise SearchError("records: need at least one finished epoch, got an empty table")
    if asked is not None:
        if missing := sorted(set(asked) - set(known)):
            raise SearchError(
                f"records: nobody has epoch {', '.join(map(str, missing))}; there are {known}"
            )
        return sorted(set(asked))
    if len(known) <= MOST_EPOCHS:
        return known
    places = np.geomspace(1, len(known), MOST_EPOCHS).round().astype(int) - 1
    return [known[place] for place in sorted(set(places.tolist()))]


def _verdict(pair: RankAgreement, threshold: float) -> Verdict:
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


def _shortest(verdicts: dict[int, Verdict], last: int, few: bool) -> tuple[int | None, bool]:
    """The first epoch from which on all are good enough: proven, or else not told apart."""
    kinds = set(verdicts.values())
    if not kinds or "noise" in kinds or few:
        return None, False
    for good, sure in (({"agrees"}, True), ({"agrees", "not told apart"}, False)):
        found = last
        for epoch in sorted(verdicts, reverse=True):
            if verdicts[epoch] not in good:
                break
            found = epoch
        if found != last:
            return found, sure
    return last, True


def _notes(records: pd.DataFrame, pairs: Iterable[RankAgreement], trained: int) -> tuple[str, ...]:
    notes, last = [], list(pairs)[-1]
    if last.candidates < trained:
        chosen = "stopped" in records and bool(told(records["stopped"]).any())
        notes.append(
            f"{last.candidates} of {trained} candidates have the last epoch"
            + ("; those that were let go on are alike, and harder to rank" if chosen else "")
        )
    if last.seeds < 2:
        notes.append(
            "fewer than two seeds in common: how far noise lets orders agree is not known, and the "
            "same run's luck makes its epochs agree"
        )
    return tuple(notes)
