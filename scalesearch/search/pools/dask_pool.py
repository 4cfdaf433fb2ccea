"""Workers on many machines, through Dask (``pip install 'scalesearch[cluster]'``).

Start a scheduler and workers with Dask's own commands. A worker takes one job at a time
(``--nthreads 1``); a worker with a GPU announces it, and sees one GPU only::

    DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES=0 dask scheduler
    dask worker tcp://host:8786 --nthreads 1
    CUDA_VISIBLE_DEVICES=0 dask worker tcp://host:8786 --nthreads 1 --resources GPU=1
    scalesearch search experiment.yaml --executor dask --scheduler tcp://host:8786

With ``--devices cuda`` it uses only workers with a GPU. Results, checkpoints and images must be on
a file system that the driver and the workers share, under the same path. Workers may come and go
during a search; the job of a worker that goes is lost and handled as such.

On Slurm, ``slurm_script`` returns the script of one worker; submit it once for each worker
(``sbatch --array=1-8 worker.sh``). Or dask-jobqueue manages scheduler and workers itself::

    cluster = SLURMCluster(cores=1, processes=1, memory="16GB", walltime="04:00:00",
                           scheduler_options={"allowed_failures": 0})
    cluster.adapt(maximum_jobs=8)
    run_search(experiment, folder, executor="dask", scheduler=cluster.scheduler_address)
"""

import math
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from functools import partial
from typing import Any

from scalesearch.errors import SearchError
from scalesearch.search.worker_pool import WorkerLost

GPU_RESOURCE = "GPU"
"""Dask resource of workers with a GPU: ``dask worker --resources GPU=1``."""

CONNECT_TIMEOUT = 20.0
"""Seconds to wait for a scheduler."""

RESTART_TIMEOUT = 5.0
"""Seconds to wait at the end for Dask to restart workers whose jobs were cancelled."""

SLOTS_REFRESH_SECONDS = 2.0
"""Seconds between two reads of the number of workers."""


class DaskExecutor(Executor):
    """An executor over the workers of a Dask scheduler.

    ``slots`` is the number of jobs that the workers can run in parallel. It is 1 while there is no
    worker: that job waits for the first one.
    """

    def __init__(self, scheduler: str, *, gpus: bool = False) -> None:
        self._scheduler = scheduler
        self._gpus = gpus
        self._client = _connect(scheduler)
        try:
            _forbid_silent_retries(self._client, scheduler)
            self._slots, self._slots_read_at = self._read_slots(), time.monotonic()
            if gpus and not self._slots and self._client.nthreads():
                raise SearchError(
                    f"scheduler: need workers with the resource {GPU_RESOURCE}, got none at "
                    f"{scheduler}; start them with `dask worker {scheduler} --nthreads 1 "
                    f"--resources {GPU_RESOURCE}=1`"
                )
        except BaseException:
            self._client.close()
            raise
        self._executor = self._client.get_executor(
            pure=False, retries=0, **({"resources": {GPU_RESOURCE: 1}} if gpus else {})
        )
        self._dask_futures: dict[Future[Any], tuple[str, Future[Any]]] = {}
        self._restarts: list[threading.Thread] = []

    @property
    def slots(self) -> int:
        if time.monotonic() - self._slots_read_at > SLOTS_REFRESH_SECONDS:
            self._slots, self._slots_read_at = self._read_slots(), time.monotonic()
        return max(1, self._slots)

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        self._require_connection()
        key = f"scalesearch-{uuid.uuid4().hex}"
        future: Future[Any] = Future()
        try:
            dask_future: Future[Any] = self._executor.submit(fn, *args, key=key, **kwargs)
        except Exception:
            self._require_connection()  # the connection may just have ended
            raise
        self._dask_futures[future] = key, dask_future
        dask_future.add_done_callback(partial(self._forward_result, future))
        return future

    def _forward_result(self, future: Future[Any], dask_future: Future[Any]) -> None:
        # A worker keeps the result as long as the future exists. While it is kept, Dask runs the
        # task again if that worker dies.
        self._dask_futures.pop(future, None)
        if dask_future.cancelled():
            future.cancel()
            future.set_running_or_notify_cancel()
        elif (error := dask_future.exception()) is not None:
            self._slots_read_at = -math.inf  # there may be fewer workers now
            future.set_exception(_to_worker_lost(error))
        else:
            future.set_result(dask_future.result())

    def kill(self, future: Future[Any]) -> None:
        """Cancel a task; a worker that runs only this task is restarted.

        The restart takes Dask some seconds and is not waited for. A worker with several threads,
        or without Dask's nanny, runs the task to its end, and the result is dropped.
        """
        key, dask_future = self._dask_futures.get(future, ("", future))
        with suppress(Exception):  # a lost scheduler has no tasks
            if addresses := self._client.run_on_scheduler(_pause_worker_of(key)):
                restart = threading.Thread(target=self._restart, args=(addresses,), daemon=True)
                restart.start()
                self._restarts.append(restart)
        dask_future.cancel()

    def _restart(self, workers: list[str]) -> None:
        with suppress(Exception):  # there may be no nanny, or the client is closed
            self._client.restart_workers(workers, raise_for_error=False)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._executor.shutdown(wait=wait)
        for restart in self._restarts:  # the request must arrive before the client closes
            restart.join(RESTART_TIMEOUT)
        self._client.close()

    def _read_slots(self) -> int:
        self._require_connection()
        resource = GPU_RESOURCE if self._gpus else None

        # Defined here to be sent by value: the scheduler may not have this package.
        def count_slots(dask_scheduler: Any) -> int:
            workers = dask_scheduler.workers.values()
            if resource is None:
                return sum(worker.nthreads for worker in workers)
            return int(sum(worker.resources.get(resource, 0) for worker in workers))

        try:
            return int(self._client.run_on_scheduler(count_slots))
        except Exception as error:
            raise self._disconnected_error() from error

    def _require_connection(self) -> None:
        if self._client.status not in ("running", "connecting"):
            raise self._disconnected_error()

    def _disconnected_error(self) -> SearchError:
        return SearchError(
            f"scheduler: {self._scheduler} must run during the search, got no answer; start it and "
            "its workers, and run the same command again to continue"
        )


