"""The training loop: a generator of epochs, for one job or several.

While an epoch is trained, freed memory stays in the process. glibc would return blocks above 32 MiB
to the system as soon as they are free, and the system would fill them with zeros, page by page,
for the next step: 5 to 8% of a step of B0 with 128 images (``benchmarks/README.md``). Keeping them
takes about a fifth more memory.
"""

import ctypes
import math
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache

import torch

from scalesearch.data.dataset import Dataset
from scalesearch.errors import ScaleSearchError
from scalesearch.models.stopwatch import use_threads
from scalesearch.results.run_folder import Epoch
from scalesearch.training.distributed import SINGLE_PROCESS, DistributedContext
from scalesearch.training.job import TrainingJob
from scalesearch.training.job_network import require_fixed_rules, require_matching_data
from scalesearch.training.profiling import release_memory
from scalesearch.training.trainer import TrainingRun, start_run

TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD, MMAP_MAX = -1, -2, -3, -4  # malloc.h of glibc
MIB = 1 << 20

KEEP_MEMORY_OPTIONS = {MMAP_MAX: 0, TRIM_THRESHOLD: 2**31 - 1, TOP_PAD: 64 * MIB}
"""Settings of malloc: no mmap, no return of memory, growth in steps of 64 MiB."""

DEFAULT_OPTIONS = {
    MMAP_MAX: 65536,
    MMAP_THRESHOLD: 32 * MIB,
    TRIM_THRESHOLD: 64 * MIB,
    TOP_PAD: 128 * 1024,
}
"""Values that glibc's own growing thresholds reach in a process with tensors."""


@contextmanager
def keep_memory(device: torch.device) -> Iterator[None]:
    """Keep freed memory in the process within the block, on a CPU with glibc."""
    mallopt = _mallopt() if device.type == "cpu" else None
    if mallopt is None:
        yield
        return
    _set_options(mallopt, KEEP_MEMORY_OPTIONS)
    try:
        yield
    finally:
        _set_options(mallopt, DEFAULT_OPTIONS)


def _set_options(mallopt: Callable[[int, int], int], options: dict[int, int]) -> None:
    for name, value in options.items():
        mallopt(name, value)


@cache
def _mallopt() -> Callable[[int, int], int] | None:
    """Return glibc's ``mallopt``; None for other C libraries."""
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return None
    mallopt: Callable[[int, int], int] = library.mallopt
    return mallopt


OUT_OF_MEMORY_MESSAGES = (
    "DefaultCPUAllocator",
    "CUDA error: out of memory",
    "_STATUS_ALLOC_FAILED",
)
"""How PyTorch, the CUDA runtime, cuBLAS and cuDNN say that they got no memory."""


class TrainingDiverged(ScaleSearchError):
    """Raised for a loss that is not finite, with the ``epochs`` before it."""

    def __init__(self, message: str, epochs: Sequence[Epoch]) -> None:
        super().__init__(message)
        self.epochs = tuple(epochs)


class OutOfMemory(ScaleSearchError):
    """Raised for a network that does not fit the device with the recipe's micro-batch."""


def train(
    job: TrainingJob,
    dataset: Dataset,
    *,
    device: torch.device | str,
    distributed: DistributedContext = SINGLE_PROCESS,
) -> Iterator[Epoch]:
    """Yield the job's epochs after ``job.start``, each when it is checkpointed.

    Epochs of the checkpoint are yielded from its history, so finished epochs are not lost. Then
    training continues up to ``job.last_epoch`` or until the recipe's patience is over. On the CPU
    an interrupted run, an abandoned generator or another process change no bit of the result.

    Raises DataError if the network does not fit the images, SearchError for a checkpoint of
    another run and for a recipe with rules that have not been applied (see ``lr_rules``),
    TrainingDiverged if a loss is not finite, and OutOfMemory.
    """
    for _, epoch in train_together([job], [dataset], device=device, distributed=distributed):
        yield epoch


def train_together(
    jobs: Sequence[TrainingJob],
    datasets: Sequence[Dataset],
    *,
    device: torch.device | str,
    distributed: DistributedContext = SINGLE_PROCESS,
) -> Iterator[tuple[int, Epoch]]:
    """Train several jobs at once; yield (index of the job, epoch).

    The jobs take turns step by step. On CUDA each has its own stream, so small networks fill the
    device together. On a CPU this is not faster, and each job's result equals that of the job
    alone, bit for bit. Raises the errors of ``train``; jobs that have not failed keep the epoch
    they have just trained.
    """
    torch_device = torch.device(device)
    for job, dataset in zip(jobs, datasets, strict=True):
        require_matching_data(job, dataset)
        require_fixed_rules(job)
    try:
        yield from _epochs(jobs, datasets, torch_device, distributed)
    finally:
        release_memory(torch_device)  # here, where no variable refers to a run any more


