"""What several commands do alike: train until an answer is there, or foretell that.

A search for each factor of an experiment that names several, and what they come to together.

Commands that train, look at what was trained, or at what there is to train with.
"""

import json
import sys
from collections.abc import Sequence
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
    Overrides,
    Scheduler,
    Storage,
    Workers,
    code_allowed_if,
    worker_options,
)
from scalesearch.errors import SearchError

if TYPE_CHECKING:
    from scalesearch.analysis.conclusion import Conclusion
    from scalesearch.config.experiment import Experiment
    from scalesearch.reporting.factors import FactorComparison
    from scalesearch.search.dry_run import DryRun


def run_search_and_print(
    experiment: "Experiment",
    folder: Path,
    *,
    as_json: bool,
    allow_code: bool,
    **options: Any,
) -> None:
    """Bring a search to its end and print its answer. ``options``: as ``search`` takes them."""
    from scalesearch.reporting.console import print_json, print_table
    from scalesearch.reporting.status import search_status
    from scalesearch.reporting.terminal.messages import finished_search_text

    conclusion_result = run_search_to_end(experiment, folder, allow_code=allow_code, **options)
    if (
        conclusion_result is None
    ):  # networks that were asked for one by one have no answer, but results
        now = search_status(folder)
        print_json(now.document) if as_json else print_table(now.rows, title=experiment.name)
    elif as_json:
        print_json(json.loads((folder / "coefficients.json").read_text(encoding="utf-8")))
    else:
        print(finished_search_text(conclusion_result, folder, experiment.search.references))


def run_search_to_end(
    experiment: "Experiment", folder: Path, *, allow_code: bool, **options: Any
) -> "Conclusion | None":
    """Bring a search to its end, shown on standard error, and write its results; what is
    concluded from them, which is nothing for networks that are listed one by one."""
    from scalesearch.reporting.terminal.search_display import show_search
    from scalesearch.reporting.update import write_results_and_conclusion
    from scalesearch.search.driver import run_search

    is_point_list = experiment.search.sampler == "points"
    try:
        with show_search(folder / "news") as (on_progress, on_data):
            run_search(
                experiment,
                folder,
                on_progress=on_progress,
                on_data=on_data,
                allow_code=allow_code,
                **options,
            )
        with code_allowed_if(allow_code):
            if is_point_list:
                return None
            return write_results_and_conclusion(folder)[1]
    except KeyboardInterrupt:
        print(_stopped_message(folder), file=sys.stderr)
        raise


def _stopped_message(folder: Path) -> str:
    if not (folder / "experiment.yaml").is_file():
        return "stopped before anything was trained; the same command begins again"
    return f"stopped; `scalesearch resume {folder}` goes on from there"


def print_dry_run(experiment: "Experiment", *, as_json: bool, **options: Any) -> None:
    """Print what a search would train, and show. ``options``: as ``foretold`` takes them."""
    from scalesearch.reporting.console import print_json, print_table
    from scalesearch.reporting.terminal.messages import power_lines

    dry_run_result = dry_run_with_noise(experiment, **options)
    if as_json:
        print_json(dry_run_result.document)
        return
    print_table(dry_run_result.candidates, title="candidates")
    print_table(dry_run_result.job_rows, title="jobs")
    print(
        "\n".join(
            [
                *dry_run_result.summary_lines,
                *power_lines(dry_run_result.power, noise=dry_run_result.noise),
            ]
        )
    )


def dry_run_with_noise(
    experiment: "Experiment", *, noise_from: Path | None = None, **options: Any
) -> "DryRun":
    """What a search would train, and show. ``noise_from``: a search whose noise is known.
    ``options``: as ``forecast`` takes them."""
    from scalesearch.search.dry_run import forecast
    from scalesearch.search.run_noise import noise_from_records as read_noise

    noise = None if noise_from is None else read_noise(noise_from)
    return forecast(experiment, noise=noise, **options)


