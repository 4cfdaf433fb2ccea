"""The report's tables: rows of cells, each with what it says and what it is sorted by.

What the report lists: candidates, comparisons, references, who was stopped, what failed.
"""

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
"""Digits of a fingerprint that are shown; commands take them, too."""


@dataclass(frozen=True, slots=True)
class TableCell:
    """``value``: what rows are sorted by; None is last."""

    text: str
    value: CellValue


@dataclass(frozen=True, slots=True)
class ReportTable:
    """``numeric``: by column, whether it holds numbers. ``marks``: by row, the candidate that it is
    about, or "". ``note``: what is to be said above it.
    """

    key: str
    title: str
    note: str
    columns: tuple[str, ...]
    numeric: tuple[bool, ...]
    rows: tuple[tuple[TableCell, ...], ...]
    marks: tuple[str, ...]


TableColumn: TypeAlias = tuple[str, Callable[[Any], CellValue | TableCell], str]
"""Its heading, what it tells of a row, and how numbers are written; ``"text"`` for words."""


def report_table(
    key: str,
    title: str,
    columns: Sequence[TableColumn],
    rows: Iterable[Any],
    *,
    note: str = "",
    candidate_of: Callable[[Any], str] = lambda row: "",
) -> ReportTable:
    """The rows, each told by the columns."""
    row_list = list(rows)
    return ReportTable(
        key=key,
        title=title,
        note=note,
        columns=tuple(heading for heading, _, _ in columns),
        numeric=tuple(number_format != "text" for _, _, number_format in columns),
        rows=tuple(
            tuple(_to_cell(value_of(row), form) for _, value_of, form in columns)
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
    """With its bounds, to two digits."""
    if estimate is None:
        return None
    return TableCell(
        f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]", estimate.value
    )


def roles_text(role: str) -> str:
    """The parts a candidate plays, for people."""
    return ", ".join(role.split("+"))


def yes_or_no(value: bool) -> str:
    """In a word."""
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
    """Those that were trained to the end, the best mean first."""
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
            "The first has the highest mean and is therefore flattered by luck. Standard errors "
            "are for comparing networks on the same seeds."
            + (" As good: not to be told from the optimum of the surface." if optimum else "")
        ),
        candidate_of=lambda row: str(row.candidate),
    )


def comparisons_table(report: ReportData) -> ReportTable | None:
    """The answer against each alternative."""
    conclusion = report.conclusion
    if not conclusion.comparisons or conclusion.nearest_to_optimum is None:
        return None
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
            f"How far the answer ({conclusion.nearest_to_optimum.candidate[:FINGERPRINT_DIGITS]}, the trained candidate nearest "
            "to the optimum) is ahead, in points of accuracy, with the interval of "
            f"{1 - conclusion.level:.0%}; p-values are corrected for being several (Holm). "
            "Further seeds: beyond those there are, that would show a difference of this size."
        ),
        candidate_of=lambda row: str(row.candidate or ""),
    )


def _further_seeds_cell(row: Comparison) -> TableCell | None:
    seeds = row.further_seeds
    if seeds is None:
        return None
    return TableCell(f"{seeds} or more" if seeds >= MAX_FURTHER_SEEDS else str(seeds), seeds)


def references_table(report: ReportData) -> ReportTable | None:
    """What stands for each known scheme, and how near it is to it."""
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
        return lambda row: value_of(row[2])

    columns: tuple[TableColumn, ...] = (
        ("reference", lambda row: row[0], "text"),
        ("network", of_result(lambda one: one.candidate[:FINGERPRINT_DIGITS]), "text"),
        ("accuracy", of_result(lambda one: one.accuracy), ".4f"),
        ("standard error", of_result(lambda one: one.standard_error), ".4f"),
        ("seeds", of_result(lambda one: one.seeds), "d"),
        ("asked depth", lambda row: row[1].depth, ".2f"),
        ("asked width", lambda row: row[1].width, ".2f"),
        ("asked resolution", lambda row: row[1].resolution, ".2f"),
        *((name, of_result(read), number_format) for name, read, number_format in SHARE_COLUMNS),
        ("distance", lambda row: row[1].distance(row[2].shares), ".3f"),
        ("cost / baseline's", of_result(lambda one: one.factor), ".3f"),
    )
    return report_table(
        "references",
        "References",
        columns,
        rows,
        note=(
            "A scheme that the baseline cannot realise is stood for by the nearest network of the "
            "same cost; corners of the triangle are 1.41 apart."
        ),
        candidate_of=lambda row: str(row[2].candidate),
    )


def stopped_table(report: ReportData) -> ReportTable | None:
    """Who was not trained to the end, where it ended and why."""
    rows: tuple[StoppedCandidate, ...] = report.stopped
    columns: tuple[TableColumn, ...] = (
        *NAME_COLUMNS,
        ("epoch", lambda row: row.epoch, "d"),
        ("accuracy there", lambda row: row.accuracy, ".4f"),
        ("seeds", lambda row: row.seeds, "d"),
        ("why", lambda row: row.reason, "text"),
        *SHARE_COLUMNS,
    )
    note = "They are not compared with the others; the surface predicts them from where they ended."
    title = f"Stopped before epoch {report.last_epoch}"
    return report_table("stopped", title, columns, rows, note=note) if rows else None


def failures_table(report: ReportData) -> ReportTable | None:
    """What could not be trained, by class."""
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
    return report_table("failures", "Failures by class", columns, rows, note=note)


def surface_fit_table(report: ReportData) -> ReportTable | None:
    """How well each kind of surface predicts a candidate from the others."""
    surface = report.conclusion.response_model
    if surface is None:
        return None
    optimum = report.conclusion.optimum

    def lack_of_fit_column(
        value_of: Callable[[LackOfFitTest], CellValue],
    ) -> Callable[[Any], CellValue]:
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
        ("lack of fit, F", lack_of_fit_column(lambda lack_of_fit: lack_of_fit.statistic), ".2f"),
        ("df", lack_of_fit_column(lambda one: f"{one.df}, {one.df_error}"), "text"),
        ("p", lack_of_fit_column(lambda one: one.p), ".2g"),
    )
    note = (
        "Error: root mean square of what each candidate is missed by when the others predict it. "
        "Lack of fit: what a polynomial leaves over, against what seeds do; a small p says that "
        "it misses more than noise."
    )
    return report_table(
        "surfaces", "How well surfaces fit", columns, list(surface.errors), note=note
    )
