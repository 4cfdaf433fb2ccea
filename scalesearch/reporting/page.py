"""The report of a search: one self-contained HTML page, and the same in Markdown.

It is made from ``records.csv``, ``experiment.yaml``, ``environment.json`` and, if they exist,
``failures.json``, ``jobs.csv``, ``audit.json`` and ``confirm.json``; the study is not needed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from scalesearch.figures.intervals import AXIS_OF_COEFFICIENT
from scalesearch.io import write_text
from scalesearch.reporting import proxy_tables, report_prose, tables
from scalesearch.reporting.report_data import ReportData, read_report_data
from scalesearch.reporting.report_figures import svg_data_uri, triangle_data, write_report_figures
from scalesearch.reporting.tables import FINGERPRINT_DIGITS, ReportTable
from scalesearch.reporting.ternary_svg import (
    FRAME_PATH,
    OPTIMUM_PATH,
    grid_ticks,
    legend_marks,
    ternary_svg,
)
from scalesearch.scaling.published import SCHEMES

MARKDOWN_ESCAPES = str.maketrans({sign: f"\\{sign}" for sign in "\\`*_{}[]<>#|"} | {"\n": " "})
"""Characters in user's text that Markdown or HTML would interpret."""


@dataclass(frozen=True, slots=True)
class Section:
    """A section of paragraphs and tables."""

    key: str
    title: str
    words: tuple[str, ...]
    tables: tuple[ReportTable, ...]


def write_report(folder: str | Path) -> tuple[Path, Path]:
    """Write ``figures/``, ``report.html`` and ``report.md``; return both pages.

    Raises SearchError if the folder lacks a file or no candidate has finished.
    """
    folder = Path(folder)
    report = read_report_data(folder)
    figures = write_report_figures(report, folder / "figures")
    values = _template_values(report) | {"figures": figures}
    images = {
        figure.name: svg_data_uri(folder / "figures" / f"{figure.name}.svg")
        for figure in figures[1:]
    }
    html_path, markdown_path = folder / "report.html", folder / "report.md"
    environment = _jinja_environment()
    assets = {kind: _template_source(environment, f"report.{kind}") for kind in ("css", "js")}
    html_template = environment.get_template("report.html")
    yaml = (folder / "experiment.yaml").read_text(encoding="utf-8")
    triangle = _triangle_values(report)
    write_text(
        html_path,
        html_template.render(**values, **triangle, **assets, sources=images, experiment=yaml),
    )
    markdown_template = environment.overlay(autoescape=False).get_template("report.md")
    write_text(markdown_path, markdown_template.render(**values))
    return html_path, markdown_path


