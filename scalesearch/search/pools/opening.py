"""Open a worker pool: this process, local workers, Dask, or any executor."""

import os
import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path

from scalesearch.errors import SearchError
from scalesearch.search.jobs import Job, Outcome
from scalesearch.search.pools.local_pool import LocalExecutor
from scalesearch.search.pools.local_process import WorkerProcessConfig
from scalesearch.search.worker_pool import (
    ExecutorPool,
    Params,
    Result,
    WorkerPool,
    lost_outcome,
    validate_outcome,
)


class InlinePool:
    """A pool that runs jobs one by one in this process, for tests and debugging.

    A job runs when ``collect`` is called, so that it is seen as running before. KeyboardInterrupt
    and SystemExit are not caught.
    """

    def __init__(self, run_job: Callable[[Job], Outcome]) -> None:
        self._run_job = run_job
        self._queue: deque[Job] = deque()

    @property
    def slots(self) -> int:
        return 1

    def now(self) -> float:
        return time.monotonic()

    def submit(self, job: Job) -> None:
        self._queue.append(job)

    def call(
        self,
        function: Callable[Params, Result],
        /,
        *args: Params.args,
        **kwargs: Params.kwargs,
    ) -> Result:
        return function(*args, **kwargs)

    def collect(self, timeout: float | None) -> list[Outcome]:
        """Run the oldest job, however long it takes."""
        if not self._queue:
            return []
        job = self._queue.popleft()
        try:
            return [validate_outcome(job.key, self._run_job(job))]
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            return [lost_outcome(job.key, error)]

    def cancel(self, job: Job) -> None:
        self._queue = deque(other for other in self._queue if other.key != job.key)

    def close(self, *, cancel_running: bool) -> None:
        if cancel_running:
            self._queue.clear()


__all__ = ["EXECUTORS", "open_worker_pool"]

EXECUTORS = ("inline", "local", "dask")

THREADS_VARIABLE = "OMP_NUM_THREADS"
"""Number of threads of libraries that have no setting of their own; training uses the recipe's."""


@contextmanager
def open_worker_pool(
    executor: str | Executor,
    *,
    run_job: Callable[[Job], Outcome],
    workers: int | None = None,
    scheduler: str | None = None,
    devices: Sequence[str] | None = None,
    memory: int | None = None,
    log_folder: Path,
) -> Iterator[WorkerPool]:
    """Open the worker pool of a search; running jobs are cancelled at the end.

    Args:
        executor: ``inline``, ``local``, ``dask``, or a ``concurrent.futures.Executor``, which is
            left open.
        run_job: function that workers call for each job.
        workers: number of parallel jobs; with Dask or your own executor, the maximum.
        scheduler: address of the Dask scheduler.
        devices: devices of local workers, in turn; with Dask, whether to use GPUs.
        memory: bytes that each local worker may allocate.
        log_folder: folder for the output of local workers.

    Raises:
        SearchError: the options contradict each other, or there is no worker.
    """
    if workers is not None and workers < 1:
        raise SearchError(f"workers: need at least 1, got {workers}")
    _check_options(executor, workers=workers, scheduler=scheduler, devices=devices, memory=memory)
    pool = _make_pool(executor, run_job, workers, scheduler, devices or (), memory, log_folder)
    try:
        yield pool
    finally:
        pool.close(cancel_running=True)


def _make_pool(
    executor: str | Executor,
    run_job: Callable[[Job], Outcome],
    workers: int | None,
    scheduler: str | None,
    devices: Sequence[str],
    memory: int | None,
    log_folder: Path,
) -> WorkerPool:
    if executor == "inline":
        return InlinePool(run_job)
    if executor == "local":
        try:
            log_folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SearchError(
                f"{log_folder}: cannot be written: {error.strerror}; choose another folder"
            ) from error
        configs = _process_configs(workers or len(devices) or 1, devices, memory, log_folder)
        return ExecutorPool(LocalExecutor(configs), len(configs), run_job, owned=True)
    if executor == "dask":
        from scalesearch.search.pools.dask_pool import DaskExecutor

        assert scheduler is not None
        dask_executor = DaskExecutor(scheduler, gpus=any(map(_is_cuda, devices)))
        return ExecutorPool(
            dask_executor,
            lambda: min(dask_executor.slots, workers or dask_executor.slots),
            run_job,
            owned=True,
        )
    assert isinstance(executor, Executor)
    return ExecutorPool(executor, workers or _executor_workers(executor), run_job)


