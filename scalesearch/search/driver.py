"""The driver of a search: opens folder, study and workers, and runs the tuner.

A folder has one driver at a time. An epoch is in its checkpoint before it is in the study, and a
run starts where the study ends. So whenever the driver dies, the same command continues the search
and trains no epoch that is on record.
"""

import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import optuna
import pandas as pd

from scalesearch.config.experiment import Experiment
from scalesearch.errors import SearchError
from scalesearch.io import to_document
from scalesearch.locks import lock_folder
from scalesearch.models.custom_model import code_allowed
from scalesearch.results.environment import read_environment
from scalesearch.results.records import read_records
from scalesearch.results.search_folder import SearchPaths, claim_folder, read_failures
from scalesearch.search.candidate_source import CandidateSource
from scalesearch.search.heartbeats import remove_heartbeats
from scalesearch.search.jobs import SearchContext
from scalesearch.search.pools.opening import open_worker_pool
from scalesearch.search.progress_reporter import ProgressCallback, ProgressReporter
from scalesearch.search.results_writer import (
    ResultsWriter,
    read_proposals,
)
from scalesearch.search.samplers import study_directions
from scalesearch.search.study.identity import bind_study, lock_study
from scalesearch.search.study.rebuilding import needs_rebuild, rebuild_study
from scalesearch.search.study.search_trial import trial_records
from scalesearch.search.study.storage import close_study, open_study
from scalesearch.search.successive_halving import SuccessiveHalving
from scalesearch.search.tuner import Tuner
from scalesearch.search.worker import (
    OnDownloadProgress,
    WorkerInfo,
    find_micro_batch,
    inspect_worker,
    run_job,
)
from scalesearch.search.worker_pool import WorkerPool

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stop_on_signal(on_first_signal: Callable[[], None]) -> Iterator[Callable[[], bool]]:
    """Handle SIGINT and SIGTERM: the first stops in order, the second at once.

    The first signal calls ``on_first_signal``; the second raises KeyboardInterrupt. Yields a
    function that returns whether there was a signal. Does nothing outside the main thread, as only
    the main thread receives signals.
    """
    count = 0

    def handle_signal(number: int, frame: FrameType | None) -> None:
        """Ask the search to stop; a second signal stops it at once."""
        nonlocal count
        count += 1
        if count > 1:
            raise KeyboardInterrupt
        on_first_signal()
        print(
            "stopping when the running jobs have reached a checkpoint; once more to stop at once",
            file=sys.stderr,
            flush=True,
        )

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    previous_handlers = {number: signal.signal(number, handle_signal) for number in SIGNALS}
    try:
        yield lambda: count > 0
    finally:
        for number, handler in previous_handlers.items():
            signal.signal(number, handler)


class MicroBatchWarning(UserWarning):
    """Warns that batches are trained in parts, as the largest network needs it."""


class FailureWarning(UserWarning):
    """Warns of a candidate that could not be trained."""


def run_search(
    experiment: Experiment,
    results: str | Path | None = None,
    *,
    executor: str | Executor = "inline",
    workers: int | None = None,
    scheduler: str | None = None,
    devices: Sequence[str] | None = None,
    memory: int | None = None,
    storage: str | None = None,
    replay: str | Path | None = None,
    on_progress: ProgressCallback | None = None,
    on_data: OnDownloadProgress | None = None,
    allow_code: bool = False,
    keep: bool = False,
) -> pd.DataFrame:
    """Run or resume the search of an experiment, and return its records.

    ``results``: folder of the search, by default ``results/<name>``; a search of this experiment
    that started there is resumed. ``executor``, ``workers``, ``scheduler``, ``devices``,
    ``memory``: see ``pools.opening.open_worker_pool``. ``storage``: URL of a database for the
    study, instead of the folder's SQLite file. ``replay``: folder of another search, whose
    proposals replace the sampler's. ``on_progress`` is called after every event and at least once
    a second. ``on_data`` is called with the number of images done and in total, while images are
    downloaded and decoded. ``allow_code``: run the code of a baseline ``module:factory``, which is
    refused otherwise. ``keep``: keep the checkpoints of trials that have ended.

    Raises ArchitectureError, DataError or SearchError before anything is trained or written, if
    the experiment cannot be run; SearchFailed, with all epochs recorded, if the images or a bug
    stopped it; KeyboardInterrupt after SIGINT or SIGTERM.
    """
    path = Path(results) if results is not None else Path("results") / experiment.name
    require_searchable(experiment)
    with (
        code_allowed(allow_code),
        open_worker_pool(
            executor,
            run_job=run_job,
            workers=workers,
            scheduler=scheduler,
            devices=devices,
            memory=memory,
            log_folder=path / "logs",
        ) as pool,
    ):
        # In this process the progress of loading images can be shown.
        worker_info = (
            inspect_worker(experiment, on_data)
            if executor == "inline"
            else pool.call(inspect_worker, experiment)
        )
        _require_devices(devices, worker_info.device)
        return _run_in_folder(
            experiment, path, pool, worker_info, storage, replay, on_progress, allow_code, keep
        )


