"""A search's report: one page that holds everything, and the same in Markdown.

Everything comes from ``records.csv``, ``experiment.yaml``, ``environment.json`` and, where they
exist, ``failures.json``, ``jobs.csv`` and what audits wrote: a copy without its study will do.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from scalesearch.files import write_text
from scalesearch.plots.intervals import AXIS_OF
from scalesearch.published import SCHEMES
from scalesearch.report import listings, trusted, words
from scalesearch.report.facts import Facts, read_facts
from scalesearch.report.figures import embedded, simplex_numbers, write_figures
from scalesearch.report.picture import CROSS, FRAME, key_of, picture, ticks
from scalesearch.report.tables import SHORT, Table

MARKDOWN = str.maketrans({sign: f"\\{sign}" for sign in "\\`*_{}[]<>#|"} | {"\n": " "})
"""What would be taken for Markdown, or for HTML, in words that people wrote."""


@dataclass(frozen=True, slots=True)
class Part:
    """A section of words and listings."""

    key: str
    title: str
    words: tuple[str, ...]
    tables: tuple[Table, ...]


def write_report(folder: str | Path) -> tuple[Path, Path]:
    """Write ``figures/``, ``report.html`` and ``report.md`` of a search; return the latter two.

    Raises SearchError where the folder lacks a file or no candidate has finished.
    """
    folder = Path(folder)
    facts = read_facts(folder)
    figures = write_figures(facts, folder / "figures")
    content = _content(facts) | {"figures": figures}
    sources = {one.name: embedded(folder / "figures" / f"{one.name}.svg") for one in figures[1:]}
    page, text = folder / "report.html", folder / "report.md"
    environment = _environment()
    assets = {kind: _asset(environment, f"report.{kind}") for kind in ("css", "js")}
    html = environment.get_template("report.html")
    yaml = (folder / "experiment.yaml").read_text(encoding="utf-8")
    drawing = _drawing(facts)
    write_text(page, html.render(**content, **drawing, **assets, sources=sources, experiment=yaml))
    markdown = environment.overlay(autoescape=False).get_template("report.md")
    write_text(text, markdown.render(**content))
    return page, text


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("scalesearch.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["md"] = lambda value: str(value).translate(MARKDOWN)
    return environment


def _asset(environment: Environment, name: str) -> str:
    assert environment.loader is not None
    source, _, _ = environment.loader.get_source(environment, name)
    return source


def _content(facts: Facts) -> dict[str, Any]:
    """What both forms of the report are made of."""
    said, parts = facts.conclusion, tuple(_parts(facts))
    best = said.optimum
    error = "" if best is None else f"{best.accuracy:.4f} ± {best.standard_error:.4f}"
    contents = [("triangle", "Triangle"), ("figures", "Figures")]
    contents += [(part.key, part.title) for part in parts]
    contents += [("method", "Method"), ("provenance", "Provenance")]
    contents += [("reproduce", "Reproduce"), ("cite", "Cite")]
    return {
        "name": facts.experiment.name,
        "said": said,
        "confidence": f"{1 - said.level:.0%}",
        "coefficients": tuple(_coefficients(facts)),
        "accuracy": error,
        "flat": _flat(facts),
        "recommended": _recommended(facts),
        "contents": contents,
        "parts": parts,
        "method": tuple(words.method(facts)),
        "provenance": tuple(words.provenance(facts)),
        "reproduction": words.reproduction(facts),
        "citations": words.citations(facts),
    }


def _coefficients(facts: Facts) -> Iterator[dict[str, str]]:
    said = facts.conclusion
    if said.optimum is None:
        return
    published = SCHEMES["paper"].coefficients(said.factor)
    for name, axis in AXIS_OF.items():
        found, share = said.optimum.intervals[name], said.optimum.share_intervals[axis]
        yield {
            "name": name,
            "axis": axis,
            "value": f"{found.value:.3f}",
            "low": f"{found.low:.3f}",
            "high": f"{found.high:.3f}",
            "share": f"{share.value:.2f}",
            "share_low": f"{share.low:.2f}",
            "share_high": f"{share.high:.2f}",
            "deserves": f"{said.optimum.deserves[axis]:.0%}",
            "paper": f"{getattr(published, name):.3f}",
        }


def _flat(facts: Facts) -> str:
    found = facts.conclusion.optimum
    if found is None:
        return ""
    if found.p_flat > found.level:
        return f"No difference could be told from noise (p = {found.p_flat:.2g})"
    return f"{found.flat_part:.0%} of all divisions of the budget are as good, within noise"


def _recommended(facts: Facts) -> str:
    """The network to use, in a sentence."""
    said, one = facts.conclusion, facts.conclusion.recommended
    if one is None:
        return ""
    scale, error = one.multipliers, one.standard_error
    accuracy = f"{one.accuracy:.4f}" + ("" if error is None else f" ± {error:.4f}")
    same = "; ".join(
        f"{name} {low:.3f} to {high:.3f}" for name, (low, high) in (said.same_network or {}).items()
    )
    return (
        f"network {one.candidate[:SHORT]}, {said.why}: depth x{scale.depth:.3f}, width "
        f"x{scale.width:.3f}, resolution x{scale.resolution:.3f} of the baseline; {one.macs:,} "
        f"multiply-adds, {one.params:,} parameters, {one.activations:,} activations; accuracy "
        f"{accuracy}."
        + (f" At phi = 1 the same network comes from all of: {same}." if same else "")
    )


def _parts(facts: Facts) -> Iterator[Part]:
    against = [listings.comparisons(facts), listings.references(facts)]
    if known := tuple(one for one in against if one is not None):
        yield Part("comparisons", "Against the obvious alternatives", (), known)
    trained = [listings.candidates(facts), listings.stopped(facts)]
    yield Part("candidates", "Candidates", (), tuple(one for one in trained if one is not None))
    audit = [trusted.agreement(facts), trusted.drift(facts), trusted.beside(facts)]
    if shown := tuple(one for one in audit if one is not None):
        said = tuple(_sentence(text) for text in facts.audit.sentences)
        yield Part("proxy", "Does short training tell?", said, shown)
    if again := trusted.repeated(facts):
        yield Part("again", "The best, trained again", (), tuple(again))
    power, fit = tuple(words.power(facts)), listings.surfaces(facts)
    if power or fit:
        yield Part("fit", "How sure it can be", power, () if fit is None else (fit,))
    failed = listings.failures(facts)
    if failed is not None:
        yield Part("failures", "Failures by class", (), (failed,))


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _drawing(facts: Facts) -> dict[str, Any]:
    """What the triangle of the page is made of."""
    drawn = picture(facts, simplex_numbers(facts))
    runs = {
        mark.candidate: {"title": mark.label.partition(":")[0], "facts": mark.facts}
        for mark in drawn.marks
    }
    return {
        "picture": drawn,
        "runs": runs,
        "ticks": tuple(ticks()),
        "keys": key_of(drawn),
        "frame": FRAME,
        "cross": CROSS,
    }