def _epochs(
    jobs: Sequence[TrainingJob],
    datasets: Sequence[Dataset],
    device: torch.device,
    distributed: DistributedContext,
) -> Iterator[tuple[int, Epoch]]:
    """Yield the recorded epochs, then each new one."""
    with _explain_out_of_memory(jobs):
        runs = [start_run(*pair, device, distributed) for pair in zip(jobs, datasets, strict=True)]
    for index, run in enumerate(runs):
        recorded = run.history[run.job.start : run.job.last_epoch]
        yield from ((index, epoch) for epoch in recorded)
    while active_runs := {index: run for index, run in enumerate(runs) if run.has_next_epoch}:
        yield from _train_next_epochs(active_runs, device)


def _train_next_epochs(
    active_runs: dict[int, TrainingRun], device: torch.device
) -> Iterator[tuple[int, Epoch]]:
    """Train every run's next epoch; record all of them before yielding the first."""
    runs = list(active_runs.values())
    with reproducible(runs[0].job.recipe.threads, device), _explain_out_of_memory(_jobs(runs)):
        epochs = _interleave_epochs([run.train_epoch(len(runs)) for run in runs], device)
    finished, diverged = [], []
    for (index, run), epoch in zip(active_runs.items(), epochs, strict=True):
        if not (math.isfinite(epoch.train_loss) and math.isfinite(epoch.loss)):
            diverged.append((run, epoch))
            continue
        run.record_epoch(epoch)
        if epoch.index > run.job.start:
            finished.append((index, epoch))
    yield from finished
    for run, epoch in diverged:
        job = run.job
        raise TrainingDiverged(
            f"epoch {epoch.index} of {job.fingerprint}, seed {job.seed}: need finite losses, got "
            f"{epoch.train_loss} in training and {epoch.loss} in validation; "
            f"lower the learning rate ({job.recipe.learning_rate:g}) or warm up longer",
            run.history,
        )


def _jobs(runs: Sequence[TrainingRun]) -> list[TrainingJob]:
    return [run.job for run in runs]


@dataclass(slots=True)
class _EpochInProgress:
    """An epoch that is being trained, and its CUDA stream."""

    steps: Generator[None, None, Epoch]
    stream: torch.cuda.Stream | None
    epoch: Epoch | None = None

    def advance(self) -> None:
        """Take one step, or finish the epoch."""
        try:
            with torch.cuda.stream(self.stream) if self.stream else nullcontext():
                next(self.steps)
        except StopIteration as end:
            self.epoch = end.value


def _interleave_epochs(
    epochs: Sequence[Generator[None, None, Epoch]], device: torch.device
) -> Iterator[Epoch]:
    """Run the generators in turn, step by step, and return their results."""
    streams: list[torch.cuda.Stream | None] = [None] * len(epochs)
    if device.type == "cuda" and len(epochs) > 1:
        torch.cuda.synchronize(device)  # the initial tensors were made on another stream
        streams = [_cuda_stream(device, index) for index in range(len(epochs))]
    in_progress = [
        _EpochInProgress(steps, stream) for steps, stream in zip(epochs, streams, strict=True)
    ]
    while unfinished := [turn for turn in in_progress if turn.epoch is None]:
        for turn in unfinished:
            turn.advance()
    if any(streams):
        torch.cuda.synchronize(
            device
        )  # the device may still be restoring the run's own weights after validation
    return (turn.epoch for turn in in_progress if turn.epoch is not None)


@cache
def _cuda_stream(device: torch.device, index: int) -> torch.cuda.Stream:
    """Return the stream of a job by its index, always the same one.

    Each stream keeps cuBLAS memory until the process ends.
    """
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


@contextmanager
def reproducible(threads: int, device: torch.device) -> Iterator[None]:
    """Fix threads, CUDA device and memory handling within the block.

    After it the caller's number of threads, device and random streams are restored.
    """
    cuda = device.type == "cuda"
    with (
        use_threads(threads),
        torch.cuda.device(device) if cuda else nullcontext(),
        keep_memory(device),
        torch.random.fork_rng(devices=[device] if cuda else []),
    ):
        yield


@contextmanager
def _explain_out_of_memory(jobs: Sequence[TrainingJob]) -> Iterator[None]:
    """Replace the allocator's error by one that names the networks that did not fit."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        is_memory_error = isinstance(error, torch.OutOfMemoryError | MemoryError)
        if not is_memory_error and not any(
            message in str(error) for message in OUT_OF_MEMORY_MESSAGES
        ):
            raise
        recipe = jobs[0].recipe
        micro = recipe.micro_batch or recipe.batch_size
        raise OutOfMemory(
            f"{', '.join(f'{job.fingerprint}, seed {job.seed}' for job in jobs)}: need memory for "
            f"{micro} images in one pass, got {type(error).__name__}; set recipe.micro_batch to a "
            f"smaller divisor of {recipe.batch_size}"
        ) from error
