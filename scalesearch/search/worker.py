"""Functions that run inside a worker: run a job, inspect data and device.

Arguments and results are plain data, so that any process can run them. Errors of a job are part of
its outcome; an exception that leaves ``run_job`` means that the worker is lost.
"""

import errno
import os
import socket
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import torch

from scalesearch.architectures.custom import CustomModel
from scalesearch.architectures.stages import Architecture
from scalesearch.config.experiment import DataSpec, Experiment
from scalesearch.data.augmentation.pipeline import require_policy
from scalesearch.data.dataset import Dataset
from scalesearch.data.sources.by_name import load_dataset
from scalesearch.errors import DataError, ScaleSearchError
from scalesearch.locks import lock_checkpoint
from scalesearch.models.custom_model import code_allowed
from scalesearch.results.environment import environment_info, git_commit
from scalesearch.search.heartbeats import Heartbeat, open_heartbeat
from scalesearch.search.jobs import Failure, FailureKind, Job, Outcome
from scalesearch.training.device import resolve_device as resolve_device
from scalesearch.training.job import TrainingJob
from scalesearch.training.loop import OutOfMemory, TrainingDiverged, train_together
from scalesearch.training.lr_rules import run_lr_sweep
from scalesearch.training.preflight import fitting_micro_batch
from scalesearch.training.schedules import peak_learning_rate

OnDownloadProgress = Callable[[int, int], None]
MAX_CACHED_DATASETS = 16
"""Number of data sets that a worker keeps between jobs: one for each seed."""


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """Facts about a worker's device and images, as JSON values."""

    device: str
    environment: dict[str, Any]
    data: dict[str, Any]


def inspect_worker(
    experiment: Experiment, on_progress: OnDownloadProgress | None = None
) -> WorkerInfo:
    """Inspect the device and the images of every seed, which stay loaded for the jobs.

    Raises SearchError for a device that does not exist, DataError for images that cannot be used.
    """
    device = resolve_device(experiment.device)
    require_policy(experiment.recipe.augmentation.policy)
    datasets = {
        seed: _load_cached(experiment.data, seed, device, on_progress) for seed in experiment.seeds
    }
    images_of_first_seed = datasets[experiment.seed]
    data = {
        "source": experiment.data.source,
        "train": len(images_of_first_seed.train),
        "validation": len(images_of_first_seed.validation),
        "pixels": images_of_first_seed.pixels,
        "channels": images_of_first_seed.channels,
        "classes": list(images_of_first_seed.class_names),
        "fingerprints": {str(seed): images.fingerprint for seed, images in datasets.items()},
    }
    return WorkerInfo(device, environment_info(device), data)


def find_micro_batch(
    experiment: Experiment,
    networks: Sequence[Architecture | CustomModel],
    device: str,
    allow_code: bool,
) -> int | None:
    """Find the micro-batch with which all networks fit the device."""
    together = experiment.search.seeds if experiment.search.together else 1
    images = _load_cached(experiment.data, experiment.seed, device)
    with code_allowed(allow_code):
        return fitting_micro_batch(
            networks, experiment.recipe, images, device=device, concurrent_runs=together
        )


def run_job(job: Job) -> Outcome:
    """Train the seeds of a job from their checkpoints to the end of the job."""
    started_at = time.time()
    rows: list[dict[str, Any]] = []
    tuning, failure = None, None
    try:
        with (
            open_heartbeat(job.heartbeats, worker_name(), job.name) as heartbeat,
            code_allowed(job.allow_code),
            _lock_runs(job, heartbeat),
        ):
            if job.sweep:
                tuning = _sweep_learning_rate(job, heartbeat)
            else:
                rows.extend(_train_epochs(job, heartbeat))
    except Exception as error:
        failure = _failure_from_error(error)
    return Outcome(
        key=job.key,
        rows=tuple(rows),
        tuning=tuning,
        failure=failure,
        worker=worker_name(),
        started_at=started_at,
        ended_at=time.time(),
    )


FAILURE_KINDS: dict[FailureKind, tuple[type[Exception], ...]] = {
    "diverged": (TrainingDiverged,),
    "out_of_memory": (OutOfMemory, MemoryError, torch.OutOfMemoryError),
    "data": (ScaleSearchError, OSError),
}
"""Kinds of failures by exception; the first match counts, and all others are bugs."""


