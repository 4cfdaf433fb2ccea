"""Commands that run a search, follow it, and show its summary."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import scalesearch as ss
from scalesearch.cli.options import (
    AllowCode,
    AsJson,
    DryRunOption,
    Folder,
    Overrides,
    RunOptions,
    Storage,
    WorkerOptions,
    with_option_groups,
)
from scalesearch.errors import SearchError

if TYPE_CHECKING:
    from scalesearch.config.experiment import Experiment
    from scalesearch.search.dry_run import DryRun


@dataclass(frozen=True, kw_only=True)
class DryRunOptions:
    """Whether nothing is trained, and where the noise of runs then comes from."""

    dry_run: DryRunOption = False
    noise_from: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="With --dry-run: take the noise of runs from this search."
        ),
    ] = None
    measure_noise: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="With --dry-run: measure the noise of runs for this long; by default 20.",
        ),
    ] = None

    def __post_init__(self) -> None:
        for option, value in (
            ("--noise-from", self.noise_from),
            ("--measure-noise", self.measure_noise),
        ):
            if value is not None and not self.dry_run:
                raise SearchError(f"{option}: need --dry-run, which shows what a search could tell")


@with_option_groups
def search(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="EXPERIMENT", help="An experiment file, such as experiments/quickstart.yaml."
        ),
    ],
    *,
    results: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of this search; by default results/NAME."),
    ] = None,
    overrides: Overrides = None,
    workers: WorkerOptions,
    storage: Storage = None,
    replay: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Make the proposals of the search in this folder again."),
    ] = None,
    dry_run: DryRunOptions,
    allow_code: AllowCode = False,
    as_json: AsJson = False,
) -> None:
    """Run or resume the search of an experiment file."""
    from scalesearch.cli import printing

    experiments = ss.read_experiments(file, overrides or ())
    if dry_run.dry_run:
        dry_runs = _dry_runs(experiments, workers.config, dry_run, allow_code)
        printing.print_search_dry_runs(experiments, dry_runs, results, as_json)
        return
    arguments: dict[str, Any] = {
        "results": results,
        "workers": workers.config,
        "storage": storage,
        "replay": replay,
        "allow_code": allow_code,
        "progress": True,
    }
    if len(experiments) == 1:
        printing.print_search(ss.run_search(experiments[0], **arguments), as_json)
        return
    searches = ss.run_factor_searches(
        experiments,
        on_result=lambda result: None if as_json else printing.print_search(result, False),
        **arguments,
    )
    printing.print_factors(searches, as_json)


def _dry_runs(
    experiments: "Sequence[Experiment]",
    workers: ss.WorkerConfig,
    options: DryRunOptions,
    allow_code: bool,
) -> "Iterator[DryRun]":
    """Yield the dry run of each experiment when it is needed."""
    from scalesearch.api.searches import NOISE_MEASUREMENT_SECONDS

    seconds = options.measure_noise
    for experiment in experiments:
        yield ss.dry_run(
            experiment,
            workers,
            noise_from=options.noise_from,
            measure_seconds=NOISE_MEASUREMENT_SECONDS if seconds is None else seconds,
            allow_code=allow_code,
        )


@with_option_groups
def resume(
    folder: Folder,
    *,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change a value of search.stop or search.failures, such as search.stop.hours=2.",
        ),
    ] = None,
    run: RunOptions,
    as_json: AsJson = False,
) -> None:
    """Continue the search in a folder."""
    from scalesearch.cli.printing import print_search

    print_search(ss.resume_search(folder, overrides or (), **run.arguments), as_json)


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
    from scalesearch.reporting.conclusion_files import conclusion_document
    from scalesearch.reporting.console import print_json
    from scalesearch.reporting.terminal.messages import conclusion_text

    conclusion = ss.summarize(folder)
    print_json(conclusion_document(conclusion)) if as_json else print(conclusion_text(conclusion))


def doctor(as_json: AsJson = False) -> None:
    """Show versions, device, missing packages and faster formats."""
    from scalesearch.cli.printing import print_installation

    print_installation(ss.installation_report(), as_json)
