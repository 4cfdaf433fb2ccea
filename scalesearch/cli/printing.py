"""Text for people of the results that take more than a table."""

import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scalesearch.reporting.console import print_json, print_table

if TYPE_CHECKING:
    from pandas import DataFrame

    from scalesearch.ablations.ablation_prose import AblationResult
    from scalesearch.api.searches import FactorSearches, SearchResult
    from scalesearch.config.experiment import Experiment
    from scalesearch.reporting.proxy_report import ProxyCheck
    from scalesearch.reporting.scaling_law_report import ScalingLaws
    from scalesearch.reporting.status import SearchStatus
    from scalesearch.search.dry_run import DryRun

Rows = Sequence[Mapping[str, Any]]


def print_rows(rows: Rows, key: str, as_json: bool) -> None:
    """Print a table, or a JSON document that has it under a key."""
    print_json({key: list(rows)}) if as_json else print_table(rows)


def print_search(result: "SearchResult", as_json: bool) -> None:
    """Print what a search has found; of networks listed one by one, how each did."""
    from scalesearch.reporting.terminal.messages import finished_search_text

    experiment = result.experiment
    if as_json:
        print_json(result.document)
    elif result.conclusion is None:
        print_table(result.status.rows, title=experiment.name)
    else:
        references = experiment.search.references
        print(finished_search_text(result.conclusion, result.folder, references))


def print_factors(searches: "FactorSearches", as_json: bool) -> None:
    """Print whether the coefficients drift with the budget factor."""
    if as_json:
        print_json(searches.document)
        return
    if searches.comparison.rows:
        print_table(searches.comparison.rows, title="shares by factor")
    print(searches.comparison.text)


def print_search_dry_runs(
    experiments: "Sequence[Experiment]",
    dry_runs: "Iterable[DryRun]",
    results: Path | None,
    as_json: bool,
) -> None:
    """Print the dry run of each experiment as it comes; several are those of one file."""
    from scalesearch.api.searches import factor_folders
    from scalesearch.config.reading import FACTOR_INFIX

    if len(experiments) == 1:
        (dry_run,) = dry_runs
        print_json(dry_run.document) if as_json else _print_dry_run(dry_run)
    elif as_json:
        name = experiments[0].name.rpartition(FACTOR_INFIX)[0]
        print_json({"name": name, "factors": [dry_run.document for dry_run in dry_runs]})
    else:
        folders = factor_folders(experiments, results)
        for experiment, dry_run in zip(experiments, dry_runs, strict=True):
            factor, folder = experiment.budget.factor, folders[experiment.name]
            print(f"\n{factor:g}x the baseline, into {folder}")
            _print_dry_run(dry_run)


def print_dry_runs(dry_runs: "Mapping[str, DryRun]", as_json: bool) -> None:
    """Print the dry run of each search of an ablation."""
    if as_json:
        documents = {name: dry_run.document for name, dry_run in dry_runs.items()}
        print_json({"searches": documents})
        return
    for name, dry_run in dry_runs.items():
        print(f"{name}:")
        _print_dry_run(dry_run)


def _print_dry_run(dry_run: "DryRun") -> None:
    from scalesearch.reporting.terminal.messages import power_lines

    print_table(dry_run.candidates, title="candidates")
    print_table(dry_run.job_rows, title="jobs")
    lines = [*dry_run.summary_lines, *power_lines(dry_run.power, noise=dry_run.noise)]
    print("\n".join(lines))


def print_status(search_status: "SearchStatus", folder: Path, as_json: bool) -> None:
    """Print how far a search is, its jobs and its candidates."""
    from scalesearch.reporting.terminal.messages import status_text

    if as_json:
        print_json(search_status.document)
        return
    print(status_text(search_status, folder))
    for rows in (search_status.job_rows, search_status.rows):
        if rows:
            print_table(rows)