def _run_in_folder(
    experiment: Experiment,
    path: Path,
    pool: WorkerPool,
    worker_info: WorkerInfo,
    storage: str | None,
    replay: str | Path | None,
    on_progress: ProgressCallback | None,
    allow_code: bool,
    keep: bool,
) -> pd.DataFrame:
    source = CandidateSource.from_experiment(experiment, worker_info.data, replay)
    facts = {**worker_info.environment, "data": worker_info.data}
    folder = claim_folder(path, experiment, facts, storage)
    with lock_folder(path), open_locked_study(folder, experiment, source, storage) as study:
        folder.halt.unlink(missing_ok=True)
        folder.progress.unlink(missing_ok=True)
        remove_heartbeats(folder.heartbeats)
        context = SearchContext(
            experiment,
            folder,
            source.space.baseline,
            worker_info.data,
            worker_info.device,
            _choose_micro_batch(study, experiment, source, pool, worker_info.device, allow_code),
            allow_code,
            keep,
        )
        tuner = Tuner(
            experiment,
            source,
            SuccessiveHalving.from_experiment(experiment),
            study,
            pool,
            context.job,
            ResultsWriter(folder),
            context.remove_checkpoints,
            folder.halt.touch,
        )
        _run_tuner(tuner, folder, on_progress)
        return trial_records(tuner.trials_in_order)


def require_searchable(experiment: Experiment) -> None:
    """Refuse early stopping and trained weights, which a search cannot compare."""
    if experiment.recipe.patience is not None:
        raise SearchError(
            "recipe.patience: need null in a search, which compares networks after equally many "
            f"epochs, got {experiment.recipe.patience}; early stopping is for `scalesearch train`"
        )
    if experiment.recipe.transfer is not None:
        raise SearchError(
            "recipe.transfer: need null in a search, whose candidates start from random weights; "
            "`scalesearch train NETWORK.safetensors` continues from trained ones"
        )


def _require_devices(requested: Sequence[str] | None, available: str) -> None:
    """Refuse requested GPUs if the workers find none and would train on the CPU."""
    if any(device.startswith("cuda") for device in requested or ()) and not available.startswith(
        "cuda"
    ):
        raise SearchError(
            f"devices: need workers with {', '.join(requested or ())}, got one with {available} "
            "only; leave --devices out to train there, and see `scalesearch doctor`"
        )


@contextmanager
def open_locked_study(
    folder: SearchPaths, experiment: Experiment, source: CandidateSource, storage: str | None
) -> Iterator[optuna.Study]:
    """Open the study for this driver alone; rebuild it from the records if it is lost."""
    study_location = storage or folder.study
    study = open_study(study_location, experiment.name, study_directions(experiment.search))
    try:
        with lock_study(study):
            bind_study(study, _study_identity(experiment, folder))
            if folder.records.exists() and needs_rebuild(study):
                rebuild_study(
                    study,
                    read_records(folder.records),
                    experiment,
                    source.space,
                    source.planned,
                    read_failures(folder.failures),
                    read_proposals(folder.path) if folder.proposals.exists() else (),
                )
            yield study
    finally:
        close_study(study)


def _study_identity(experiment: Experiment, folder: SearchPaths) -> dict[str, Any]:
    """Facts that distinguish studies of the same name in a shared database."""
    document = to_document(experiment)
    stored_environment = read_environment(folder.environment)
    identity = {name: document[name] for name in ("baseline", "data", "budget", "recipe", "seed")}
    # The first seed only: later ones may be added.
    images = stored_environment["data"]["fingerprints"].get(str(experiment.seed))
    return identity | {"images": images, "device": stored_environment["device"]}


def _choose_micro_batch(
    study: optuna.Study,
    experiment: Experiment,
    source: CandidateSource,
    pool: WorkerPool,
    device: str,
    allow_code: bool,
) -> int | None:
    """Return the micro-batch of the study; find and record it in a new study."""
    if "micro_batch" in study.user_attrs:
        size: int | None = study.user_attrs["micro_batch"]
        return size
    # With a nominal budget, planned networks may lie between the listed candidates.
    candidates = [*source.space.candidates, *(item.candidate for item in source.planned)]
    networks = [source.space.baseline, *(candidate.architecture for candidate in candidates)]
    micro_batch = pool.call(find_micro_batch, experiment, networks, device, allow_code)
    study.set_user_attr("micro_batch", micro_batch)
    if micro_batch != experiment.recipe.micro_batch:
        warnings.warn(
            f"the largest network does not fit {device} with {experiment.recipe.batch_size} images "
            f"in a pass: all networks are trained with micro-batches of {micro_batch}, over which "
            "batch norm averages (column micro_batch of the records)",
            MicroBatchWarning,
            stacklevel=4,
        )
    return micro_batch


def _run_tuner(tuner: Tuner, folder: SearchPaths, on_progress: ProgressCallback | None) -> None:
    """Run the tuner and report its progress; halt it at the first signal."""
    reporter = ProgressReporter(tuner, folder, on_progress)
    reported, is_finished = 0, False
    with stop_on_signal(tuner.halt) as interrupted:
        try:
            for _ in tuner.run():
                reported = _warn_of_failures(tuner, reported)
                reporter.report()
            is_finished = not interrupted()
        finally:
            reporter.report(force=True, finished=is_finished)
            folder.halt.unlink(missing_ok=True)
        if interrupted():
            raise KeyboardInterrupt


def _warn_of_failures(tuner: Tuner, reported: int) -> int:
    """Warn of trials that failed since the last call; return the number of ended trials.

    ``reported``: that number at the last call.
    """
    for trial in tuner.finished_trials[reported:]:
        if trial.state != "failed":
            continue
        role = trial.candidate_columns["role"]
        warnings.warn(
            f"{role}: {trial.failure_kind}: {trial.reason}; the search goes on",
            FailureWarning,
            stacklevel=4,
        )
    return len(tuner.finished_trials)
