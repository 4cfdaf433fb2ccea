"""Run, continue, change and follow a search, or estimate what it would take."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from scalesearch.analysis.conclusion import Conclusion
from scalesearch.api.worker_config import INLINE, WorkerConfig
from scalesearch.config.experiment import Experiment
from scalesearch.config.reading import FACTOR_INFIX
from scalesearch.models.custom_model import code_allowed
from scalesearch.reporting.factors import FactorComparison, write_factor_comparison
from scalesearch.reporting.status import SearchStatus, search_status
from scalesearch.reporting.terminal.search_display import (
    OnData,
    OnProgress,
    show_search,
    watch_search,
)
from scalesearch.reporting.update import write_results_and_conclusion
from scalesearch.results.search_folder import SearchFolder
from scalesearch.search import driver, maintenance
from scalesearch.search.dry_run import DryRun, make_dry_run
from scalesearch.search.run_noise import noise_from_records
from scalesearch.search.study.dashboard import show_dashboard

NOISE_MEASUREMENT_SECONDS = 20.0
"""Time for which a dry run trains to measure the noise of runs, unless it is told otherwise."""


@dataclass(frozen=True, slots=True)
class SearchResult:
    """A search that has ended, and the folder with everything about it."""

    experiment: Experiment
    folder: Path
    records: pd.DataFrame
    """One row for each candidate, seed and epoch."""
    conclusion: Conclusion | None
    """None for networks that were listed one by one (``sampler: points``)."""

    @property
    def status(self) -> SearchStatus:
        """The progress of the search, and its candidates."""
        return search_status(SearchFolder(self.folder, self.experiment))

    @property
    def document(self) -> dict[str, Any]:
        """``coefficients.json``, or the status where there are no coefficients."""
        if self.conclusion is None:
            return self.status.document
        return _read_coefficients(self.folder)


def run_search(
    experiment: Experiment,
    results: str | Path | None = None,
    workers: WorkerConfig = INLINE,
    *,
    storage: str | None = None,
    replay: str | Path | None = None,
    allow_code: bool = False,
    keep: bool = False,
    progress: bool = False,
) -> SearchResult:
    """Train everything that an experiment asks for and write its results.

    ``results``: the folder of this search, by default ``results/NAME``; a search that was begun
    there is continued. ``storage``: URL of a database for the study, in place of the folder's
    SQLite file. ``replay``: folder of another search whose proposals are made again. ``keep``:
    keep the checkpoints of candidates that were trained to the end. ``progress``: show the
    progress, and after an interruption how to continue, on standard error.

    Raises ArchitectureError, DataError or SearchError where the experiment cannot be run,
    SearchFailed where images or a bug stopped it, KeyboardInterrupt after SIGINT or SIGTERM.
    """
    folder = Path(results) if results is not None else Path("results") / experiment.name
    with _shown_progress(folder, progress) as (on_progress, on_data):
        records = driver.run_search(
            experiment,
            folder,
            storage=storage,
            replay=replay,
            on_progress=on_progress,
            on_data=on_data,
            allow_code=allow_code,
            keep=keep,
            **workers.options,
        )
    conclusion = None
    if experiment.search.sampler != "points":
        with code_allowed(allow_code), _interruption_message(folder, progress):
            _, conclusion = write_results_and_conclusion(SearchFolder(folder, experiment))
    return SearchResult(experiment, folder, records, conclusion)


@contextmanager
def _shown_progress(
    folder: Path, progress: bool
) -> Iterator[tuple[OnProgress | None, OnData | None]]:
    if not progress:
        yield None, None
        return
    with _interruption_message(folder, progress), show_search(folder / "news") as callbacks:
        yield callbacks


@contextmanager
def _interruption_message(folder: Path, progress: bool) -> Iterator[None]:
    """Say how to continue after an interruption."""
    try:
        yield
    except KeyboardInterrupt:
        if progress and (folder / "experiment.yaml").is_file():
            print(f"stopped; `scalesearch resume {folder}` continues it", file=sys.stderr)
        elif progress:
            print("stopped before anything was trained; run the command again", file=sys.stderr)
        raise


def resume_search(
    folder: str | Path,
    overrides: Sequence[str] = (),
    workers: WorkerConfig = INLINE,
    *,
    storage: str | None = None,
    allow_code: bool = False,
    progress: bool = False,
) -> SearchResult:
    """Continue the search in a folder, by its own ``experiment.yaml``.

    ``overrides``: of ``search.stop`` and ``search.failures``, which may change during a search.
    """
    return run_search(
        maintenance.read_search_experiment(folder, overrides),
        folder,
        workers,
        storage=storage or maintenance.read_storage_url(folder),
        allow_code=allow_code,
        progress=progress,
    )


def retry_failures(
    folder: str | Path,
    workers: WorkerConfig = INLINE,
    *,
    kind: str | None = None,
    candidate: str | None = None,
    storage: str | None = None,
    allow_code: bool = False,
    progress: bool = False,
) -> SearchResult:
    """Train failed candidates again and continue the search.

    ``kind``: only failures of this kind, such as ``worker_lost``; ``candidate``: only fingerprints
    that begin with this.
    """
    storage = storage or maintenance.read_storage_url(folder)
    maintenance.retry(
        folder, kind=kind, candidate=candidate, storage=storage, allow_code=allow_code
    )
    return resume_search(
        folder, (), workers, storage=storage, allow_code=allow_code, progress=progress
    )


def extend_search(
    folder: str | Path,
    workers: WorkerConfig = INLINE,
    *,
    trials: int | None = None,
    seeds: int | None = None,
    rungs: Sequence[int] | None = None,
    storage: str | None = None,
    allow_code: bool = False,
    progress: bool = False,
) -> SearchResult:
    """Add trials, seeds or epochs to a search and continue it."""
    storage = storage or maintenance.read_storage_url(folder)
    extension = maintenance.extend(
        folder, trials=trials, seeds=seeds, rungs=rungs, storage=storage, allow_code=allow_code
    )
    return run_search(
        extension.experiment,
        folder,
        workers,
        storage=storage,
        allow_code=allow_code,
        progress=progress,
    )


def invalidate_results(
    folder: str | Path,
    candidate: str,
    *,
    seed: int | None = None,
    from_epoch: int = 1,
    storage: str | None = None,
    allow_code: bool = False,
) -> pd.DataFrame:
    """Remove results that turned out wrong, and return their records.

    They are kept in ``invalidated.csv``; ``resume_search`` trains the candidate again.
    """
    return maintenance.invalidate(
        folder,
        candidate,
        seed=seed,
        from_epoch=from_epoch,
        storage=storage,
        allow_code=allow_code,
    )


def dry_run(
    experiment: Experiment,
    workers: WorkerConfig = INLINE,
    *,
    noise_from: str | Path | None = None,
    measure_seconds: float = NOISE_MEASUREMENT_SECONDS,
    allow_code: bool = False,
) -> DryRun:
    """Count a search's training; estimate its time, memory and power.

    ``noise_from``: the folder of a search whose noise of runs is taken; otherwise the noise is
    measured if that takes at most ``measure_seconds``, and guessed if not. Nothing is written.
    """
    noise = None if noise_from is None else noise_from_records(Path(noise_from))
    return make_dry_run(
        experiment, noise=noise, measure=measure_seconds, allow_code=allow_code, **workers.options
    )


def read_status(folder: str | Path, *, watch: bool = False, interval: float = 2.0) -> SearchStatus:
    """Return how far a search is, and its candidates.

    ``watch``: show it on the terminal until no driver works on it, every ``interval`` seconds.
    """
    if watch:
        watch_search(Path(folder), interval)
    return search_status(folder)


def open_dashboard(
    folder: str | Path,
    port: int = 8080,
    *,
    storage: str | None = None,
    on_address: Callable[[str], None] = print,
) -> None:
    """Show a copy of a search's study in optuna-dashboard until it is interrupted."""
    show_dashboard(
        Path(folder),
        port,
        storage=storage or maintenance.read_storage_url(folder),
        name=maintenance.read_search_experiment(folder).name,
        on_address=on_address,
    )


