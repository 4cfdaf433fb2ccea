"""What the report lists of how far short training can be trusted."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from scalesearch.analysis.optimum import Interval
from scalesearch.report.facts import Facts
from scalesearch.report.tables import SHORT, Cell, Column, Table, interval, parts, table, yes


def agreement(facts: Facts) -> Table | None:
    """Each epoch beside the last: how alike they rank."""
    found = facts.audit.agreement
    last = found.epochs[-1]
    rows = [pair for pair in found.pairs if pair.other == last and pair.one != last]
    columns: tuple[Column, ...] = (
        ("epoch", lambda row: int(row.one), "d"),
        ("networks", lambda row: row.candidates, "d"),
        ("seeds", lambda row: row.seeds, "d"),
        ("Spearman's rho", lambda row: interval(row.spearman), ".2f"),
        ("Kendall's tau", lambda row: interval(row.kendall), ".2f"),
        ("across seeds", lambda row: interval(row.across), ".2f"),
        ("verdict", lambda row: found.verdicts.get(int(row.one)), "text"),
    )
    ceiling = found.ceiling.repeat
    note = (
        ""
        if ceiling is None
        else f"Across seeds, epoch {last} agrees with itself by {ceiling.value:.2f} "
        f"[{ceiling.low:.2f}, {ceiling.high:.2f}]: the most that noise lets another come to."
    )
    title = f"Rank agreement with epoch {last}"
    return table("agreement", title, columns, rows, note=note) if rows else None


def drift(facts: Facts) -> Table | None:
    """Where the best lies, by the length of training."""
    columns: tuple[Column, ...] = (
        ("epoch", lambda row: row.epoch, "d"),
        ("networks", lambda row: row.candidates, "d"),
        ("depth share", lambda row: interval(row.shares["depth"]), ".2f"),
        ("width share", lambda row: interval(row.shares["width"]), ".2f"),
        ("resolution share", lambda row: interval(row.shares["resolution"]), ".2f"),
    )
    rows = facts.audit.drift.bests if facts.audit.drift.gains else ()
    title = "The optimum by the length of training"
    return table("drift", title, columns, rows) if rows else None


def beside(facts: Facts) -> Table | None:
    """Rank agreement with other searches of the same candidates."""

    def spread(name: str) -> Callable[[Any], Cell | None]:
        return lambda row: (
            None
            if row.get(name) is None
            else interval(Interval(row[name], row[f"{name}_low"], row[f"{name}_high"]))
        )

    columns: tuple[Column, ...] = (
        ("search", lambda row: Path(str(row["other"])).name, "text"),
        ("networks", lambda row: row["candidates"], "d"),
        ("Spearman's rho", spread("spearman"), ".2f"),
        ("Kendall's tau", spread("kendall"), ".2f"),
        ("across seeds", spread("across"), ".2f"),
    )
    title = "Rank agreement with other searches"
    return table("beside", title, columns, facts.beside) if facts.beside else None


def repeated(facts: Facts) -> list[Table]:
    """The best and the references trained again: longer, and by other learning rates."""
    columns: tuple[Column, ...] = (
        ("network", lambda row: row["candidate"][:SHORT], "text"),
        ("part", lambda row: parts(row["role"]), "text"),
        ("place in the search", lambda row: row["place_before"], "d"),
        ("accuracy there", lambda row: row["before"], ".4f"),
        ("place", lambda row: row["place"], "d"),
        ("accuracy", lambda row: row["accuracy"], ".4f"),
        ("standard error", lambda row: row["standard_error"], ".4f"),
        ("seeds", lambda row: row["seeds"], "d"),
        ("behind, points", _behind, ".2f"),
        ("may be the best", lambda row: yes(row["may_win"]), "text"),
    )
    return [
        table(
            f"again-{number}",
            _what(document),
            columns,
            document["candidates"],
            note=f"{document['sentence']}.",
            mark=lambda row: str(row["candidate"]),
        )
        for number, document in enumerate(facts.repeated, 1)
    ]


def _what(document: Mapping[str, Any]) -> str:
    if "what" in document:
        return f"Trained again: {document['what']}"
    epochs = document["epochs"]
    return f"Trained again: {epochs['confirmation']} epochs in place of {epochs['search']}"


def _behind(row: Mapping[str, Any]) -> Cell | None:
    if row["behind"] is None:
        return None
    value, low, high = (100 * row[name] for name in ("behind", "behind_low", "behind_high"))
    return Cell(f"{value:.2f} [{low:.2f}, {high:.2f}]", value)
