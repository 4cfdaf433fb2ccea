"""Whether the short runs of a search can be trusted, from its records alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scalesearch.analysis.drift import EpochDrift, epoch_drift
from scalesearch.analysis.proxy_check import (
    THRESHOLD,
    EpochRankCorrelation,
    epoch_rank_correlation,
    table_rank_correlation,
)
from scalesearch.analysis.rank_correlation import RankCorrelation
from scalesearch.analysis.replication import Replication
from scalesearch.config.experiment import Experiment
from scalesearch.config.reading import read_experiment
from scalesearch.errors import SearchError
from scalesearch.io import write_json
from scalesearch.reporting.confirmation_report import (
    learning_rate_replications,
    replication_document,
)
from scalesearch.results.records import read_records

SCHEMA = "scalesearch/audit"
VERSION = 1
SCHEDULE_NOTE = (
    "epochs are of the same runs, under one schedule, as rungs see them; a shorter recipe of its "
    "own is compared by --beside"
)


@dataclass(frozen=True, slots=True)
class ProxyCheck:
    """Of the search ``name``. ``beside``: with other searches, by the names of their folders.
    ``sensitivity``: to the learning rate and its rule, as far as that was trained."""

    name: str
    rank_correlation: EpochRankCorrelation
    drift: EpochDrift
    other_searches: tuple[RankCorrelation, ...] = ()
    sensitivity: tuple[Replication, ...] = ()

    @property
    def sentences(self) -> list[str]:
        """What it comes to, and what is to be said beside it."""
        lines = [self.rank_correlation.sentence, self.drift.sentence]
        lines += [replication.sentence for replication in self.sensitivity]
        return [*lines, *self.rank_correlation.notes, *self.drift.notes, SCHEDULE_NOTE]

    @property
    def document(self) -> dict[str, Any]:
        """All of it, for programs: ``audit.json``."""
        correlation, drift_result = self.rank_correlation, self.drift
        return {
            "schema": SCHEMA,
            "version": VERSION,
            "name": self.name,
            "level": correlation.level,
            "sentences": self.sentences,
            "agreement": {
                "epochs": list(correlation.epochs),
                "threshold": correlation.threshold,
                "shortest": correlation.shortest_epoch,
                "sure": correlation.is_proven,
                "verdicts": [
                    {"epoch": epoch, "verdict": verdict}
                    for epoch, verdict in correlation.verdicts.items()
                ],
                "pairs": correlation.rows,
            },
            "drift": {
                "drifts": drift_result.has_drift,
                "favoured": list(drift_result.favoured_early),
                "slighted": list(drift_result.penalised_early),
                "gains": drift_result.rows,
                "optima": [optimum.row for optimum in drift_result.optima],
            },
            "beside": [pair.row for pair in self.other_searches],
            "sensitivity": [
                {"what": replication.description, **replication_document(replication)}
                for replication in self.sensitivity
            ],
        }


def proxy_check(
    folder: str | Path,
    other_folders: Sequence[str | Path] = (),
    *,
    level: float = 0.1,
    threshold: float = THRESHOLD,
) -> ProxyCheck:
    """Rank agreement between the epochs of the search in a folder, and how its best drifts.

    ``beside``: folders of other searches of the same candidates, whose last rankings are compared
    with this one's. ``level``: intervals are of 1 - level. Raises SearchError for a folder without
    records, and for searches that have too few candidates in common.
    """
    folder = Path(folder)
    experiment = _read_experiment_of(folder)
    records = read_records(folder / "records.csv")
    last_epoch = experiment.rungs[-1]
    epochs = sorted({int(epoch) for epoch in records["epoch"] if epoch <= last_epoch})
    trained_records = records[records["epoch"].isin(epochs)]
    correlation = epoch_rank_correlation(trained_records, level=level, threshold=threshold)
    return ProxyCheck(
        name=experiment.name,
        rank_correlation=correlation,
        drift=epoch_drift(
            trained_records, experiment.budget.factor, epochs=correlation.epochs, level=level
        ),
        other_searches=tuple(
            _correlation_with(folder, Path(other_folder), last_epoch, level)
            for other_folder in other_folders
        ),
        sensitivity=learning_rate_replications(folder, level=level),
    )


def write_proxy_check(folder: str | Path, check: ProxyCheck) -> Path:
    """Write ``audit.json`` into a search's folder."""
    path = Path(folder) / "audit.json"
    write_json(path, check.document, allow_nan=False)
    return path


def _correlation_with(
    folder: Path, other_folder: Path, last_epoch: int, level: float
) -> RankCorrelation:
    return table_rank_correlation(
        read_records(folder / "records.csv"),
        read_records(other_folder / "records.csv"),
        (str(folder), str(other_folder)),
        epochs=(last_epoch, _read_experiment_of(other_folder).rungs[-1]),
        level=level,
    )


def _read_experiment_of(folder: Path) -> Experiment:
    path = folder / "experiment.yaml"
    if not path.is_file():
        raise SearchError(f"{folder}: holds no search; name the folder of one (results/NAME)")
    return read_experiment(path)