def _jinja_environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("scalesearch.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["md"] = lambda value: str(value).translate(MARKDOWN_ESCAPES)
    return environment


def _template_source(environment: Environment, name: str) -> str:
    assert environment.loader is not None
    source, _, _ = environment.loader.get_source(environment, name)
    return source


def _template_values(report: ReportData) -> dict[str, Any]:
    """Return the values that both templates need."""
    conclusion, sections = report.conclusion, tuple(_sections(report))
    optimum = conclusion.optimum
    accuracy = "" if optimum is None else f"{optimum.accuracy:.4f} ± {optimum.standard_error:.4f}"
    contents = [("triangle", "Triangle"), ("figures", "Figures")]
    contents += [(section.key, section.title) for section in sections]
    contents += [("method", "Method"), ("provenance", "Provenance")]
    contents += [("reproduce", "Reproduce"), ("cite", "Cite")]
    return {
        "name": report.experiment.name,
        "said": conclusion,
        "confidence": f"{1 - conclusion.level:.0%}",
        "coefficients": tuple(_coefficient_rows(report)),
        "accuracy": accuracy,
        "flat": _flatness_text(report),
        "recommended": _recommendation(report),
        "contents": contents,
        "parts": sections,
        "method": tuple(report_prose.method_paragraphs(report)),
        "provenance": tuple(report_prose.provenance_lines(report)),
        "reproduction": report_prose.reproduction_commands(report),
        "citations": report_prose.bibtex_entries(report),
    }


def _coefficient_rows(report: ReportData) -> Iterator[dict[str, str]]:
    conclusion = report.conclusion
    if conclusion.optimum is None:
        return
    published = SCHEMES["paper"].coefficients(conclusion.factor)
    for name, axis in AXIS_OF_COEFFICIENT.items():
        interval, share = (
            conclusion.optimum.coefficient_intervals[name],
            conclusion.optimum.share_intervals[axis],
        )
        yield {
            "name": name,
            "axis": axis,
            "value": f"{interval.value:.3f}",
            "low": f"{interval.low:.3f}",
            "high": f"{interval.high:.3f}",
            "share": f"{share.value:.2f}",
            "share_low": f"{share.low:.2f}",
            "share_high": f"{share.high:.2f}",
            "deserves": f"{conclusion.optimum.share_probability[axis]:.0%}",
            "paper": f"{getattr(published, name):.3f}",
        }


def _flatness_text(report: ReportData) -> str:
    optimum = report.conclusion.optimum
    if optimum is None:
        return ""
    if optimum.p_flat > optimum.level:
        return f"No difference is significant (p = {optimum.p_flat:.2g})"
    fraction = f"{optimum.equivalent_fraction:.0%}"
    return f"{fraction} of all divisions of the budget are as good, within noise"


def _recommendation(report: ReportData) -> str:
    """Describe the recommended network in a sentence."""
    conclusion, network = report.conclusion, report.conclusion.recommended
    if network is None:
        return ""
    multipliers, error = network.multipliers, network.standard_error
    accuracy = f"{network.accuracy:.4f}" + ("" if error is None else f" ± {error:.4f}")
    ranges = "; ".join(
        f"{name} {low:.3f} to {high:.3f}"
        for name, (low, high) in (conclusion.equivalent_coefficients or {}).items()
    )
    return (
        f"network {network.candidate[:FINGERPRINT_DIGITS]}, {conclusion.reason}: "
        f"depth x{multipliers.depth:.3f}, width x{multipliers.width:.3f}, "
        f"resolution x{multipliers.resolution:.3f} of the baseline; {network.macs:,} "
        f"multiply-adds, {network.params:,} parameters, {network.activations:,} activations; "
        f"accuracy {accuracy}."
        + (f" At phi = 1 the same network comes from all of: {ranges}." if ranges else "")
    )


def _sections(report: ReportData) -> Iterator[Section]:
    reference_tables = [tables.comparisons_table(report), tables.references_table(report)]
    if shown_references := tuple(table for table in reference_tables if table is not None):
        yield Section("comparisons", "Against the obvious alternatives", (), shown_references)
    candidate_tables = [tables.candidates_table(report), tables.stopped_table(report)]
    shown_candidates = tuple(table for table in candidate_tables if table is not None)
    yield Section("candidates", "Candidates", (), shown_candidates)
    correlation_tables = [
        proxy_tables.rank_correlation_table(report),
        proxy_tables.drift_table(report),
        proxy_tables.other_searches_table(report),
    ]
    if shown_proxy := tuple(table for table in correlation_tables if table is not None):
        sentences = tuple(_to_sentence(text) for text in report.proxy_check.sentences)
        yield Section(
            "proxy", "Does short training rank like long training?", sentences, shown_proxy
        )
    if replications := proxy_tables.replication_tables(report):
        yield Section("again", "The best, trained again", (), tuple(replications))
    power, fit_table = tuple(report_prose.power_sentences(report)), tables.surface_fit_table(report)
    if power or fit_table:
        yield Section("fit", "How certain it is", power, () if fit_table is None else (fit_table,))
    failures_table = tables.failures_table(report)
    if failures_table is not None:
        yield Section("failures", "Failures by kind", (), (failures_table,))


def _to_sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _triangle_values(report: ReportData) -> dict[str, Any]:
    """Return the values of the page's interactive triangle."""
    svg = ternary_svg(report, triangle_data(report))
    runs = {
        mark.candidate: {"title": mark.label.partition(":")[0], "facts": mark.facts}
        for mark in svg.marks
    }
    return {
        "picture": svg,
        "runs": runs,
        "ticks": tuple(grid_ticks()),
        "keys": legend_marks(svg),
        "frame": FRAME_PATH,
        "cross": OPTIMUM_PATH,
    }
