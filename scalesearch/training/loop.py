"""Memory that a step gives back and takes again, kept in the process meanwhile.

glibc returns blocks above 32 MiB to the system as soon as they are free, and the system fills them
with zeros, page by page, when the next step asks for them: 5 to 8% of a step of B0 with 128 images
(``benchmarks/README.md``). Kept, they cost about a fifth more memory while an epoch is trained.

Training: a generator of epochs, for one job or for several that take turns on a device.
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
from scalesearch.results.run_folder import Epoch
from scalesearch.training.distributed import SINGLE_PROCESS, DistributedContext
from scalesearch.training.init import require_fixed_rules, require_matching_data
from scalesearch.training.job import TrainingJob
from scalesearch.training.profiling import release_memory
from scalesearch.training.trainer import TrainingRun, start_run

TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD, MMAP_MAX = -1, -2, -3, -4  # malloc.h of glibc
MIB = 1 << 20

KEEP_MEMORY_OPTIONS = {MMAP_MAX: 0, TRIM_THRESHOLD: 2**31 - 1, TOP_PAD: 64 * MIB}
"""No block of its own for anything, nothing returned, and growth in large strides."""

DEFAULT_OPTIONS = {
    MMAP_MAX: 65536,
    MMAP_THRESHOLD: 32 * MIB,
    TRIM_THRESHOLD: 64 * MIB,
    TOP_PAD: 128 * 1024,
}
"""Where glibc's own thresholds, which grow with what is freed, end in a process with tensors."""


@contextmanager
def keep_memory(device: torch.device) -> Iterator[None]:
    """Within: what is freed stays with the process, on a CPU and where the allocator is glibc's."""
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
    """glibc's ``mallopt``; other C libraries have none, or one that means something else."""
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
    """A loss that is no finite number; ``epochs`` are those that ended before it."""

    def __init__(self, message: str, epochs: Sequence[Epoch]) -> None:
        super().__init__(message)
        self.epochs = tuple(epochs)


class OutOfMemory(ScaleSearchError):
    """A network that does not fit the device with the recipe's micro-batch."""


def train(
    job: TrainingJob,
    dataset: Dataset,
    *,
    device: torch.device | str,
    distributed: DistributedContext = SINGLE_PROCESS,
) -> Iterator[Epoch]:
    """Yield the job's epochs after ``job.start``, each when it has ended and is checkpointed.

    What the checkpoint already holds is yielded from its history, so that epochs which ended but
    were never recorded are not lost; then training goes on, to ``job.last`` or until the recipe's
    patience is over. On the CPU an interrupted run, an abandoned generator or another process
    change no bit of the result.

    Raises DataError where the network does not fit the images, SearchError for a checkpoint of
    another run and for a recipe whose rules are still to be carried out (see ``shape``),
    TrainingDiverged when a loss is not finite, OutOfMemory.
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
    """Train several jobs at once, each on its own images; yield (place of the job, epoch).

    The jobs take turns step by step. On CUDA each has a stream of its own, so that networks too
    small to fill the device fill it together; elsewhere nothing is gained, and each job's result is
    the same as alone, bit for bit. Raises as ``train`` does; jobs that have not failed keep the
    epoch that they trained meanwhile.
    """
    torch_device = torch.device(device)
    for job, dataset in zip(jobs, datasets, strict=True):
        require_matching_data(job, dataset)
        require_fixed_rules(job)
    try:
        yield from _epochs(jobs, datasets, torch_device, distributed)
    finally:
        release_memory(torch_device)  # out here, where no name holds a run any more


def _epochs(
    jobs: Sequence[TrainingJob],
    datasets: Sequence[Dataset],
    device: torch.device,
    distributed: DistributedContext,
) -> Iterator[tuple[int, Epoch]]:
    """What is on record, then each epoch."""
    with _explain_out_of_memory(jobs):
        runs = [start_run(*pair, device, distributed) for pair in zip(jobs, datasets, strict=True)]
    for index, run in enumerate(runs):
        recorded = run.history[run.job.start : run.job.last_epoch]
        yield from ((index, epoch) for epoch in recorded)
    while active_runs := {place: run for place, run in enumerate(runs) if run.has_next_epoch}:
        yield from _train_next_epochs(active_runs, device)


def _train_next_epochs(
    active_runs: dict[int, TrainingRun], device: torch.device
) -> Iterator[tuple[int, Epoch]]:
    """Every run's next epoch; all are kept before the first is told."""
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
    """A run's epoch under way, and the CUDA stream that its work is put on."""

    steps: Generator[None, None, Epoch]
    stream: torch.cuda.Stream | None
    epoch: Epoch | None = None

    def advance(self) -> None:
        """One step further, or to the end."""
        try:
            with torch.cuda.stream(self.stream) if self.stream else nullcontext():
                next(self.steps)
        except StopIteration as end:
            self.epoch = end.value


def _interleave_epochs(
    epochs: Sequence[Generator[None, None, Epoch]], device: torch.device
) -> Iterator[Epoch]:
    """Each generator's result; they take turns step by step."""
    streams: list[torch.cuda.Stream | None] = [None] * len(epochs)
    if device.type == "cuda" and len(epochs) > 1:
        torch.cuda.synchronize(device)  # what the runs begin with was made on another stream
        streams = [_cuda_stream(device, index) for index in range(len(epochs))]
    in_progress = [
        _EpochInProgress(steps, stream) for steps, stream in zip(epochs, streams, strict=True)
    ]
    while unfinished := [turn for turn in in_progress if turn.epoch is None]:
        for turn in unfinished:
            turn.advance()
    if any(streams):
        torch.cuda.synchronize(device)  # averages are still giving way to the own weights
    return (turn.epoch for turn in in_progress if turn.epoch is not None)


@cache
def _cuda_stream(device: torch.device, index: int) -> torch.cuda.Stream:
    """The stream of a place among those who take turns, always the same one: each stream keeps
    memory for cuBLAS as long as the process lives."""
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


@contextmanager
def reproducible(threads: int, device: torch.device) -> Iterator[None]:
    """Within: as many threads as the recipe says, the device is CUDA's present one, and memory is
    kept. The caller's number, device and random streams are put back."""
    cuda = device.type == "cuda"
    previous_threads = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with (
            torch.cuda.device(device) if cuda else nullcontext(),
            keep_memory(device),
            torch.random.fork_rng(devices=[device] if cuda else []),
        ):
            yield
    finally:
        torch.set_num_threads(previous_threads)


@contextmanager
def _explain_out_of_memory(jobs: Sequence[TrainingJob]) -> Iterator[None]:
    """Tell which networks did not fit, in place of the allocator's message."""
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
