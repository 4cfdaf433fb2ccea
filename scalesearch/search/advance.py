"""What a worker does: the job's training, or the look at data and device that comes before.

All of it are functions of plain data, so that any process can carry them out. Whatever a job runs
into comes back as its outcome; an exception that gets out is a worker that was lost.
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

from scalesearch.architectures import Architecture, Foreign
from scalesearch.data import Dataset, load, require_policy
from scalesearch.environment import commit, environment
from scalesearch.errors import DataError, ScaleSearchError
from scalesearch.experiment import DataSpec, Experiment
from scalesearch.nets import code_allowed
from scalesearch.search.hold import held
from scalesearch.search.jobs import Failure, FailureKind, Job, Outcome
from scalesearch.search.news import Newsreel, newsreel
from scalesearch.training import Job as Run
from scalesearch.training import (
    OutOfMemory,
    TrainingDiverged,
    fitting_micro_batch,
    full_rate,
    swept,
    train_together,
)
from scalesearch.training.device import chosen_device as chosen_device

OnData = Callable[[int, int], None]
RESIDENT = 16
"""Data sets that a worker keeps between jobs: one for each seed."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What a worker's device and images are, as JSON values."""

    device: str
    environment: dict[str, Any]
    data: dict[str, Any]


def survey(experiment: Experiment, on_data: OnData | None = None) -> Survey:
    """Look at the device and at every seed's images, and keep these for the jobs to come.

    Raises SearchError for a device that is not there, DataError for images that cannot be used.
    """
    device = chosen_device(experiment.device)
    require_policy(experiment.recipe.augmentation.policy)
    sets = {seed: _resident(experiment.data, seed, device, on_data) for seed in experiment.seeds}
    first = sets[experiment.seed]
    data = {
        "source": experiment.data.source,
        "train": len(first.train),
        "validation": len(first.validation),
        "pixels": first.pixels,
        "channels": first.channels,
        "classes": list(first.class_names),
        "fingerprints": {str(seed): found.fingerprint for seed, found in sets.items()},
    }
    return Survey(device, environment(device), data)


def fitting(
    experiment: Experiment,
    networks: Sequence[Architecture | Foreign],
    device: str,
    allow_code: bool,
) -> int | None:
    """The micro-batch with which all networks fit the device (see ``fitting_micro_batch``)."""
    together = experiment.search.seeds if experiment.search.together else 1
    images = _resident(experiment.data, experiment.seed, device)
    with code_allowed(allow_code):
        return fitting_micro_batch(
            networks, experiment.recipe, images, device=device, together=together
        )


def advance(job: Job) -> Outcome:
    """Train the job's runs from their checkpoints to where the job ends."""
    began = time.time()
    rows: list[dict[str, Any]] = []
    tuning, failure = None, None
    try:
        with (
            newsreel(job.news, worker(), job.name) as reel,
            code_allowed(job.allow_code),
            _alone(job, reel),
        ):
            if job.sweep:
                tuning = _tuning(job, reel)
            else:
                rows.extend(_rows(job, reel))
    except Exception as error:
        failure = _failure(error)
    return Outcome(
        key=job.key,
        rows=tuple(rows),
        tuning=tuning,
        failure=failure,
        worker=worker(),
        began=began,
        ended=time.time(),
    )


KINDS: dict[FailureKind, tuple[type[Exception], ...]] = {
    "diverged": (TrainingDiverged,),
    "out_of_memory": (OutOfMemory, MemoryError, torch.OutOfMemoryError),
    "data": (ScaleSearchError, OSError),
}
"""What an exception tells of a job, the first that fits; all others are bugs."""


def worker() -> str:
    """This process, among those of all machines."""
    return f"{socket.gethostname()}:{os.getpid()}"


def _rows(job: Job, reel: Newsreel) -> Iterator[dict[str, Any]]:
    """What each epoch of each run measured, until the job's end or a halt."""
    runs = [_run(job, seed) for seed in job.seeds]
    images = _images(job, reel)
    facts = {
        "learning_rate": full_rate(job.recipe),
        "micro_batch": job.recipe.micro_batch or job.recipe.batch_size,
        "device": job.device,
        "commit": _commit(),
    }
    for place, epoch in train_together(runs, images, device=job.device):
        measured = asdict(epoch)
        del measured["resolution"]  # of this epoch's images; the column is the network's
        yield {"seed": job.seeds[place], "epoch": measured.pop("index"), **measured, **facts}
        reel.epoch(epoch.index, epoch.accuracy, epoch.images_per_second)
        if job.halt is not None and place == len(runs) - 1 and job.halt.exists():
            return


def _run(job: Job, seed: int) -> Run:
    return Run(
        architecture=job.architecture,
        recipe=job.recipe,
        seed=seed,
        fingerprint=job.candidate,
        start=job.start,
        stop=job.stop,
        checkpoint=job.checkpoint(seed),
    )


def _tuning(job: Job, reel: Newsreel) -> dict[str, Any]:
    run = Run(
        architecture=job.architecture,
        recipe=job.recipe,
        seed=job.seeds[0],
        fingerprint=job.candidate,
    )
    images = _images(job, reel)[0]
    reel.doing("looking for a learning rate")
    return asdict(swept(run, images, device=job.device))


def _images(job: Job, reel: Newsreel) -> list[Dataset]:
    """Each seed's images. Raises DataError where this worker's are not the search's."""
    found = [_resident(job.data, seed, job.device, reel.images) for seed in job.seeds]
    for seed, images, expected in zip(job.seeds, found, job.fingerprints, strict=True):
        if images.fingerprint != expected:
            raise DataError(
                f"{job.data.source}: seed {seed}: need the images that the search was begun with "
                f"({expected}), worker {worker()} has others ({images.fingerprint})"
            )
    return found


_LOADED: dict[tuple[DataSpec, int, str], Dataset] = {}


def _resident(spec: DataSpec, seed: int, device: str, on_data: OnData | None = None) -> Dataset:
    """A seed's images, on the device for as long as the worker lives where they fit it."""
    key = (spec, seed, device)
    if key not in _LOADED:
        while len(_LOADED) >= RESIDENT:
            del _LOADED[next(iter(_LOADED))]
        _LOADED[key] = load(spec, seed, device=device, progress=on_data).to(device)
    return _LOADED[key]


@lru_cache(maxsize=1)
def _commit() -> str:
    return commit()


@contextmanager
def _alone(job: Job, reel: Newsreel) -> Iterator[None]:
    """Hold the job's runs, so that no other worker trains them too: one that a dead driver left,
    or an earlier attempt that was given up. Whoever comes second finds the checkpoint."""
    told = False

    def waiting() -> None:
        nonlocal told
        told = True
        reel.doing("waiting for another worker to end this run")

    with ExitStack() as stack:
        for seed in job.seeds:
            stack.enter_context(held(job.checkpoint(seed), waiting))
        if told:
            reel.doing("")
        yield


def _failure(error: Exception) -> Failure:
    told = "".join(traceback.format_exception(error))
    found = (kind for kind, classes in KINDS.items() if isinstance(error, classes))
    kind: FailureKind = next(found, "bug")
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        kind = "out_of_memory"
    reason = (
        str(error) if isinstance(error, ScaleSearchError) else f"{type(error).__name__}: {error}"
    )
    return Failure(kind=kind, reason=" ".join(reason.split()), traceback=told)
