"""Commands that train, look at what was trained, or at what there is to train with."""

from pathlib import Path
from typing import Annotated

import typer

from scalesearch.cli.factors import each_factor
from scalesearch.cli.options import AllowCode, AsJson, Folder, Overrides
from scalesearch.cli.runs import foretell, train_on
from scalesearch.cli.workers import Devices, Executor, Memory, Scheduler, Storage, Workers, crew
from scalesearch.errors import SearchError

# The parts of scalesearch are imported within the commands: help has no use for torch.


MEASURED_SECONDS = 20.0
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
    options = {**crew(executor, workers, scheduler, devices, memory), "allow_code": allow_code}
    for option, value in (("--noise-from", noise_from), ("--measure-noise", measure_noise)):
        if value is not None and not dry_run:
            raise SearchError(f"{option}: need --dry-run, which tells what a search could show")
    measure = MEASURED_SECONDS if measure_noise is None else measure_noise
    if len(experiments) > 1:
        foreseen = {"noise_from": noise_from, "measure": measure}
        more = foreseen if dry_run else {"storage": storage, "replay": replay}
        each_factor(experiments, results, as_json=as_json, dry_run=dry_run, **options, **more)
        return
    (experiment,) = experiments
    folder = results or Path("results") / experiment.name
    if dry_run:
        foretell(experiment, as_json=as_json, noise_from=noise_from, measure=measure, **options)
    else:
        train_on(experiment, folder, as_json=as_json, storage=storage, replay=replay, **options)


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
    from scalesearch.search import experiment_in, storage_of

    train_on(
        experiment_in(folder, overrides or ()),
        folder,
        as_json=as_json,
        storage=storage or storage_of(folder),
        allow_code=allow_code,
        **crew(executor, workers, scheduler, devices, memory),
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
    from scalesearch.progress import interrupted, status_lines, watched
    from scalesearch.report import status as status_of
    from scalesearch.tables import print_json, print_table

    if watch:
        watched(folder, interval)
    now = status_of(folder)
    if as_json:
        print_json(now.document)
    else:
        print(status_lines(now, folder))
        for rows in (now.job_rows, now.rows):
            if rows:
                print_table(rows)
    if watch and now.standing.state == "interrupted":
        raise SearchError(interrupted(folder))


def answer(folder: Folder, as_json: AsJson = False) -> None:
    """What a search says: coefficients with intervals, what is flat, how it compares."""
    from scalesearch.export import answer_document
    from scalesearch.progress import answer_lines
    from scalesearch.report import concluded
    from scalesearch.tables import print_json

    found = concluded(folder)
    if as_json:
        print_json(answer_document(found))
    else:
        print(answer_lines(found))


def doctor(as_json: AsJson = False) -> None:
    """Versions, device, what is missing and what it is for, and which number format is faster."""
    from scalesearch.doctor import diagnosis
    from scalesearch.tables import print_json, print_table

    found = diagnosis()
    if as_json:
        print_json(found)
        return
    print_table(found["packages"], title=f"Python {found['python']}, {found['system']}")
    print(f"device   {found['device']}")
    print(f"cores    {found['usable_cores']} usable of {found['cores']}, {found['processor']}")
    print(f"missing  {', '.join(found['missing']) or 'nothing'}")
    for extra in found["optional"]:
        print(f"extra    {extra['package']} {extra['version'] or 'none'}: {extra['needed_for']}")
    if found["precision"] is not None:
        print(f"formats  {found['precision']['advice']}")
