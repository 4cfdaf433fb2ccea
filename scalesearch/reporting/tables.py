"""The report's tables: candidates, comparisons, references, failures."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from scalesearch.analysis.comparisons import MAX_FURTHER_SEEDS, Comparison
from scalesearch.analysis.optimum import Interval
from scalesearch.analysis.response_model import LackOfFitTest
from scalesearch.analysis.summary import StoppedCandidate
from scalesearch.reporting.report_data import ReportData
from scalesearch.scaling.published import SCHEMES

CellValue: TypeAlias = float | str | None
FINGERPRINT_DIGITS = 8
"""Digits of a fingerprint in tables; commands accept them, too."""


@dataclass(frozen=True, slots=True)
class TableCell:
    """A cell of a table."""

    text: str
    value: CellValue
    """Key for sorting rows; None is last."""


@dataclass(frozen=True, slots=True)
class ReportTable:
    """A table with text for each cell."""

    key: str
    title: str
    note: str
    """Text above the table."""
    columns: tuple[str, ...]
    numeric: tuple[bool, ...]
    """For each column, whether it holds numbers."""
    rows: tuple[tuple[TableCell, ...], ...]
    marks: tuple[str, ...]
    """For each row, the candidate that it describes, or an empty string."""


TableColumn: TypeAlias = tuple[str, Callable[[Any], CellValue | TableCell], str]
"""Heading, function of the row that gives the value, and format of numbers or ``"text"``."""


def report_table(
    key: str,
    title: str,
    columns: Sequence[TableColumn],
    rows: Iterable[Any],
    *,
    note: str = "",
    candidate_of: Callable[[Any], str] = lambda row: "",
) -> ReportTable:
    """Make a table of rows."""
    row_list = list(rows)
    return ReportTable(
        key=key,
        title=title,
        note=note,
        columns=tuple(heading for heading, _, _ in columns),
        numeric=tuple(number_format != "text" for _, _, number_format in columns),
        rows=tuple(
            tuple(_to_cell(value_of(row), number_format) for _, value_of, number_format in columns)
            for row in row_list
        ),
        marks=tuple(candidate_of(row) for row in row_list),
    )


def _to_cell(value: CellValue | TableCell, number_format: str) -> TableCell:
    if isinstance(value, TableCell):
        return value
    if value is None:
        return TableCell("-", None)
    return TableCell(str(value) if number_format == "text" else format(value, number_format), value)


def interval_cell(estimate: Interval | None) -> TableCell | None:
    """Format an estimate with its bounds, to two digits."""
    if estimate is None:
        return None
    return TableCell(
        f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]", estimate.value
    )


def roles_text(role: str) -> str:
    """Format the roles of a candidate for people."""
    return ", ".join(role.split("+"))


def yes_or_no(value: bool) -> str:
    """Return ``yes`` or ``no``."""
    return "yes" if value else "no"


SHARE_COLUMNS: tuple[TableColumn, ...] = (
    ("depth share", lambda row: row.shares.depth, ".2f"),
    ("width share", lambda row: row.shares.width, ".2f"),
    ("resolution share", lambda row: row.shares.resolution, ".2f"),
)
COST_COLUMNS: tuple[TableColumn, ...] = (
    ("cost / baseline's", lambda row: row.factor, ".3f"),
    ("multiply-adds", lambda row: row.macs, ",d"),
    ("parameters", lambda row: row.params, ",d"),
    ("activations", lambda row: row.activations, ",d"),
)
NAME_COLUMNS: tuple[TableColumn, ...] = (
    ("network", lambda row: row.candidate[:FINGERPRINT_DIGITS], "text"),
    ("part", lambda row: roles_text(row.role), "text"),
)


def candidates_table(report: ReportData) -> ReportTable:
    """Tabulate the candidates that reached the last rung, the best mean first."""
    optimum = report.conclusion.optimum
    flat_candidates = set(optimum.equivalent_candidates) if optimum else set()
    columns: list[TableColumn] = [
        *NAME_COLUMNS,
        ("accuracy", lambda row: row.accuracy, ".4f"),
        ("standard error", lambda row: row.standard_error, ".4f"),
        ("seeds", lambda row: row.seeds, "d"),
        *SHARE_COLUMNS,
        ("depth x", lambda row: row.multipliers.depth, ".3f"),
        ("width x", lambda row: row.multipliers.width, ".3f"),
        ("resolution x", lambda row: row.multipliers.resolution, ".3f"),
        *COST_COLUMNS,
    ]
    if optimum:
        columns.insert(
            5, ("as good", lambda row: yes_or_no(row.candidate in flat_candidates), "text")
        )
    if any(row.stopped for row in report.results):
        columns.append(("why no more seeds", lambda row: row.stopped, "text"))
    return report_table(
        "candidates",
        f"Candidates trained to epoch {report.last_epoch}",
        columns,
        report.results,
        note=(
            "The first has the highest mean, which is partly luck. Standard errors are for "
            "comparisons of networks on the same seeds."
            + (" As good: within noise of the optimum of the surface." if optimum else "")
        ),
        candidate_of=lambda row: str(row.candidate),
    )


def comparisons_table(report: ReportData) -> ReportTable | None:
    """Tabulate the comparisons with each reference."""
    conclusion = report.conclusion
    if not conclusion.comparisons or conclusion.nearest_to_optimum is None:
        return None
    nearest = conclusion.nearest_to_optimum.candidate[:FINGERPRINT_DIGITS]
    columns: tuple[TableColumn, ...] = (
        ("against", lambda row: row.reference, "text"),
        ("network", lambda row: row.candidate and row.candidate[:FINGERPRINT_DIGITS], "text"),
        ("difference, points", lambda row: 100 * row.difference, "+.2f"),
        ("from", lambda row: 100 * row.low, "+.2f"),
        ("to", lambda row: 100 * row.high, "+.2f"),
        ("p", lambda row: row.p, ".3g"),
        ("p, corrected", lambda row: row.p_corrected, ".3g"),
        ("by", lambda row: row.by, "text"),
        ("seeds", lambda row: row.seeds, "d"),
        ("further seeds", _further_seeds_cell, "d"),
        ("in words", lambda row: row.words, "text"),
    )
    return report_table(
        "comparisons",
        "Against the obvious alternatives",
        columns,
        conclusion.comparisons,
        note=(
            f"Lead of the trained candidate nearest to the optimum ({nearest}) in points of "
            f"accuracy, with its {1 - conclusion.level:.0%} interval; p-values have Holm's "
            "correction for several tests. Further seeds: additional seeds that would show a "
            "difference of this size."
        ),
        candidate_of=lambda row: str(row.candidate or ""),
    )


def _further_seeds_cell(row: Comparison) -> TableCell | None:
    seeds = row.further_seeds
    if seeds is None:
        return None
    return TableCell(f"{seeds} or more" if seeds >= MAX_FURTHER_SEEDS else str(seeds), seeds)


def references_table(report: ReportData) -> ReportTable | None:
    """Tabulate the network of each published scheme, and its distance from the scheme."""
    factor = report.conclusion.factor
    rows = [
        (name, SCHEMES[name].coefficients(factor).shares, result)
        for name in SCHEMES
        for result in report.results
        if name in result.role.split("+")
    ]
    if not rows:
        return None

    def of_result(
        value_of: Callable[[Any], CellValue | TableCell],
    ) -> Callable[[Any], CellValue | TableCell]:
        """Return a column's function, which takes a row, from one of its result."""
        return lambda row: value_of(row[2])

    columns: tuple[TableColumn, ...] = (
        ("reference", lambda row: row[0], "text"),
        ("network", of_result(lambda result: result.candidate[:FINGERPRINT_DIGITS]), "text"),
        ("accuracy", of_result(lambda result: result.accuracy), ".4f"),
        ("standard error", of_result(lambda result: result.standard_error), ".4f"),
        ("seeds", of_result(lambda result: result.seeds), "d"),
        ("asked depth", lambda row: row[1].depth, ".2f"),
        ("asked width", lambda row: row[1].width, ".2f"),
        ("asked resolution", lambda row: row[1].resolution, ".2f"),
        *(
            (name, of_result(value_of), number_format)
            for name, value_of, number_format in SHARE_COLUMNS
        ),
        ("distance", lambda row: row[1].distance(row[2].shares), ".3f"),
        ("cost / baseline's", of_result(lambda result: result.factor), ".3f"),
    )
    return report_table(
        "references",
        "References",
        columns,
        rows,
        note=(
            "For a scheme that the baseline cannot realise, the nearest network of the same cost "
            "is shown; corners of the triangle are 1.41 apart."
        ),
        candidate_of=lambda row: str(row[2].candidate),
    )