def _check_options(
    executor: str | Executor,
    *,
    workers: int | None,
    scheduler: str | None,
    devices: Sequence[str] | None,
    memory: int | None,
) -> None:
    if isinstance(executor, str) and executor not in EXECUTORS:
        raise SearchError(f"executor: need one of {', '.join(EXECUTORS)}, got {executor!r}")
    name = executor if isinstance(executor, str) else type(executor).__name__
    if executor == "dask" and scheduler is None:
        raise SearchError(
            "scheduler: executor dask needs an address, such as tcp://host:8786, got none; "
            "`dask scheduler` starts one and prints its address"
        )
    if executor != "dask" and scheduler is not None:
        raise SearchError(f"scheduler: need executor dask, got {scheduler} with executor {name}")
    if executor != "local" and memory is not None:
        raise SearchError(
            f"memory: need executor local, got {memory} with executor {name}"
            + (
                "; start the workers with --memory-limit"
                if executor == "dask"
                else "; use executor local, or omit memory"
            )
        )
    if executor == "inline" and workers not in (None, 1):
        raise SearchError(
            f"workers: executor inline has 1 worker, got {workers}; use executor local"
        )
    if executor in ("inline", "local") and devices and len(devices) > (workers or len(devices)):
        raise SearchError(
            f"devices: need at most one for each of the {workers} workers, got {', '.join(devices)}"
        )
    if executor == "inline" and devices:
        raise SearchError(
            f"devices: executor inline uses the experiment's device, got {', '.join(devices)}; "
            "use executor local, or set `device` in the experiment"
        )
    for device in devices or ():
        if not re.fullmatch(r"cpu|cuda(:\d+)?", device):
            raise SearchError(f"devices: each must be cpu, cuda or cuda:NUMBER, got {device!r}")


def _executor_workers(executor: Executor) -> int:
    # The standard library's executors and many others have this attribute.
    max_workers = getattr(executor, "_max_workers", None)
    if not isinstance(max_workers, int):
        raise SearchError(
            f"workers: need a number, since {type(executor).__name__} has no _max_workers, got none"
        )
    return max_workers


def _process_configs(
    workers: int, devices: Sequence[str], memory: int | None, log_folder: Path
) -> tuple[WorkerProcessConfig, ...]:
    threads = {THREADS_VARIABLE: os.environ.get(THREADS_VARIABLE, "1")}
    return tuple(
        WorkerProcessConfig(
            name=f"worker-{number}",
            log=log_folder / f"worker-{number}.log",
            environment=threads
            | (_cuda_environment(devices[number % len(devices)]) if devices else {}),
            memory=memory,
        )
        for number in range(workers)
    )


def _is_cuda(device: str) -> bool:
    return device.partition(":")[0] == "cuda"


def _cuda_environment(device: str) -> dict[str, str]:
    """Return the variable that shows a worker one device, ``cuda`` inside."""
    if not _is_cuda(device):
        return {"CUDA_VISIBLE_DEVICES": ""}
    _, _, number = device.partition(":")
    visible_devices = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible_devices is None:
        return {"CUDA_VISIBLE_DEVICES": number or "0"}
    names = [name.strip() for name in visible_devices.split(",") if name.strip()]
    if int(number or 0) >= len(names):
        raise SearchError(
            f"devices: {device} must be in CUDA_VISIBLE_DEVICES, got {visible_devices or 'none'}"
        )
    return {"CUDA_VISIBLE_DEVICES": names[int(number or 0)]}
