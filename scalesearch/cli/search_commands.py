"""Commands that run a search, follow it, and show its summary."""

from pathlib import Path
from typing import Annotated

import typer

import scalesearch as ss
from scalesearch.cli.options import (
    WORKERS,
    AllowCode,
    AsJson,
    DryRunOption,
    Folder,
    Overrides,
    Storage,
    with_worker_options,
)
from scalesearch.errors import SearchError


@with_worker_options
def search(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="EXPERIMENT", help="An experiment file, such as experiments/quickstart.yaml."
        ),
    ],
    results: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of this search; by default results/NAME."),
    ] = None,
    overrides: Overrides = None,
    workers: ss.WorkerConfig = WORKERS,
    storage: Storage = None,
    replay: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Make the proposals of the search in this folder again."),
    ] = None,
    dry_run: DryRunOption = False,
    noise_from: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="With --dry-run: take the noise of runs from this search."
        ),
    ] = None,
    measure_noise: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="With --dry-run: measure the noise of runs for this long; by default 20.",
        ),
    ] = None,
    allow_code: AllowCode = False,
    as_json: AsJson = False,
) -> None:
    """Run or resume the search of an experiment file."""
    from scalesearch.api.searches import NOISE_MEASUREMENT_SECONDS
    from scalesearch.cli import printing

    experiments = ss.read_experiments(file, overrides or ())
    for option, value in (("--noise-from", noise_from), ("--measure-noise", measure_noise)):
        if value is not None and not dry_run:
            raise SearchError(f"{option}: need --dry-run, which shows what a search could tell")
    if dry_run:
        seconds = NOISE_MEASUREMENT_SECONDS if measure_noise is None else measure_noise
        dry_runs = (
            ss.dry_run(
                experiment,
                workers,
                noise_from=noise_from,
                measure_seconds=seconds,
                allow_code=allow_code,
            )
            for experiment in experiments
        )
        printing.print_search_dry_runs(experiments, dry_runs, results, as_json)
    elif len(experiments) == 1:
        result = ss.run_search(
            experiments[0],
            results,
            workers,
            storage=storage,
            replay=replay,
            allow_code=allow_code,
            progress=True,
        )
        printing.print_search(result, as_json)
    else:
        searches = ss.run_factor_searches(
            experiments,
            results,
            workers,
            storage=storage,
            replay=replay,
            allow_code=allow_code,
            progress=True,
            on_result=lambda result: None if as_json else printing.print_search(result, False),
        )
        printing.print_factors(searches, as_json)


@with_worker_options
def resume(
    folder: Folder,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change a value of search.stop or search.failures, such as search.stop.hours=2.",
        ),
    ] = None,
    workers: ss.WorkerConfig = WORKERS,
    storage: Storage = None,
    allow_code: AllowCode = False,
    as_json: AsJson = False,
) -> None:
    """Continue the search in a folder."""
    from scalesearch.cli.printing import print_search

    result = ss.resume_search(
        folder,
        overrides or (),
        workers,
        storage=storage,
        allow_code=allow_code,
        progress=True,
    )
    print_search(result, as_json)


def status(
    folder: Folder,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show the search until no driver works on it.")
    ] = False,
    interval: Annotated[
        float,
        typer.Option(min=0.1, metavar="SECONDS", help="Time between two updates of --watch."),
    ] = 2.0,
    as_json: AsJson = False,
) -> None:
    """Show how far a search is and its best trials so far."""
    from scalesearch.cli.printing import print_status
    from scalesearch.reporting.terminal.messages import interrupted_search_text

    search_status = ss.read_status(folder, watch=watch, interval=interval)
    print_status(search_status, folder, as_json)
    if watch and search_status.driver.state == "interrupted":
        raise SearchError(interrupted_search_text(folder))


def summary(folder: Folder, as_json: AsJson = False) -> None:
    """Show the coefficients found, with intervals."""
    from scalesearch.reporting.answer_file import conclusion_document
    from scalesearch.reporting.console import print_json
    from scalesearch.reporting.terminal.messages import conclusion_text

    conclusion = ss.summarize(folder)
    print_json(conclusion_document(conclusion)) if as_json else print(conclusion_text(conclusion))


def doctor(as_json: AsJson = False) -> None:
    """Show versions, device, missing packages and faster formats."""
    from scalesearch.cli.printing import print_installation

    print_installation(ss.installation_report(), as_json)