def worker_name() -> str:
    """Name of this process among those of all machines."""
    return f"{socket.gethostname()}:{os.getpid()}"


def _train_epochs(job: Job, heartbeat: Heartbeat) -> Iterator[dict[str, Any]]:
    """Train, and yield a row per epoch and seed until the job ends or is halted."""
    runs = [_training_job(job, seed) for seed in job.seeds]
    images = _load_images(job, heartbeat)
    job_columns = {
        "learning_rate": peak_learning_rate(job.recipe),
        "micro_batch": job.recipe.micro_batch or job.recipe.batch_size,
        "device": job.device,
        "commit": _commit(),
    }
    for position, epoch in train_together(runs, images, device=job.device):
        row = asdict(epoch)
        del row["resolution"]  # that of the epoch; the column has that of the network
        yield {"seed": job.seeds[position], "epoch": row.pop("index"), **row, **job_columns}
        heartbeat.report_epoch(epoch.index, epoch.accuracy, epoch.images_per_second)
        if job.halt is not None and position == len(runs) - 1 and job.halt.exists():
            return


def _training_job(job: Job, seed: int) -> TrainingJob:
    return TrainingJob(
        architecture=job.architecture,
        recipe=job.recipe,
        seed=seed,
        fingerprint=job.candidate,
        start=job.start,
        stop=job.stop,
        checkpoint=job.checkpoint_path(seed),
    )


def _sweep_learning_rate(job: Job, heartbeat: Heartbeat) -> dict[str, Any]:
    run = TrainingJob(
        architecture=job.architecture,
        recipe=job.recipe,
        seed=job.seeds[0],
        fingerprint=job.candidate,
    )
    images = _load_images(job, heartbeat)[0]
    heartbeat.report_activity("looking for a learning rate")
    return asdict(run_lr_sweep(run, images, device=job.device))


def _load_images(job: Job, heartbeat: Heartbeat) -> list[Dataset]:
    """Load the images of each seed; raise DataError for images of another search."""
    datasets = [
        _load_cached(job.data, seed, job.device, heartbeat.report_images) for seed in job.seeds
    ]
    for seed, images, expected in zip(job.seeds, datasets, job.fingerprints, strict=True):
        if images.fingerprint != expected:
            raise DataError(
                f"{job.data.source}: seed {seed}: need the images that the search started with "
                f"({expected}), got others on worker {worker_name()} ({images.fingerprint})"
            )
    return datasets


_DATASET_CACHE: dict[tuple[DataSpec, int, str], Dataset] = {}


def _load_cached(
    spec: DataSpec, seed: int, device: str, on_progress: OnDownloadProgress | None = None
) -> Dataset:
    """Load a seed's images once; keep them on the device where they fit."""
    key = (spec, seed, device)
    if key not in _DATASET_CACHE:
        while len(_DATASET_CACHE) >= MAX_CACHED_DATASETS:
            del _DATASET_CACHE[next(iter(_DATASET_CACHE))]
        _DATASET_CACHE[key] = load_dataset(spec, seed, device=device, progress=on_progress).to(
            device
        )
    return _DATASET_CACHE[key]


@lru_cache(maxsize=1)
def _commit() -> str:
    return git_commit()


@contextmanager
def _lock_runs(job: Job, heartbeat: Heartbeat) -> Iterator[None]:
    """Lock the job's checkpoints, so that no other worker trains the same runs.

    Another worker may belong to a driver that died, or to an earlier attempt that was cancelled.
    The second one to get a lock continues from the checkpoint of the first.
    """
    has_waited = False

    def report_waiting() -> None:
        nonlocal has_waited
        has_waited = True
        heartbeat.report_activity("waiting for another worker that trains this run")

    with ExitStack() as stack:
        for seed in job.seeds:
            stack.enter_context(lock_checkpoint(job.checkpoint_path(seed), report_waiting))
        if has_waited:
            heartbeat.report_activity("")
        yield


def _failure_from_error(error: Exception) -> Failure:
    traceback_text = "".join(traceback.format_exception(error))
    matching_kinds = (kind for kind, classes in FAILURE_KINDS.items() if isinstance(error, classes))
    kind: FailureKind = next(matching_kinds, "bug")
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        kind = "out_of_memory"
    reason = (
        str(error) if isinstance(error, ScaleSearchError) else f"{type(error).__name__}: {error}"
    )
    return Failure(kind=kind, reason=" ".join(reason.split()), traceback=traceback_text)
