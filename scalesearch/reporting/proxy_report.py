"""Check whether short runs rank networks like long ones, from records."""

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
from scalesearch.io import write_json
from scalesearch.reporting.confirmation_report import (
    learning_rate_replications,
    replication_document,
)
from scalesearch.results.search_folder import FolderLike, SearchFolder

SCHEMA = "scalesearch/audit"
VERSION = 1
SCHEDULE_NOTE = (
    "epochs are of the same runs, under one schedule, as rungs see them; a shorter recipe of its "
    "own is compared by --beside"
)


@dataclass(frozen=True, slots=True)
class ProxyCheck:
    """Rank correlations of a search: between epochs, searches, and rates."""

    name: str
    """Name of the search."""
    rank_correlation: EpochRankCorrelation
    drift: EpochDrift
    other_searches: tuple[RankCorrelation, ...] = ()
    """Correlations with other searches, which are named by their folders."""
    sensitivity: tuple[Replication, ...] = ()
    """Replications with other learning rates and rules, as far as they were trained."""

    @property
    def sentences(self) -> list[str]:
        """The results and their notes."""
        lines = [self.rank_correlation.sentence, self.drift.sentence]
        lines += [replication.sentence for replication in self.sensitivity]
        return [*lines, *self.rank_correlation.notes, *self.drift.notes, SCHEDULE_NOTE]

    @property
    def document(self) -> dict[str, Any]:
        """The check as JSON values, for ``audit.json``."""
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
    folder: FolderLike,
    other_folders: Sequence[str | Path] = (),
    *,
    level: float = 0.1,
    threshold: float = THRESHOLD,
) -> ProxyCheck:
    """Correlate the rankings at a search's epochs, and follow its optimum.

    ``other_folders``: other searches of the same candidates, whose final rankings are compared
    with this one's. ``level``: intervals have a confidence of 1 - level. Raises SearchError for a
    folder without records, and for searches with too few candidates in common.
    """
    search = SearchFolder.from_path(folder)
    last_epoch = search.last_epoch
    records = search.records[search.records["epoch"] <= last_epoch]
    correlation = epoch_rank_correlation(records, level=level, threshold=threshold)
    return ProxyCheck(
        name=search.experiment.name,
        rank_correlation=correlation,
        drift=epoch_drift(
            records, search.experiment.budget.factor, epochs=correlation.epochs, level=level
        ),
        other_searches=tuple(
            _correlation_with(search, SearchFolder(other_folder), level)
            for other_folder in other_folders
        ),
        sensitivity=learning_rate_replications(search, level=level),
    )


def write_proxy_check(folder: str | Path, check: ProxyCheck) -> Path:
    """Write ``audit.json`` into a search's folder."""
    path = Path(folder) / "audit.json"
    write_json(path, check.document, allow_nan=False)
    return path


def _correlation_with(search: SearchFolder, other: SearchFolder, level: float) -> RankCorrelation:
    return table_rank_correlation(
        search.records,
        other.records,
        (str(search.path), str(other.path)),
        epochs=(search.last_epoch, other.last_epoch),
        level=level,
    )
