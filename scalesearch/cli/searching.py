"""Commands that train, look at what was trained, or at what there is to train with."""

from pathlib import Path
from typing import Annotated

import typer

from scalesearch.cli.factors import run_each_factor
from scalesearch.cli.options import AllowCode, AsJson, Folder, Overrides
from scalesearch.cli.runs import print_dry_run, run_search_and_print
from scalesearch.cli.workers import Devices, Executor, Memory, Scheduler, Storage, Workers, worker_options
from scalesearch.errors import SearchError

# The parts of scalesearch are imported within the commands: help has no use for torch.


NOISE_MEASUREMENT_SECONDS = 20.0
"""For which a dry run trains to know the noise, unless it is told."""


def search(
    file: Annotated[
        Path, typer.Argument(help="An experiment, such as experiments/quickstart.yaml.")
    ],
    results: Annotated[
        Path | None, typer.Option(help="This search's own folder; by default results/<name>.")
    ] = None,
    overrides: Overrides = None,
    executor: Executor = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    devices: Devices = None,
    memory: Memory = None,
    storage: Storage = None,
    replay: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Propose what the search in this folder proposed."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be trained, and for how long.")
    ] = False,
    noise_from: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Dry run: take the noise of runs from this search."),
    ] = None,
    measure_noise: Annotated[
        float | None,
        typer.Option(min=0, metavar="SECONDS", help="Dry run: train a few networks so long; 20."),
    ] = None,
    allow_code: AllowCode = False,
    as_json: AsJson = False,
) -> None:
    """Train an experiment's candidates; the same command goes on where it was stopped."""
    from scalesearch.experiment import read_experiments

    experiments = read_experiments(file, overrides or ())
    options = {**worker_options(executor, workers, scheduler, devices, memory), "allow_code": allow_code}
    for option, value in (("--noise-from", noise_from), ("--measure-noise", measure_noise)):
        if value is not None and not dry_run:
            raise SearchError(f"{option}: need --dry-run, which tells what a search could show")
    measure_seconds = NOISE_MEASUREMENT_SECONDS if measure_noise is None else measure_noise
    if len(experiments) > 1:
        dry_run_options = {"noise_from": noise_from, "measure": measure_seconds}
        extra_options = dry_run_options if dry_run else {"storage": storage, "replay": replay}
        run_each_factor(experiments, results, as_json=as_json, dry_run=dry_run, **options, **extra_options)
        return
    (experiment,) = experiments
    folder = results or Path("results") / experiment.name
    if dry_run:
        print_dry_run(experiment, as_json=as_json, noise_from=noise_from, measure=measure_seconds, **options)
    else:
        run_search_and_print(experiment, folder, as_json=as_json, storage=storage, replay=replay, **options)


def resume(
    folder: Folder,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Of search.stop and search.failures, which may change: search.stop.hours=2",
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
    """Go on with the search in a folder, with its own experiment.yaml; who trains is said anew."""
    from scalesearch.search import read_search_experiment, read_storage_url

    run_search_and_print(
        read_search_experiment(folder, overrides or ()),
        folder,
        as_json=as_json,
        storage=storage or read_storage_url(folder),
        allow_code=allow_code,
        **worker_options(executor, workers, scheduler, devices, memory),
    )


def status(
    folder: Folder,
    watch: Annotated[bool, typer.Option("--watch", help="Look on until it ends.")] = False,
    interval: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="Between two looks.")
    ] = 2.0,
    as_json: AsJson = False,
) -> None:
    """How far a search is, and its candidates so far, the best first."""
    from scalesearch.progress import interrupted_search_text, status_text, watch_search
    from scalesearch.report import search_status as status_of
    from scalesearch.tables import print_json, print_table

    if watch:
        watch_search(folder, interval)
    search_status = status_of(folder)
    if as_json:
        print_json(search_status.document)
    else:
        print(status_text(search_status, folder))
        for rows in (search_status.job_rows, search_status.rows):
            if rows:
                print_table(rows)
    if watch and search_status.driver.state == "interrupted":
        raise SearchError(interrupted_search_text(folder))


def answer(folder: Folder, as_json: AsJson = False) -> None:
    """What a search says: coefficients with intervals, what is flat, how it compares."""
    from scalesearch.export import conclusion_document
    from scalesearch.progress import conclusion_text
    from scalesearch.report import conclusion_of_folder
    from scalesearch.tables import print_json

    search_conclusion = conclusion_of_folder(folder)
    if as_json:
        print_json(conclusion_document(search_conclusion))
    else:
        print(conclusion_text(search_conclusion))


def doctor(as_json: AsJson = False) -> None:
    """Versions, device, what is missing and what it is for, and which number format is faster."""
    from scalesearch.doctor import installation_report
    from scalesearch.tables import print_json, print_table

    diagnosis_document = installation_report()
    if as_json:
        print_json(diagnosis_document)
        return
    print_table(diagnosis_document["packages"], title=f"Python {diagnosis_document['python']}, {diagnosis_document['system']}")
    print(f"device   {diagnosis_document['device']}")
    print(f"cores    {diagnosis_document['usable_cores']} usable of {diagnosis_document['cores']}, {diagnosis_document['processor']}")
    print(f"missing  {', '.join(diagnosis_document['missing']) or 'nothing'}")
    for extra in diagnosis_document["optional"]:
        print(f"extra    {extra['package']} {extra['version'] or 'none'}: {extra['needed_for']}")
    if diagnosis_document["precision"] is not None:
        print(f"formats  {diagnosis_document['precision']['advice']}")
