"""Commands that change a search in its folder, or open it in the dashboard."""

from typing import Annotated

import typer

import scalesearch as ss
from scalesearch.cli.options import (
    AllowCode,
    AsJson,
    Folder,
    RunOptions,
    Storage,
    parse_whole_numbers,
    with_option_groups,
)


@with_option_groups
def retry(
    folder: Folder,
    *,
    kind: Annotated[
        str | None,
        typer.Option(help="Retry only failures of this kind, such as worker_lost or timeout."),
    ] = None,
    candidate: Annotated[
        str | None,
        typer.Option(
            metavar="PREFIX", help="Retry only candidates whose fingerprint begins with this."
        ),
    ] = None,
    run: RunOptions,
    as_json: AsJson = False,
) -> None:
    """Train failed candidates again and continue the search."""
    from scalesearch.cli.printing import print_search

    result = ss.retry_failures(
        folder,
        kind=kind,
        candidate=candidate,
        **run.arguments,
    )
    print_search(result, as_json)


def invalidate(
    folder: Folder,
    candidate: Annotated[
        str, typer.Argument(help="The candidate's fingerprint, or how it begins.")
    ],
    seed: Annotated[
        int | None, typer.Option(help="Remove only the results of this seed; by default of all.")
    ] = None,
    from_epoch: Annotated[
        int, typer.Option(min=1, metavar="EPOCH", help="Remove results from this epoch on.")
    ] = 1,
    storage: Storage = None,
    allow_code: AllowCode = False,
    as_json: AsJson = False,
) -> None:
    """Remove wrong results, so that `resume` trains them again."""
    from scalesearch.cli.printing import print_invalidated

    removed = ss.invalidate_results(
        folder,
        candidate,
        seed=seed,
        from_epoch=from_epoch,
        storage=storage,
        allow_code=allow_code,
    )
    print_invalidated(removed, folder, as_json)


@with_option_groups
def extend(
    folder: Folder,
    *,
    trials: Annotated[
        int | None, typer.Option(min=1, help="New number of candidates to search.")
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="New number of seeds of each candidate.")
    ] = None,
    rungs: Annotated[
        str | None,
        typer.Option(
            metavar="LIST", help="New epochs at which candidates are compared, such as 1,3,9,27."
        ),
    ] = None,
    run: RunOptions,
    as_json: AsJson = False,
) -> None:
    """Add trials, seeds or epochs to a search."""
    from scalesearch.cli.printing import print_search

    result = ss.extend_search(
        folder,
        trials=trials,
        seeds=seeds,
        rungs=None if rungs is None else parse_whole_numbers("--rungs", rungs, "1,3,9"),
        **run.arguments,
    )
    print_search(result, as_json)


def dashboard(
    folder: Folder,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the page; 0 takes a free one.")
    ] = 8080,
    storage: Storage = None,
) -> None:
    """Show a copy of a search's study in optuna-dashboard."""
    ss.open_dashboard(
        folder,
        port,
        storage=storage,
        on_address=lambda address: print(f"{address}   (Ctrl-C ends it)", flush=True),
    )