def stopped_table(report: ReportData) -> ReportTable | None:
    """Tabulate the candidates that were stopped early, with epoch and reason."""
    rows: tuple[StoppedCandidate, ...] = report.conclusion.stopped
    columns: tuple[TableColumn, ...] = (
        *NAME_COLUMNS,
        ("epoch", lambda row: row.epoch, "d"),
        ("accuracy there", lambda row: row.accuracy, ".4f"),
        ("seeds", lambda row: row.seeds, "d"),
        ("why", lambda row: row.reason, "text"),
        *SHARE_COLUMNS,
    )
    note = "They are not compared with the others; the surface extrapolates from their last epoch."
    title = f"Stopped before epoch {report.last_epoch}"
    return report_table("stopped", title, columns, rows, note=note) if rows else None


def failures_table(report: ReportData) -> ReportTable | None:
    """Tabulate the candidates that failed, by kind of failure."""
    columns: tuple[TableColumn, ...] = (
        ("class", lambda row: str(row.get("kind", "unknown")).replace("_", " "), "text"),
        ("network", lambda row: str(row.get("candidate", ""))[:FINGERPRINT_DIGITS], "text"),
        ("part", lambda row: roles_text(str(row.get("role", ""))), "text"),
        ("why", lambda row: str(row.get("reason", "")), "text"),
    )
    rows = sorted(report.failures, key=lambda row: str(row.get("kind", "")))
    if not rows:
        return None
    counts: dict[str, int] = {}
    for row in rows:
        kind = str(row.get("kind", "unknown")).replace("_", " ")
        counts[kind] = counts.get(kind, 0) + 1
    note = ", ".join(f"{kind}: {count}" for kind, count in counts.items())
    return report_table("failures", "Failures by kind", columns, rows, note=note)


