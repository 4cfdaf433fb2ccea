"""Workers on many machines, through Dask: ``pip install 'scalesearch[cluster]'``.

A scheduler and its workers are started with Dask's own commands. A worker takes one job at a time
(``--nthreads 1``); one with a GPU says so, and sees one only::

    DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES=0 dask scheduler
    dask worker tcp://host:8786 --nthreads 1
    CUDA_VISIBLE_DEVICES=0 dask worker tcp://host:8786 --nthreads 1 --resources GPU=1
    scalesearch search experiment.yaml --executor dask --scheduler tcp://host:8786

Told ``--devices cuda``, it takes workers with a GPU and no others. Results, checkpoints and images
have to lie on a file system that driver and workers share, under the same path. Workers may come
and go while a search runs; a job whose worker goes is told as lost.

On Slurm, ``slurm_script`` gives the script of one worker, as often to be submitted as there shall
be workers (``sbatch --array=1-8 worker.sh``); or dask-jobqueue keeps scheduler and workers itself::

    cluster = SLURMCluster(cores=1, processes=1, memory="16GB", walltime="04:00:00",
                           scheduler_options={"allowed_failures": 0})
    cluster.adapt(maximum_jobs=8)
    search(experiment, executor="dask", scheduler=cluster.scheduler_address)
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
"""What workers with a GPU offer: ``dask worker --resources GPU=1``."""

CONNECT_TIMEOUT = 20.0
"""Seconds to wait for a scheduler."""

RESTART_TIMEOUT = 5.0
"""Seconds that Dask has to end a worker whose job was given up, before the search is closed."""

SLOTS_REFRESH_SECONDS = 2.0
"""Seconds between two looks at who is there."""


class DaskExecutor(Executor):
    """The workers of a Dask scheduler.

    ``slots``: jobs that they can work at together. One, too, while none of them is there: it waits
    for the first.
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
                    f"scheduler: need workers that offer a {GPU_RESOURCE}, got none at {scheduler}; "
                    f"start them with `dask worker {scheduler} --nthreads 1 --resources "
                    f"{GPU_RESOURCE}=1`"
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
            self._require_connection()  # which may have ended just now
            raise
        self._dask_futures[future] = key, dask_future
        dask_future.add_done_callback(partial(self._forward_result, future))
        return future

    def _forward_result(self, future: Future[Any], dask_future: Future[Any]) -> None:
        # With their future goes the result that a worker keeps for it. While it is kept, Dask does
        # the task once more if that worker dies.
        self._dask_futures.pop(future, None)
        if dask_future.cancelled():
            future.cancel()
            future.set_running_or_notify_cancel()
        elif (error := dask_future.exception()) is not None:
            self._slots_read_at = -math.inf  # perhaps there are fewer workers now
            future.set_exception(_to_worker_lost(error))
        else:
            future.set_result(dask_future.result())

    def kill(self, future: Future[Any]) -> None:
        """Cancel a task; a worker that is at this one alone is started anew.

        That takes Dask some seconds, for which nobody waits. A worker with several threads, or
        without the nanny that Dask gives it, works to the end of the task, whose result is lost.
        """
        key, dask_future = self._dask_futures.get(future, ("", future))
        with suppress(Exception):  # a scheduler that is gone has forgotten its tasks
            if addresses := self._client.run_on_scheduler(_pause_worker_of(key)):
                restart = threading.Thread(target=self._restart, args=(addresses,), daemon=True)
                restart.start()
                self._restarts.append(restart)
        dask_future.cancel()

    def _restart(self, workers: list[str]) -> None:
        with suppress(Exception):  # without a nanny it cannot be; the client may be closed by now
            self._client.restart_workers(workers, raise_for_error=False)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._executor.shutdown(wait=wait)
        for restart in self._restarts:  # the order has to be there before its sender goes
            restart.join(RESTART_TIMEOUT)
        self._client.close()

    def _read_slots(self) -> int:
        self._require_connection()
        resource = GPU_RESOURCE if self._gpus else None

        # Defined here to be sent by value: the scheduler need not have this package.
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
            f"scheduler: {self._scheduler} has to stay while the search runs, got no answer; start "
            "it and its workers, and the same command goes on from what is on record"
        )


def _pause_worker_of(key: str) -> Callable[..., list[str]]:
    """Keep the worker that is at this task alone, and can be started anew, from getting others,
    which would be lost with it; its address, if there is one."""

    def pause_worker(dask_scheduler: Any) -> list[str]:
        task = dask_scheduler.tasks.get(key)
        worker = None if task is None else task.processing_on
        if worker is None or worker.nthreads != 1 or not worker.nanny:
            return []
        dask_scheduler.handle_worker_status_change("paused", worker, "scalesearch-gives-up")
        return [worker.address]

    return pause_worker


def _to_worker_lost(error: BaseException) -> BaseException:
    """Dask's words for a worker that died, in one line."""
    worker = getattr(error, "last_worker", None)  # of its KilledWorker
    if worker is None:
        return error
    return WorkerLost(f"the worker at {worker.address} died; its machine's logs may tell why")


def _connect(scheduler: str) -> Any:
    try:
        import distributed
    except ImportError as error:
        raise SearchError(
            "executor: dask needs Dask's packages, got none; pip install 'scalesearch[cluster]'"
        ) from error
    try:
        client_class: Any = distributed.Client  # which has no types
        return client_class(
            scheduler, timeout=CONNECT_TIMEOUT, set_as_default=False, name="scalesearch"
        )
    except (OSError, ValueError) as error:
        raise SearchError(
            f"scheduler: need the address of a Dask scheduler that runs, got {scheduler} "
            f"({error}); `dask scheduler` starts one and says its address"
        ) from error


def _forbid_silent_retries(client: Any, scheduler: str) -> None:
    """Dask gives a job whose worker died to another one, three times, and tells nobody.

    Whether a job is tried again is the engine's to decide, and to write down.
    """

    def forbid_failures(dask_scheduler: Any) -> int:
        dask_scheduler.allowed_failures = 0
        return int(dask_scheduler.allowed_failures)

    try:
        client.run_on_scheduler(forbid_failures)
    except Exception as error:
        raise SearchError(
            f"scheduler: {scheduler} has to allow no silent retries, and refused to be told "
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
    """The batch script of one worker, as dask-jobqueue writes it; ``sbatch`` takes it.

    ``cpus``: of the worker, for decoding and for a recipe of several threads; it takes one job at a
    time whatever they are. ``gpus``: 0 or 1. ``prologue``: shell lines before the worker starts.
    ``directives``: further options of Slurm. A worker leaves a minute after the scheduler has.
    """
    try:
        from dask_jobqueue import slurm
    except ImportError as error:
        raise SearchError(
            "executor: dask needs Dask's packages, got none; pip install 'scalesearch[cluster]'"
        ) from error
    if gpus not in (0, 1):
        raise SearchError(f"gpus: a worker uses 0 or 1, got {gpus}; submit more workers instead")
    job_class: Any = slurm.SLURMJob  # which has no types
    job = job_class(
        scheduler=scheduler,
        name="scalesearch-$SLURM_JOB_ID",  # two workers of one name are refused
        job_name="scalesearch-worker",
        cores=1,  # of Dask's: one thread, one job
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
