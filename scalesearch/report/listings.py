"""What the report lists: candidates, comparisons, references, who was stopped, what failed."""

from collections.abc import Callable
from typing import Any

from scalesearch.analysis.answer import Stopped
from scalesearch.analysis.comparisons import MOST_FURTHER, Comparison
from scalesearch.analysis.surface import LackOfFit
from scalesearch.published import SCHEMES
from scalesearch.report.facts import Facts
from scalesearch.report.tables import SHORT, Cell, Column, Table, Value, parts, table, yes

SHARES: tuple[Column, ...] = (
    ("depth share", lambda row: row.shares.depth, ".2f"),
    ("width share", lambda row: row.shares.width, ".2f"),
    ("resolution share", lambda row: row.shares.resolution, ".2f"),
)
COSTS: tuple[Column, ...] = (
    ("cost / baseline's", lambda row: row.factor, ".3f"),
    ("multiply-adds", lambda row: row.macs, ",d"),
    ("parameters", lambda row: row.params, ",d"),
    ("activations", lambda row: row.activations, ",d"),
)
NAMES: tuple[Column, ...] = (
    ("network", lambda row: row.candidate[:SHORT], "text"),
    ("part", lambda row: parts(row.role), "text"),
)


def candidates(facts: Facts) -> Table:
    """Those that were trained to the end, the best mean first."""
    found = facts.conclusion.optimum
    alike = set(found.flat_candidates) if found else set()
    columns: list[Column] = [
        *NAMES,
        ("accuracy", lambda row: row.accuracy, ".4f"),
        ("standard error", lambda row: row.standard_error, ".4f"),
        ("seeds", lambda row: row.seeds, "d"),
        *SHARES,
        ("depth x", lambda row: row.multipliers.depth, ".3f"),
        ("width x", lambda row: row.multipliers.width, ".3f"),
        ("resolution x", lambda row: row.multipliers.resolution, ".3f"),
        *COSTS,
    ]
    if found:
        columns.insert(5, ("as good", lambda row: yes(row.candidate in alike), "text"))
    if any(row.stopped for row in facts.results):
        columns.append(("why no more seeds", lambda row: row.stopped, "text"))
    return table(
        "candidates",
        f"Candidates trained to epoch {facts.epoch}",
        columns,
        facts.results,
        note=(
            "The first has the highest mean and is therefore flattered by luck. Standard errors "
            "are for comparing networks on the same seeds."
            + (" As good: not to be told from the optimum of the surface." if found else "")
        ),
        mark=lambda row: str(row.candidate),
    )


def comparisons(facts: Facts) -> Table | None:
    """The answer against each alternative."""
    said = facts.conclusion
    if not said.comparisons or said.answer is None:
        return None
    columns: tuple[Column, ...] = (
        ("against", lambda row: row.reference, "text"),
        ("network", lambda row: row.candidate and row.candidate[:SHORT], "text"),
        ("difference, points", lambda row: 100 * row.difference, "+.2f"),
        ("from", lambda row: 100 * row.low, "+.2f"),
        ("to", lambda row: 100 * row.high, "+.2f"),
        ("p", lambda row: row.p, ".3g"),
        ("p, corrected", lambda row: row.p_corrected, ".3g"),
        ("by", lambda row: row.by, "text"),
        ("seeds", lambda row: row.seeds, "d"),
        ("further seeds", _further, "d"),
        ("in words", lambda row: row.words, "text"),
    )
    return table(
        "comparisons",
        "Against the obvious alternatives",
        columns,
        said.comparisons,
        note=(
            f"How far the answer ({said.answer.candidate[:SHORT]}, the trained candidate nearest "
            "to the optimum) is ahead, in points of accuracy, with the interval of "
            f"{1 - said.level:.0%}; p-values are corrected for being several (Holm). "
            "Further seeds: beyond those there are, that would show a difference of this size."
        ),
        mark=lambda row: str(row.candidate or ""),
    )


def _further(row: Comparison) -> Cell | None:
    seeds = row.further_seeds
    if seeds is None:
        return None
    return Cell(f"{seeds} or more" if seeds >= MOST_FURTHER else str(seeds), seeds)