def print_invalidated(removed: "DataFrame", folder: Path, as_json: bool) -> None:
    """Print the results that were removed, and where they are kept."""
    rows: Any = removed[["candidate", "seed", "epoch", "accuracy"]].to_dict("records")
    if as_json:
        print_json({"invalidated": rows})
        return
    print_table(rows, title="removed")
    print(f"kept in {folder}/invalidated.csv; `scalesearch resume {folder}` trains them again")


def print_ablation(result: "AblationResult", as_json: bool) -> None:
    """Print the table of an ablation, its sentences and its files."""
    from scalesearch.ablations.ablation_prose import table_rows
    from scalesearch.ablations.run import ablation_document

    if as_json:
        print_json(ablation_document(result))
        return
    title = f"{result.ablation.title} ({result.ablation.source})"
    print_table(table_rows(result.rows), title=title)
    print("\n".join(result.sentences))
    print(f"{result.folder}/   table.csv   ablation.json   figures/")


def print_installation(report: Mapping[str, Any], as_json: bool) -> None:
    """Print what is installed, what is missing, and which number format is faster."""
    if as_json:
        print_json(report)
        return
    print_table(report["packages"], title=f"Python {report['python']}, {report['system']}")
    cores = f"{report['usable_cores']} usable of {report['cores']}"
    print(f"device   {report['device']}")
    print(f"cores    {cores}, {report['processor']}")
    print(f"missing  {', '.join(report['missing']) or 'nothing'}")
    for extra in report["optional"]:
        print(f"extra    {extra['package']} {extra['version'] or 'none'}: {extra['needed_for']}")
    if report["precision"] is not None:
        print(f"formats  {report['precision']['advice']}")


def print_scaling_laws(laws: "ScalingLaws") -> None:
    """Print the laws, their predictions, and the shares that they lead to."""
    print_table([law.row for law in laws.laws.values()])
    print_table(laws.predictions)
    if laws.shares is not None:
        print_table(laws.shares.rows)
    print("\n".join(laws.sentences))


def replication_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a candidate that was trained again, before and after."""
    columns = ("candidate", "cell", "before", "place_before", "accuracy", "standard_error", "place")
    return {
        **{name: row[name] for name in columns},
        **_interval_texts(row, "behind"),
        "may_win": "yes" if row["may_win"] else "no",
    }


def print_proxy_check(check: "ProxyCheck") -> None:
    """Print the conclusions of a proxy check, then its tables."""
    print("\n".join(check.sentences))
    for title, rows in _proxy_check_tables(check):
        if rows:
            print(f"\n{title}")  # a title of the table would be wrapped to its width
            print_table(rows)


def _proxy_check_tables(check: "ProxyCheck") -> Iterator[tuple[str, Rows]]:
    rank_table, drift = check.rank_correlation, check.drift
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
        f"rank correlation with epoch {last_epoch}: over the same runs, and across seeds, where "
        "`repeat` is the most that noise allows",
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
        f"gain until epoch {last_epoch}, and how much more a network gains that spends everything "
        "on one axis",
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
    for sensitivity in check.sensitivity:
        yield sensitivity.description, [replication_row(row) for row in sensitivity.rows]
    yield (
        "rank correlation with other searches",
        [
            {
                "search": row["other"],
                "candidates": row["candidates"],
                **_interval_texts(row, "spearman", "kendall", "across", "repeat"),
            }
            for row in (pair.row for pair in check.other_searches)
        ],
    )


def _interval_texts(row: Mapping[str, Any], *names: str) -> dict[str, str | None]:
    """Values with their intervals."""
    return {name: _interval_text(row, name) for name in names if name in row}


def _interval_text(row: Mapping[str, Any], name: str) -> str | None:
    if row[name] is None:
        return None
    return f"{row[name]:.3f} [{row[f'{name}_low']:.3f}, {row[f'{name}_high']:.3f}]"


def _rounded_or_none(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 3)


def print_written(*paths: Path | str) -> None:
    """Print to standard error which files were written."""
    for path in paths:
        print(f"wrote {path}", file=sys.stderr)
