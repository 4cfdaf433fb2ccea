"""The report's tables on whether short training ranks networks like long training."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from scalesearch.analysis.optimum import Interval
from scalesearch.reporting.report_data import ReportData
from scalesearch.reporting.tables import (
    FINGERPRINT_DIGITS,
    ReportTable,
    TableCell,
    TableColumn,
    interval_cell,
    report_table,
    roles_text,
    yes_or_no,
)


def rank_correlation_table(report: ReportData) -> ReportTable | None:
    """Tabulate the rank correlation of each epoch with the last."""
    correlation = report.proxy_check.rank_correlation
    last_epoch = correlation.epochs[-1]
    rows = [
        pair for pair in correlation.pairs if pair.other == last_epoch and pair.one != last_epoch
    ]
    columns: tuple[TableColumn, ...] = (
        ("epoch", lambda row: int(row.one), "d"),
        ("networks", lambda row: row.candidates, "d"),
        ("seeds", lambda row: row.seeds, "d"),
        ("Spearman's rho", lambda row: interval_cell(row.spearman), ".2f"),
        ("Kendall's tau", lambda row: interval_cell(row.kendall), ".2f"),
        ("across seeds", lambda row: interval_cell(row.across), ".2f"),
        ("verdict", lambda row: correlation.verdicts.get(int(row.one)), "text"),
    )
    ceiling = correlation.noise_ceiling.repeat
    note = (
        ""
        if ceiling is None
        else f"Across seeds, epoch {last_epoch} agrees with itself by {ceiling.value:.2f} "
        f"[{ceiling.low:.2f}, {ceiling.high:.2f}]; noise lets no other epoch agree more."
    )
    title = f"Rank correlation with epoch {last_epoch}"
    return report_table("agreement", title, columns, rows, note=note) if rows else None


def drift_table(report: ReportData) -> ReportTable | None:
    """Tabulate the optimum at each epoch."""
    columns: tuple[TableColumn, ...] = (
        ("epoch", lambda row: row.epoch, "d"),
        ("networks", lambda row: row.candidates, "d"),
        ("depth share", lambda row: interval_cell(row.shares["depth"]), ".2f"),
        ("width share", lambda row: interval_cell(row.shares["width"]), ".2f"),
        ("resolution share", lambda row: interval_cell(row.shares["resolution"]), ".2f"),
    )
    rows = report.proxy_check.drift.optima if report.proxy_check.drift.gains else ()
    title = "The optimum by the length of training"
    return report_table("drift", title, columns, rows) if rows else None


def other_searches_table(report: ReportData) -> ReportTable | None:
    """Tabulate the rank correlation with other searches of the same candidates."""

    def interval_column(statistic: str) -> Callable[[Any], TableCell | None]:
        """Return a column's function for a statistic with its interval."""
        return lambda row: (
            None
            if row.get(statistic) is None
            else interval_cell(
                Interval(row[statistic], row[f"{statistic}_low"], row[f"{statistic}_high"])
            )
        )

    columns: tuple[TableColumn, ...] = (
        ("search", lambda row: Path(str(row["other"])).name, "text"),
        ("networks", lambda row: row["candidates"], "d"),
        ("Spearman's rho", interval_column("spearman"), ".2f"),
        ("Kendall's tau", interval_column("kendall"), ".2f"),
        ("across seeds", interval_column("across"), ".2f"),
    )
    title = "Rank correlation with other searches"
    return (
        report_table("beside", title, columns, report.other_searches)
        if report.other_searches
        else None
    )


def replication_tables(report: ReportData) -> list[ReportTable]:
    """Tabulate the best and the references, trained again in other ways."""
    columns: tuple[TableColumn, ...] = (
        ("network", lambda row: row["candidate"][:FINGERPRINT_DIGITS], "text"),
        ("part", lambda row: roles_text(row["role"]), "text"),
        ("place in the search", lambda row: row["place_before"], "d"),
        ("accuracy there", lambda row: row["before"], ".4f"),
        ("place", lambda row: row["place"], "d"),
        ("accuracy", lambda row: row["accuracy"], ".4f"),
        ("standard error", lambda row: row["standard_error"], ".4f"),
        ("seeds", lambda row: row["seeds"], "d"),
        ("behind, points", _behind_cell, ".2f"),
        ("may be the best", lambda row: yes_or_no(row["may_win"]), "text"),
    )
    return [
        report_table(
            f"again-{number}",
            _replication_title(document),
            columns,
            document["candidates"],
            note=f"{document['sentence']}.",
            candidate_of=lambda row: str(row["candidate"]),
        )
        for number, document in enumerate(report.replications, 1)
    ]


def _replication_title(document: Mapping[str, Any]) -> str:
    if "what" in document:
        return f"Trained again: {document['what']}"
    epochs = document["epochs"]
    return f"Trained again: {epochs['confirmation']} epochs in place of {epochs['search']}"


def _behind_cell(row: Mapping[str, Any]) -> TableCell | None:
    if row["behind"] is None:
        return None
    value, low, high = (100 * row[name] for name in ("behind", "behind_low", "behind_high"))
    return TableCell(f"{value:.2f} [{low:.2f}, {high:.2f}]", value)
