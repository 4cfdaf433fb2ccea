"""Whether the short runs of a search can be trusted, from its records alone."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scalesearch.analysis.agreement import THRESHOLD, Agreement, agreement, agreement_between
from scalesearch.analysis.drift import Drift, drift
from scalesearch.analysis.ranks import RankAgreement
from scalesearch.analysis.repeats import Repeated
from scalesearch.errors import SearchError
from scalesearch.experiment import Experiment, read_experiment
from scalesearch.files import write_text
from scalesearch.records import read_records
from scalesearch.report.repeats import described, sensitivity

SCHEMA = "scalesearch/audit"
VERSION = 1
ONE_SCHEDULE = (
    "epochs are of the same runs, under one schedule, as rungs see them; a shorter recipe of its "
    "own is compared by --beside"
)


@dataclass(frozen=True, slots=True)
class Audit:
    """Of the search ``name``. ``beside``: with other searches, by the names of their folders.
    ``sensitivity``: to the learning rate and its rule, as far as that was trained."""

    name: str
    agreement: Agreement
    drift: Drift
    beside: tuple[RankAgreement, ...] = ()
    sensitivity: tuple[Repeated, ...] = ()

    @property
    def sentences(self) -> list[str]:
        """What it comes to, and what is to be said beside it."""
        found = [self.agreement.words, self.drift.words]
        found += [one.words for one in self.sensitivity]
        return [*found, *self.agreement.notes, *self.drift.notes, ONE_SCHEDULE]

    @property
    def document(self) -> dict[str, Any]:
        """All of it, for programs: ``audit.json``."""
        ranks, moves = self.agreement, self.drift
        return {
            "schema": SCHEMA,
            "version": VERSION,
            "name": self.name,
            "level": ranks.level,
            "sentences": self.sentences,
            "agreement": {
                "epochs": list(ranks.epochs),
                "threshold": ranks.threshold,
                "shortest": ranks.shortest,
                "sure": ranks.sure,
                "verdicts": [
                    {"epoch": epoch, "verdict": verdict}
                    for epoch, verdict in ranks.verdicts.items()
                ],
                "pairs": ranks.rows,
            },
            "drift": {
                "drifts": moves.drifts,
                "favoured": list(moves.favoured),
                "slighted": list(moves.slighted),
                "gains": moves.rows,
                "optima": [best.row for best in moves.bests],
            },
            "beside": [pair.row for pair in self.beside],
            "sensitivity": [{"what": one.what, **described(one)} for one in self.sensitivity],
        }


def audit(
    folder: str | Path,
    beside: Sequence[str | Path] = (),
    *,
    level: float = 0.1,
    threshold: float = THRESHOLD,
) -> Audit:
    """Rank agreement between the epochs of the search in a folder, and how its best drifts.

    ``beside``: folders of other searches of the same candidates, whose last rankings are compared
    with this one's. ``level``: intervals are of 1 - level. Raises SearchError for a folder without
    records, and for searches that have too few candidates in common.
    """
    folder = Path(folder)
    experiment = _experiment(folder)
    records = read_records(folder / "records.csv")
    last = experiment.rungs[-1]
    epochs = sorted({int(epoch) for epoch in records["epoch"] if epoch <= last})
    known = records[records["epoch"].isin(epochs)]
    ranks = agreement(known, level=level, threshold=threshold)
    return Audit(
        name=experiment.name,
        agreement=ranks,
        drift=drift(known, experiment.budget.factor, epochs=ranks.epochs, level=level),
        beside=tuple(_beside(folder, Path(other), last, level) for other in beside),
        sensitivity=sensitivity(folder, level=level),
    )


def write_audit(folder: str | Path, found: Audit) -> Path:
    """Write ``audit.json`` into a search's folder."""
    path = Path(folder) / "audit.json"
    write_text(path, json.dumps(found.document, indent=2, allow_nan=False) + "\n")
    return path


def _beside(folder: Path, other: Path, last: int, level: float) -> RankAgreement:
    return agreement_between(
        read_records(folder / "records.csv"),
        read_records(other / "records.csv"),
        (str(folder), str(other)),
        epochs=(last, _experiment(other).rungs[-1]),
        level=level,
    )


def _experiment(folder: Path) -> Experiment:
    path = folder / "experiment.yaml"
    if not path.is_file():
        raise SearchError(f"{folder}: holds no search; name the folder of one (results/NAME)")
    return read_experiment(path)