@dataclass(frozen=True, slots=True)
class FactorSearches:
    """The searches of an experiment with several budget factors, and their comparison."""

    results: tuple[SearchResult, ...]
    comparison: FactorComparison

    @property
    def document(self) -> dict[str, Any]:
        """``factors.json``, with the coefficients of each search."""
        coefficients = [_read_coefficients(result.folder) for result in self.results]
        return {**self.comparison.document, "answers": coefficients}


def factor_folders(
    experiments: Sequence[Experiment], results: str | Path | None = None
) -> dict[str, Path]:
    """Return the folder of each search by its name: ``NAME/factor-2`` and so on."""
    name = experiments[0].name.rpartition(FACTOR_INFIX)[0]
    parent = Path(results) if results is not None else Path("results") / name
    return {
        experiment.name: parent / experiment.name.removeprefix(f"{name}-")
        for experiment in experiments
    }


def run_factor_searches(
    experiments: Sequence[Experiment],
    results: str | Path | None = None,
    workers: WorkerConfig = INLINE,
    *,
    storage: str | None = None,
    replay: str | Path | None = None,
    allow_code: bool = False,
    progress: bool = False,
    on_result: Callable[[SearchResult], None] = lambda result: None,
) -> FactorSearches:
    """Run one search for each budget factor and compare their coefficients.

    ``experiments``: as ``read_experiments`` returns them. ``on_result`` is called after each
    search. The other arguments are those of ``run_search``.
    """
    folders = factor_folders(experiments, results)
    search_results = []
    for experiment in experiments:
        folder = folders[experiment.name]
        if progress:
            print(f"{experiment.budget.factor:g}x the baseline: {folder}", file=sys.stderr)
        result = run_search(
            experiment,
            folder,
            workers,
            storage=storage,
            replay=replay,
            allow_code=allow_code,
            progress=progress,
        )
        on_result(result)
        search_results.append(result)
    parent = next(iter(folders.values())).parent
    return FactorSearches(
        tuple(search_results),
        write_factor_comparison(
            parent, [SearchFolder(result.folder, result.experiment) for result in search_results]
        ),
    )


def _read_coefficients(folder: Path) -> dict[str, Any]:
    text = (folder / "coefficients.json").read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text)
    return document