def surface_fit_table(report: ReportData) -> ReportTable | None:
    """Tabulate how well each kind of surface predicts a candidate from the others."""
    surface = report.conclusion.response_model
    if surface is None:
        return None
    optimum = report.conclusion.optimum

    def lack_of_fit_column(
        value_of: Callable[[LackOfFitTest], CellValue],
    ) -> Callable[[Any], CellValue]:
        """Return a column's function, which is empty where there was no test."""
        return lambda kind: (
            value_of(surface.lack_of_fit[kind]) if kind in surface.lack_of_fit else None
        )

    columns: tuple[TableColumn, ...] = (
        ("surface", lambda kind: kind, "text"),
        ("error of prediction, points", lambda kind: 100 * surface.errors[kind], ".2f"),
        ("predicts best", lambda kind: yes_or_no(kind == surface.kind), "text"),
        (
            "the optimum's",
            lambda kind: yes_or_no(optimum is not None and kind == optimum.degree),
            "text",
        ),
        ("lack of fit, F", lack_of_fit_column(lambda test: test.statistic), ".2f"),
        ("df", lack_of_fit_column(lambda test: f"{test.df}, {test.df_error}"), "text"),
        ("p", lack_of_fit_column(lambda test: test.p), ".2g"),
    )
    note = (
        "Error: root mean square error of each candidate, predicted from the others. Lack of fit: "
        "residuals of a polynomial against the noise of seeds; a small p means that its misfit "
        "is more than noise."
    )
    return report_table(
        "surfaces", "How well surfaces fit", columns, list(surface.errors), note=note
    )
