"""Commands that ask whether a search's short runs can be trusted."""

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scalesearch.cli.options import AllowCode, AsJson, Folder
from scalesearch.cli.runs import trained
from scalesearch.cli.workers import Devices, Executor, Memory, Scheduler, Storage, Workers, crew
from scalesearch.errors import SearchError

if TYPE_CHECKING:
    from pandas import DataFrame

    from scalesearch.experiment import Experiment
    from scalesearch.report.audit import Audit

Level = Annotated[
    float, typer.Option(min=0.001, max=0.5, help="Intervals hold the truth but for so much.")
]


def audit(
    folder: Folder,
    beside: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR",
            help="Compare with this search of the same candidates: other images, resolution, rate.",
        ),
    ] = None,
    threshold: Annotated[
        float, typer.Option(min=0, max=1, help="Rank agreement that an epoch has to reach.")
    ] = 0.7,
    level: Level = 0.1,
    learning_rate: Annotated[
        bool,
        typer.Option("--learning-rate", help="Train the best again at half and double the rate."),
    ] = False,
    rules: Annotated[
        bool, typer.Option("--rules", help="Train the best again under the other rate rules.")
    ] = False,
    top: Annotated[
        int | None,
        typer.Option(
            min=1, help="With --learning-rate or --rules: of the best, beside references; 3."
        ),
    ] = None,
    executor: Executor = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    devices: Devices = None,
    memory: Memory = None,
    storage: Storage = None,
    allow_code: AllowCode = False,
    as_json: AsJson = False,
) -> None:
    """Whether short runs rank as long ones do, and how the best drifts with their length."""
    from scalesearch.further import at_rates, by_rules
    from scalesearch.report.audit import audit as audited
    from scalesearch.report.audit import write_audit
    from scalesearch.report.repeats import SENSITIVITY
    from scalesearch.tables import print_json

    if top is not None and not (learning_rate or rules):
        raise SearchError(
            "--top: need --learning-rate or --rules, by which the best are trained again, got "
            "neither; add one, or leave --top out"
        )
    if learning_rate or rules:
        top = top or 3
        experiment, records = _search(folder)
        asked = at_rates(experiment, records, top=top) if learning_rate else {}
        asked |= by_rules(experiment, records, top=top) if rules else {}
        options = crew(executor, workers, scheduler, devices, memory)
        for name, again in asked.items():
            print(f"{name}: {folder / SENSITIVITY / name}", file=sys.stderr)
            where = folder / SENSITIVITY / name
            trained(again, where, storage=storage, allow_code=allow_code, **options)
    found = audited(folder, beside or (), level=level, threshold=threshold)
    path = write_audit(folder, found)
    if as_json:
        print_json(found.document)
        return
    _print(found)
    print(f"wrote {path}", file=sys.stderr)


def confirm(
    folder: Folder,
    epochs: Annotated[int, typer.Option(min=1, help="To train for, more than the search did.")],
    top: Annotated[int, typer.Option(min=1, help="How many of the best, beside references.")] = 5,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Runs of each; by default as many as the search.")
    ] = None,
    level: Level = 0.1,
    executor: Executor = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    devices: Devices = None,
    memory: Memory = None,
    storage: Storage = None,
    allow_code: AllowCode = False,
    as_json: AsJson = False,
) -> None:
    """Train a search's best and its references longer, with other seeds; see whether it holds."""
    from scalesearch.cli.sources import code
    from scalesearch.further import CONFIRMATION, confirmation
    from scalesearch.report import write_results
    from scalesearch.report.repeats import write_confirmation
    from scalesearch.tables import print_json, print_table

    experiment, records = _search(folder)
    again = confirmation(experiment, records, epochs, top=top, seeds=seeds)
    options = crew(executor, workers, scheduler, devices, memory)
    trained(again, folder / CONFIRMATION, storage=storage, allow_code=allow_code, **options)
    if experiment.search.sampler != "points":
        with code(allow_code):
            write_results(folder)  # the search's answer tells of it, too
    found = write_confirmation(folder, level=level)
    if as_json:
        print_json(found.document)
        return
    print_table([_shown(row) for row in found.found.rows])
    print(found.found.words)
    print(f"wrote {folder / 'confirm.json'}", file=sys.stderr)


def _search(folder: Path) -> "tuple[Experiment, DataFrame]":
    """The experiment and the records of a folder."""
    from scalesearch.records import read_records
    from scalesearch.search import experiment_in

    return experiment_in(folder), read_records(folder / "records.csv")


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """A candidate of a repetition, as people read it."""
    names = ("candidate", "cell", "before", "place_before", "accuracy", "standard_error", "place")
    shown = {name: row[name] for name in names}
    return shown | {**_told(row, "behind"), "may_win": "yes" if row["may_win"] else "no"}


def _print(found: "Audit") -> None:
    from scalesearch.tables import print_table

    print("\n".join(found.sentences))
    for title, rows in _tables(found):
        if rows:
            print(f"\n{title}")  # a title of the table's own would be folded to its width
            print_table(rows)


def _tables(found: "Audit") -> Iterator[tuple[str, list[dict[str, Any]]]]:
    ranks, moves = found.agreement, found.drift
    last, axes = ranks.epochs[-1], ("depth", "width", "resolution")
    names = [str(epoch) for epoch in ranks.epochs]
    yield (
        "Spearman's rho between epochs; on the diagonal, of an epoch with itself over other seeds",
        [
            {"epoch": epoch, **dict(zip(names, map(_known, row), strict=True))}
            for epoch, row in zip(names, ranks.matrix(), strict=True)
        ],
    )
    yield (
        f"beside epoch {last}: over the same runs, and across seeds, where `repeat` is the ceiling",
        [
            {
                "epoch": row["one"],
                "candidates": row["candidates"],
                "seeds": row["seeds"],
                **_told(row, "spearman", "kendall", "across", "repeat"),
                "verdict": ranks.verdicts[row["one"]],
            }
            for row in ranks.rows
            if row["other"] == last and row["one"] != last
        ],
    )
    yield (
        f"gain to epoch {last}, and how much more of it has who spends all on an axis",
        [
            {
                "from": row["early"],
                "candidates": row["candidates"],
                **_told(row, "gain", *axes),
                "p": row["p"],
                "p_shape": row["p_shape"],
            }
            for row in moves.rows
        ],
    )
    yield (
        "shares where the surface is highest",
        [
            {"epoch": row["epoch"], "candidates": row["candidates"], **_told(row, *axes)}
            for row in (best.row for best in moves.bests)
        ],
    )
    for one in found.sensitivity:
        yield one.what, [_shown(row) for row in one.rows]
    yield (
        "beside other searches",
        [
            {
                "search": row["other"],
                "candidates": row["candidates"],
                **_told(row, "spearman", "kendall", "across", "repeat"),
            }
            for row in (pair.row for pair in found.beside)
        ],
    )


def _told(row: dict[str, Any], *names: str) -> dict[str, str | None]:
    """Values with their intervals, as people read them."""
    return {name: _interval(row, name) for name in names if name in row}


def _interval(row: dict[str, Any], name: str) -> str | None:
    if row[name] is None:
        return None
    return f"{row[name]:.3f} [{row[f'{name}_low']:.3f}, {row[f'{name}_high']:.3f}]"


def _known(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 3)