def references(facts: Facts) -> Table | None:
    """What stands for each known scheme, and how near it is to it."""
    factor = facts.conclusion.factor
    rows = [
        (name, SCHEMES[name].coefficients(factor).shares, one)
        for name in SCHEMES
        for one in facts.results
        if name in one.role.split("+")
    ]
    if not rows:
        return None

    def of(read: Callable[[Any], Value | Cell]) -> Callable[[Any], Value | Cell]:
        return lambda row: read(row[2])

    columns: tuple[Column, ...] = (
        ("reference", lambda row: row[0], "text"),
        ("network", of(lambda one: one.candidate[:SHORT]), "text"),
        ("accuracy", of(lambda one: one.accuracy), ".4f"),
        ("standard error", of(lambda one: one.standard_error), ".4f"),
        ("seeds", of(lambda one: one.seeds), "d"),
        ("asked depth", lambda row: row[1].depth, ".2f"),
        ("asked width", lambda row: row[1].width, ".2f"),
        ("asked resolution", lambda row: row[1].resolution, ".2f"),
        *((name, of(read), form) for name, read, form in SHARES),
        ("distance", lambda row: row[1].distance(row[2].shares), ".3f"),
        ("cost / baseline's", of(lambda one: one.factor), ".3f"),
    )
    return table(
        "references",
        "References",
        columns,
        rows,
        note=(
            "A scheme that the baseline cannot realise is stood for by the nearest network of the "
            "same cost; corners of the triangle are 1.41 apart."
        ),
        mark=lambda row: str(row[2].candidate),
    )


def stopped(facts: Facts) -> Table | None:
    """Who was not trained to the end, where it ended and why."""
    rows: tuple[Stopped, ...] = facts.stopped
    columns: tuple[Column, ...] = (
        *NAMES,
        ("epoch", lambda row: row.epoch, "d"),
        ("accuracy there", lambda row: row.accuracy, ".4f"),
        ("seeds", lambda row: row.seeds, "d"),
        ("why", lambda row: row.reason, "text"),
        *SHARES,
    )
    note = "They are not compared with the others; the surface predicts them from where they ended."
    title = f"Stopped before epoch {facts.epoch}"
    return table("stopped", title, columns, rows, note=note) if rows else None


def failures(facts: Facts) -> Table | None:
    """What could not be trained, by class."""
    columns: tuple[Column, ...] = (
        ("class", lambda row: str(row.get("kind", "unknown")).replace("_", " "), "text"),
        ("network", lambda row: str(row.get("candidate", ""))[:SHORT], "text"),
        ("part", lambda row: parts(str(row.get("role", ""))), "text"),
        ("why", lambda row: str(row.get("reason", "")), "text"),
    )
    rows = sorted(facts.failures, key=lambda row: str(row.get("kind", "")))
    if not rows:
        return None
    counts: dict[str, int] = {}
    for row in rows:
        kind = str(row.get("kind", "unknown")).replace("_", " ")
        counts[kind] = counts.get(kind, 0) + 1
    note = ", ".join(f"{kind}: {count}" for kind, count in counts.items())
    return table("failures", "Failures by class", columns, rows, note=note)


def surfaces(facts: Facts) -> Table | None:
    """How well each kind of surface predicts a candidate from the others."""
    found = facts.conclusion.surface
    if found is None:
        return None
    optimum = facts.conclusion.optimum

    def test(read: Callable[[LackOfFit], Value]) -> Callable[[Any], Value]:
        return lambda kind: read(found.lack_of_fit[kind]) if kind in found.lack_of_fit else None

    columns: tuple[Column, ...] = (
        ("surface", lambda kind: kind, "text"),
        ("error of prediction, points", lambda kind: 100 * found.errors[kind], ".2f"),
        ("predicts best", lambda kind: yes(kind == found.kind), "text"),
        (
            "the optimum's",
            lambda kind: yes(optimum is not None and kind == optimum.degree),
            "text",
        ),
        ("lack of fit, F", test(lambda one: one.statistic), ".2f"),
        ("df", test(lambda one: f"{one.df}, {one.df_error}"), "text"),
        ("p", test(lambda one: one.p), ".2g"),
    )
    note = (
        "Error: root mean square of what each candidate is missed by when the others predict it. "
        "Lack of fit: what a polynomial leaves over, against what seeds do; a small p says that "
        "it misses more than noise."
    )
    return table("surfaces", "How well surfaces fit", columns, list(found.errors), note=note)