def _pause_worker_of(key: str) -> Callable[..., list[str]]:
    """Return a function that pauses the worker of a task and returns its address.

    It runs on the scheduler. A paused worker gets no other tasks, which would be lost at its
    restart. Only a worker that runs this task alone and can be restarted is paused.
    """

    def pause_worker(dask_scheduler: Any) -> list[str]:
        task = dask_scheduler.tasks.get(key)
        worker = None if task is None else task.processing_on
        if worker is None or worker.nthreads != 1 or not worker.nanny:
            return []
        dask_scheduler.handle_worker_status_change("paused", worker, "scalesearch-gives-up")
        return [worker.address]

    return pause_worker


def _to_worker_lost(error: BaseException) -> BaseException:
    """Turn Dask's error for a dead worker into a WorkerLost of one line."""
    worker = getattr(error, "last_worker", None)  # an attribute of Dask's KilledWorker
    if worker is None:
        return error
    return WorkerLost(f"the worker at {worker.address} died; its machine's logs may say why")


def _connect(scheduler: str) -> Any:
    try:
        import distributed
    except ImportError as error:
        raise SearchError(
            "executor: dask needs Dask's packages, got none; run pip install 'scalesearch[cluster]'"
        ) from error
    try:
        client_class: Any = distributed.Client  # it has no type annotations
        return client_class(
            scheduler, timeout=CONNECT_TIMEOUT, set_as_default=False, name="scalesearch"
        )
    except (OSError, ValueError) as error:
        raise SearchError(
            f"scheduler: need the address of a running Dask scheduler, got {scheduler} "
            f"({error}); `dask scheduler` starts one and prints its address"
        ) from error


def _forbid_silent_retries(client: Any, scheduler: str) -> None:
    """Turn off Dask's retries of jobs whose worker died, three by default.

    The tuner decides whether a job is retried, and records it.
    """

    def forbid_failures(dask_scheduler: Any) -> int:
        dask_scheduler.allowed_failures = 0
        return int(dask_scheduler.allowed_failures)

    try:
        client.run_on_scheduler(forbid_failures)
    except Exception as error:
        raise SearchError(
            f"scheduler: {scheduler} must not retry jobs silently, and this could not be set "
            f"({error}); start it with DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES=0"
        ) from error


def slurm_script(
    scheduler: str,
    *,
    memory: str = "16GB",
    walltime: str = "04:00:00",
    cpus: int = 1,
    gpus: int = 0,
    queue: str | None = None,
    account: str | None = None,
    prologue: Sequence[str] = (),
    directives: Sequence[str] = (),
) -> str:
    """Return dask-jobqueue's batch script of one worker, for ``sbatch``.

    A worker exits a minute after its scheduler.

    Args:
        scheduler: address of the Dask scheduler.
        memory: memory of the worker.
        walltime: maximum time, HH:MM:SS.
        cpus: CPUs of the worker, for decoding and for recipes with several threads; it runs one
            job at a time in any case.
        gpus: 0 or 1.
        queue: Slurm partition.
        account: Slurm account.
        prologue: shell lines that run before the worker starts.
        directives: more Slurm options.
    """
    try:
        from dask_jobqueue import slurm
    except ImportError as error:
        raise SearchError(
            "executor: dask needs Dask's packages, got none; run pip install 'scalesearch[cluster]'"
        ) from error
    if gpus not in (0, 1):
        raise SearchError(
            f"gpus: need 0 or 1 for a worker, got {gpus}; submit more workers instead"
        )
    job_class: Any = slurm.SLURMJob  # it has no type annotations
    job = job_class(
        scheduler=scheduler,
        name="scalesearch-$SLURM_JOB_ID",  # Dask refuses two workers with one name
        job_name="scalesearch-worker",
        cores=1,  # Dask's cores: one thread, one job
        processes=1,
        memory=memory,
        job_cpu=cpus,
        walltime=walltime,
        queue=queue,
        account=account,
        death_timeout=60,
        worker_extra_args=["--resources", f"{GPU_RESOURCE}=1"] if gpus else [],
        job_extra_directives=[*([f"--gres=gpu:{gpus}"] if gpus else []), *directives],
        job_script_prologue=list(prologue),
    )
    return str(job.job_script())
