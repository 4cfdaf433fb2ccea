"""The command that makes a page of a search.

Commands that ask whether a search's short runs can be trusted.

The command that tells how accuracy grows with cost.
"""

import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scalesearch.cli.options import (
    AllowCode,
    AsJson,
    Devices,
    Executor,
    Folder,
    Memory,
    Scheduler,
    Storage,
    Workers,
    worker_options,
)
from scalesearch.cli.search_commands import run_search_to_end
from scalesearch.errors import SearchError

if TYPE_CHECKING:
    from pandas import DataFrame

    from scalesearch.config.experiment import Experiment
    from scalesearch.reporting.proxy_report import ProxyCheck


def report(folder: Folder, allow_code: AllowCode = False) -> None:
    """Write a search's figures, and report.html and report.md with everything about it."""
    from scalesearch.cli.options import code_allowed_if
    from scalesearch.reporting.page import write_report

    with code_allowed_if(allow_code):
        page, text = write_report(folder)
    print(f"{page}   {text.name}   figures/")


SignificanceLevel = Annotated[
    float, typer.Option(min=0.001, max=0.5, help="Intervals hold the truth but for so much.")
]


def check_proxy(
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
    level: SignificanceLevel = 0.1,
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
    from scalesearch.reporting.confirmation_report import SENSITIVITY_FOLDER
    from scalesearch.reporting.console import print_json
    from scalesearch.reporting.proxy_report import proxy_check as run_audit
    from scalesearch.reporting.proxy_report import write_proxy_check
    from scalesearch.search.confirmation import (
        learning_rate_experiments,
        learning_rate_rule_experiments,
    )

    if top is not None and not (learning_rate or rules):
        raise SearchError(
            "--top: need --learning-rate or --rules, by which the best are trained again, got "
            "neither; add one, or leave --top out"
        )
    if learning_rate or rules:
        top = top or 3
        experiment, records = _read_search(folder)
        experiments = (
            learning_rate_experiments(experiment, records, top=top) if learning_rate else {}
        )
        experiments |= learning_rate_rule_experiments(experiment, records, top=top) if rules else {}
        options = worker_options(executor, workers, scheduler, devices, memory)
        for name, experiment_again in experiments.items():
            print(f"{name}: {folder / SENSITIVITY_FOLDER / name}", file=sys.stderr)
            rerun_folder = folder / SENSITIVITY_FOLDER / name
            run_search_to_end(
                experiment_again, rerun_folder, storage=storage, allow_code=allow_code, **options
            )
    audit_result = run_audit(folder, beside or (), level=level, threshold=threshold)
    path = write_proxy_check(folder, audit_result)
    if as_json:
        print_json(audit_result.document)
        return
    _print_audit(audit_result)
    print(f"wrote {path}", file=sys.stderr)


def confirm(
    folder: Folder,
    epochs: Annotated[int, typer.Option(min=1, help="To train for, more than the search did.")],
    top: Annotated[int, typer.Option(min=1, help="How many of the best, beside references.")] = 5,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Runs of each; by default as many as the search.")
    ] = None,
    level: SignificanceLevel = 0.1,
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
    from scalesearch.cli.options import code_allowed_if
    from scalesearch.reporting.confirmation_report import write_confirmation
    from scalesearch.reporting.console import print_json, print_table
    from scalesearch.reporting.update import write_results
    from scalesearch.search.confirmation import CONFIRMATION_FOLDER, confirmation_experiment

    experiment, records = _read_search(folder)
    rerun = confirmation_experiment(experiment, records, epochs, top=top, seeds=seeds)
    options = worker_options(executor, workers, scheduler, devices, memory)
    run_search_to_end(
        rerun, folder / CONFIRMATION_FOLDER, storage=storage, allow_code=allow_code, **options
    )
    if experiment.search.sampler != "points":
        with code_allowed_if(allow_code):
            write_results(folder)  # the search's answer tells of it, too
    confirmation_result = write_confirmation(folder, level=level)
    if as_json:
        print_json(confirmation_result.document)
        return
    print_table([_display_row(row) for row in confirmation_result.replication.rows])
    print(confirmation_result.replication.sentence)
    print(f"wrote {folder / 'confirm.json'}", file=sys.stderr)


def _read_search(folder: Path) -> "tuple[Experiment, DataFrame]":
    """The experiment and the records of a folder."""
    from scalesearch.results.records import read_records
    from scalesearch.search.maintenance import read_search_experiment

    return read_search_experiment(folder), read_records(folder / "records.csv")


def _display_row(row: dict[str, Any]) -> dict[str, Any]:
    """A candidate of a repetition, as people read it."""
    columns = ("candidate", "cell", "before", "place_before", "accuracy", "standard_error", "place")
    display = {name: row[name] for name in columns}
    return display | {
        **_interval_texts(row, "behind"),
        "may_win": "yes" if row["may_win"] else "no",
    }


def _print_audit(audit: "ProxyCheck") -> None:
    from scalesearch.reporting.console import print_table

    print("\n".join(audit.sentences))
    for title, rows in _audit_tables(audit):
        if rows:
            print(f"\n{title}")  # a title of the table's own would be folded to its width
            print_table(rows)


def _audit_tables(audit: "ProxyCheck") -> Iterator[tuple[str, list[dict[str, Any]]]]:
    rank_table, drift = audit.rank_correlation, audit.drift
    last_epoch, axes = rank_table.epochs[-1], ("depth", "width", "resolution")
    epoch_names = [str(epoch) for epoch in rank_table.epochs]
    yield (
        "Spearman's rho between epochs; on the diagonal, of an epoch with itself over other seeds",
        [
            {"epoch": epoch, **dict(zip(epoch_names, map(_rounded_or_none, row), strict=True))}
            for epoch, row in zip(epoch_names, rank_table.matrix(), strict=True)
        ],
    )
    yield (
        f"beside epoch {last_epoch}: over the same runs, and across seeds, where `repeat` is the ceiling",
        [
            {
                "epoch": row["one"],
                "candidates": row["candidates"],
                "seeds": row["seeds"],
                **_interval_texts(row, "spearman", "kendall", "across", "repeat"),
                "verdict": rank_table.verdicts[row["one"]],
            }
            for row in rank_table.rows
            if row["other"] == last_epoch and row["one"] != last_epoch
        ],
    )
    yield (
        f"gain to epoch {last_epoch}, and how much more of it has who spends all on an axis",
        [
            {
                "from": row["early"],
                "candidates": row["candidates"],
                **_interval_texts(row, "gain", *axes),
                "p": row["p"],
                "p_shape": row["p_shape"],
            }
            for row in drift.rows
        ],
    )
    yield (
        "shares where the surface is highest",
        [
            {"epoch": row["epoch"], "candidates": row["candidates"], **_interval_texts(row, *axes)}
            for row in (best.row for best in drift.optima)
        ],
    )
    for sensitivity in audit.sensitivity:
        yield sensitivity.description, [_display_row(row) for row in sensitivity.rows]
    yield (
        "beside other searches",
        [
            {
                "search": row["other"],
                "candidates": row["candidates"],
                **_interval_texts(row, "spearman", "kendall", "across", "repeat"),
            }
            for row in (pair.row for pair in audit.other_searches)
        ],
    )


def _interval_texts(row: dict[str, Any], *names: str) -> dict[str, str | None]:
    """Values with their intervals, as people read them."""
    return {name: _interval_text(row, name) for name in names if name in row}


def _interval_text(row: dict[str, Any], name: str) -> str | None:
    if row[name] is None:
        return None
    return f"{row[name]:.3f} [{row[f'{name}_low']:.3f}, {row[f'{name}_high']:.3f}]"


def _rounded_or_none(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 3)


def scaling_law(
    folder: Folder,
    factor: Annotated[
        float, typer.Option(min=1.001, help="Of cost, for one step of phi and for the shares.")
    ] = 2.0,
    phi: Annotated[str, typer.Option(metavar="LIST", help="Where to predict: 1,2,3.5")] = "1,2,3,4",
    hold_out: Annotated[
        float | None,
        typer.Option(metavar="COST", help="Check each law on a network of at least so many x."),
    ] = None,
    level: Annotated[
        float, typer.Option(min=0.001, max=0.5, help="Bands hold the truth but for so much.")
    ] = 0.1,
    as_json: AsJson = False,
) -> None:
    """How accuracy grows with cost along each direction, and what that predicts for larger phi."""
    from scalesearch.reporting.console import print_json, print_table
    from scalesearch.reporting.scaling_law_report import scaling_laws_of_folder, write_scaling_laws

    scaling_laws = scaling_laws_of_folder(
        folder, factor=factor, phis=_parse_numbers(phi), hold_out=hold_out, level=level
    )
    path = write_scaling_laws(folder, scaling_laws)
    if as_json:
        print_json(scaling_laws.document)
        return
    print_table([law.row for law in scaling_laws.laws.values()])
    print_table(scaling_laws.predictions)
    if scaling_laws.shares is not None:
        print_table(scaling_laws.shares.rows)
    print("\n".join(scaling_laws.sentences))
    print(f"wrote {path}", file=sys.stderr)


def _parse_numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise SearchError(f"--phi: need numbers such as 1,2,3.5, got {text!r}") from None
