"""Commands on the folder of a search: try again, throw away, ask for more, look into it."""

from typing import Annotated, Any

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
from scalesearch.cli.search_commands import run_search_and_print
from scalesearch.errors import SearchError


def retry(
    folder: Folder,
    kind: Annotated[
        str | None, typer.Option(help="Only these failures: worker_lost, timeout, ...")
    ] = None,
    candidate: Annotated[
        str | None, typer.Option(metavar="PREFIX", help="Only fingerprints that begin so.")
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
    """Try candidates again that have failed, and go on with the search."""
    from scalesearch.search.maintenance import read_search_experiment, read_storage_url
    from scalesearch.search.maintenance import retry as retry_trials

    options = worker_options(executor, workers, scheduler, devices, memory)
    study_options: dict[str, Any] = {
        "storage": storage or read_storage_url(folder),
        "allow_code": allow_code,
    }
    retry_trials(folder, kind=kind, candidate=candidate, **study_options)
    run_search_and_print(
        read_search_experiment(folder), folder, as_json=as_json, **options, **study_options
    )


def invalidate(
    folder: Folder,
    candidate: Annotated[str, typer.Argument(help="Its fingerprint, or how that begins.")],
    seed: Annotated[int | None, typer.Option(help="Only this seed's results.")] = None,
    from_epoch: Annotated[
        int, typer.Option(min=1, metavar="EPOCH", help="Only from this epoch on.")
    ] = 1,
    storage: Storage = None,
    allow_code: AllowCode = False,
    as_json: AsJson = False,
) -> None:
    """Throw results away that turned out wrong; `resume` trains them again."""
    from scalesearch.reporting.console import print_json, print_table
    from scalesearch.search.maintenance import invalidate as invalidate_records

    removed_records = invalidate_records(
        folder,
        candidate,
        seed=seed,
        from_epoch=from_epoch,
        storage=storage,
        allow_code=allow_code,
    )
    rows: Any = removed_records[["candidate", "seed", "epoch", "accuracy"]].to_dict("records")
    if as_json:
        print_json({"invalidated": rows})
        return
    print_table(rows, title="thrown away")
    print(f"kept in {folder}/invalidated.csv; `scalesearch resume {folder}` trains them again")


def extend(
    folder: Folder,
    trials: Annotated[int | None, typer.Option(min=1, help="Candidates to search.")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Runs of each candidate.")] = None,
    rungs: Annotated[
        str | None, typer.Option(metavar="LIST", help="Epochs to compare at: 1,3,9,27")
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
    """Ask more of a search: more candidates, more seeds, longer training; and go on with it."""
    from scalesearch.search.maintenance import extend as extend_search
    from scalesearch.search.maintenance import read_storage_url

    options = worker_options(executor, workers, scheduler, devices, memory)
    study_options: dict[str, Any] = {
        "storage": storage or read_storage_url(folder),
        "allow_code": allow_code,
    }
    extension = extend_search(
        folder, trials=trials, seeds=seeds, rungs=parse_epochs(rungs), **study_options
    )
    run_search_and_print(extension.experiment, folder, as_json=as_json, **options, **study_options)


def dashboard(
    folder: Folder,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8080,
    storage: Storage = None,
) -> None:
    """Show a search in optuna-dashboard, on a copy that nothing done there leaves."""
    from scalesearch.search.maintenance import read_search_experiment, read_storage_url
    from scalesearch.search.study.dashboard import show_dashboard as run_dashboard

    name = read_search_experiment(folder).name
    run_dashboard(
        folder,
        port,
        storage=storage or read_storage_url(folder),
        name=name,
        on_address=lambda address: print(f"{address}   (Ctrl-C ends it)", flush=True),
    )


def parse_epochs(text: str | None) -> list[int] | None:
    """Of ``1,3,9``. Raises SearchError for anything else."""
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise SearchError(f"--rungs: need epochs such as 1,3,9, got {text!r}") from None