def run_each_factor(
    experiments: "Sequence[Experiment]",
    results: Path | None,
    *,
    as_json: bool,
    dry_run: bool,
    **options: Any,
) -> None:
    """Search with each factor in a folder of its own, ``NAME/factor-2`` and so on, and print
    whether the coefficients drift with phi. ``options``: as ``search`` takes them."""
    from scalesearch.config.reading import FACTOR_INFIX
    from scalesearch.reporting.console import print_json
    from scalesearch.reporting.factors import write_factor_comparison

    name = experiments[0].name.rpartition(FACTOR_INFIX)[0]
    parent_folder = results or Path("results") / name
    folders = {one.name: parent_folder / one.name.removeprefix(f"{name}-") for one in experiments}
    if dry_run and as_json:
        dry_runs = [dry_run_with_noise(one, **options).document for one in experiments]
        print_json({"name": name, "factors": dry_runs})
        return
    for experiment in experiments:
        if dry_run:
            print(f"\n{experiment.budget.factor:g}x the baseline, into {folders[experiment.name]}")
            print_dry_run(experiment, as_json=False, **options)
        elif as_json:
            run_search_to_end(experiment, folders[experiment.name], **options)
        else:
            print(
                f"{experiment.budget.factor:g}x the baseline: {folders[experiment.name]}",
                file=sys.stderr,
            )
            run_search_and_print(experiment, folders[experiment.name], as_json=False, **options)
    if not dry_run:
        factor_summary = write_factor_comparison(parent_folder, list(folders.values()))
        _print_factors(factor_summary, list(folders.values()), as_json=as_json)


def _print_factors(
    factor_summary: "FactorComparison", folders: Sequence[Path], *, as_json: bool
) -> None:
    from scalesearch.reporting.console import print_json, print_table

    if as_json:
        coefficient_documents = [
            json.loads((folder / "coefficients.json").read_text(encoding="utf-8"))
            for folder in folders
        ]
        print_json({**factor_summary.document, "answers": coefficient_documents})
        return
    if factor_summary.rows:
        print_table(factor_summary.rows, title="shares by factor")
    print(factor_summary.text)


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
    from scalesearch.config.reading import read_experiments

    experiments = read_experiments(file, overrides or ())
    options = {
        **worker_options(executor, workers, scheduler, devices, memory),
        "allow_code": allow_code,
    }
    for option, value in (("--noise-from", noise_from), ("--measure-noise", measure_noise)):
        if value is not None and not dry_run:
            raise SearchError(f"{option}: need --dry-run, which tells what a search could show")
    measure_seconds = NOISE_MEASUREMENT_SECONDS if measure_noise is None else measure_noise
    if len(experiments) > 1:
        dry_run_options = {"noise_from": noise_from, "measure": measure_seconds}
        extra_options = dry_run_options if dry_run else {"storage": storage, "replay": replay}
        run_each_factor(
            experiments, results, as_json=as_json, dry_run=dry_run, **options, **extra_options
        )
        return
    (experiment,) = experiments
    folder = results or Path("results") / experiment.name
    if dry_run:
        print_dry_run(
            experiment, as_json=as_json, noise_from=noise_from, measure=measure_seconds, **options
        )
    else:
        run_search_and_print(
            experiment, folder, as_json=as_json, storage=storage, replay=replay, **options
        )


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
    from scalesearch.search.maintenance import read_search_experiment, read_storage_url

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
    from scalesearch.reporting.console import print_json, print_table
    from scalesearch.reporting.status import search_status as status_of
    from scalesearch.reporting.terminal.messages import interrupted_search_text, status_text
    from scalesearch.reporting.terminal.search_display import watch_search

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


def summary(folder: Folder, as_json: AsJson = False) -> None:
    """What a search says: coefficients with intervals, what is flat, how it compares."""
    from scalesearch.reporting.answer_file import conclusion_document
    from scalesearch.reporting.console import print_json
    from scalesearch.reporting.folder_conclusion import conclusion_of_folder
    from scalesearch.reporting.terminal.messages import conclusion_text

    search_conclusion = conclusion_of_folder(folder)
    if as_json:
        print_json(conclusion_document(search_conclusion))
    else:
        print(conclusion_text(search_conclusion))


def doctor(as_json: AsJson = False) -> None:
    """Versions, device, what is missing and what it is for, and which number format is faster."""
    from scalesearch.reporting.console import print_json, print_table
    from scalesearch.reporting.doctor import installation_report

    diagnosis_document = installation_report()
    if as_json:
        print_json(diagnosis_document)
        return
    print_table(
        diagnosis_document["packages"],
        title=f"Python {diagnosis_document['python']}, {diagnosis_document['system']}",
    )
    print(f"device   {diagnosis_document['device']}")
    print(
        f"cores    {diagnosis_document['usable_cores']} usable of {diagnosis_document['cores']}, {diagnosis_document['processor']}"
    )
    print(f"missing  {', '.join(diagnosis_document['missing']) or 'nothing'}")
    for extra in diagnosis_document["optional"]:
        print(f"extra    {extra['package']} {extra['version'] or 'none'}: {extra['needed_for']}")
    if diagnosis_document["precision"] is not None:
        print(f"formats  {diagnosis_document['precision']['advice']}")
