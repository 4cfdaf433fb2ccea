"""A search's report: one page that holds everything, and the same in Markdown.

Everything comes from ``records.csv``, ``experiment.yaml``, ``environment.json`` and, where they
exist, ``failures.json``, ``jobs.csv`` and what audits wrote: a copy without its study will do.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from scalesearch.figures.intervals import AXIS_OF_COEFFICIENT
from scalesearch.io import write_text
from scalesearch.reporting import proxy_tables as trusted
from scalesearch.reporting import report_prose as words
from scalesearch.reporting import tables as listings
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
"""What would be taken for Markdown, or for HTML, in words that people wrote."""


@dataclass(frozen=True, slots=True)
class Section:
    """A section of words and listings."""

    key: str
    title: str
    words: tuple[str, ...]
    tables: tuple[ReportTable, ...]


def write_report(folder: str | Path) -> tuple[Path, Path]:
    """Write ``figures/``, ``report.html`` and ``report.md`` of a search; return the latter two.

    Raises SearchError where the folder lacks a file or no candidate has finished.
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
    """What both forms of the report are made of."""
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
        "method": tuple(words.method_paragraphs(report)),
        "provenance": tuple(words.provenance_lines(report)),
        "reproduction": words.reproduction_commands(report),
        "citations": words.bibtex_entries(report),
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
        return f"No difference could be told from noise (p = {optimum.p_flat:.2g})"
    return f"{optimum.equivalent_fraction:.0%} of all divisions of the budget are as good, within noise"


def _recommendation(report: ReportData) -> str:
    """The network to use, in a sentence."""
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
        f"network {network.candidate[:FINGERPRINT_DIGITS]}, {conclusion.reason}: depth x{multipliers.depth:.3f}, width "
        f"x{multipliers.width:.3f}, resolution x{multipliers.resolution:.3f} of the baseline; {network.macs:,} "
        f"multiply-adds, {network.params:,} parameters, {network.activations:,} activations; accuracy "
        f"{accuracy}."
        + (f" At phi = 1 the same network comes from all of: {ranges}." if ranges else "")
    )


def _sections(report: ReportData) -> Iterator[Section]:
    reference_tables = [listings.comparisons_table(report), listings.references_table(report)]
    if shown_references := tuple(table for table in reference_tables if table is not None):
        yield Section("comparisons", "Against the obvious alternatives", (), shown_references)
    candidate_tables = [listings.candidates_table(report), listings.stopped_table(report)]
    yield Section(
        "candidates", "Candidates", (), tuple(one for one in candidate_tables if one is not None)
    )
    proxy_tables = [
        trusted.rank_correlation_table(report),
        trusted.drift_table(report),
        trusted.other_searches_table(report),
    ]
    if shown_proxy := tuple(one for one in proxy_tables if one is not None):
        sentences = tuple(_to_sentence(text) for text in report.proxy_check.sentences)
        yield Section("proxy", "Does short training tell?", sentences, shown_proxy)
    if replication_tables := trusted.repeated(report):
        yield Section("again", "The best, trained again", (), tuple(replication_tables))
    power, fit_table = tuple(words.power_sentences(report)), listings.surface_fit_table(report)
    if power or fit_table:
        yield Section("fit", "How sure it can be", power, () if fit_table is None else (fit_table,))
    failures_table = listings.failures_table(report)
    if failures_table is not None:
        yield Section("failures", "Failures by class", (), (failures_table,))


def _to_sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _triangle_values(report: ReportData) -> dict[str, Any]:
    """What the triangle of the page is made of."""
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
