"""Persistent worker processes on this machine, each in its own place.

A worker lives from job to job, so that its images stay where they are. One that dies, whatever
of, takes its own job along and nothing else: each has a line to the driver that it shares with
nobody, no lock, no queue. (In pools whose processes share them, a process that is killed can leave
a lock taken or half a message; Pebble's pool, besides, waits for ever for a task whose process
ended with status 0, and the standard library's gives up all tasks when one process dies.)
"""

import atexit
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from queue import SimpleQueue
from typing import Any, ParamSpec, TypeAlias, TypeVar

from scalesearch.search.pools.local_process import WorkerProcessConfig, serve_requests
from scalesearch.search.worker_pool import WorkerLost

Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")
TaskQueue: TypeAlias = "SimpleQueue[tuple[Future[Any], bytes] | None]"

EXIT_TIMEOUT = 5.0
"""Seconds until a worker that has closed its line has ended."""

POLL_SECONDS = 1.0
"""Seconds between two looks at whether a worker that is busy still lives. Its end is seen at once,
except where a process that it had forked outlives it and keeps the line open."""

LOG_TAIL_BYTES = 8000
"""Bytes of a dead worker's log that are told with its end."""

_environ_lock = threading.Lock()


class LocalExecutor(Executor):
    """One worker process per place, started with its first task and replaced when it dies.

    Tasks wait in one queue; whichever worker is free takes the next.
    """

    def __init__(self, configs: Sequence[WorkerProcessConfig]) -> None:
        self._tasks: TaskQueue = SimpleQueue()
        self._workers = [_WorkerThread(config, self._tasks) for config in configs]
        self._is_open = True
        # Before the interpreter waits for its children: they ignore its SIGTERM.
        atexit.register(self._kill_all)

    def submit(
        self,
        fn: Callable[Arguments, Result],
        /,
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Future[Result]:
        if not self._is_open:
            raise RuntimeError("the executor is shut down")
        future: Future[Result] = Future()
        self._tasks.put((future, pickle.dumps((fn, args, kwargs))))
        for worker in self._workers:
            worker.start()
        return future

    def kill(self, future: Future[Any]) -> None:
        """End a task: one that waits is cancelled, one that runs loses its worker."""
        if not future.cancel():
            for worker in self._workers:
                worker.kill(future)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._is_open = False
        while cancel_futures and not self._tasks.empty():
            if task := self._tasks.get():
                task[0].cancel()
        for _ in self._workers:
            self._tasks.put(None)
        if wait:
            for worker in self._workers:
                worker.join()
            atexit.unregister(self._kill_all)

    def _kill_all(self) -> None:
        self.shutdown(wait=False, cancel_futures=True)
        for worker in self._workers:
            worker.kill(None)


class _WorkerThread:
    """A thread of the driver that hands tasks to a process and waits for it."""

    def __init__(self, config: WorkerProcessConfig, tasks: TaskQueue) -> None:
        self._config = config
        self._tasks = tasks
        self._thread = threading.Thread(target=self._serve, name=config.name, daemon=True)
        self._lock = threading.Lock()  # to kill is to kill at one task, never at the next
        self._current_future: Future[Any] | None = None
        self._process: _WorkerProcess | None = None

    def start(self) -> None:
        if self._thread.ident is None:
            self._thread.start()

    def join(self) -> None:
        if self._thread.ident is not None:
            self._thread.join()

    def kill(self, future: Future[Any] | None) -> None:
        """Kill the process if it is at this task; whatever it is at, for None."""
        with self._lock:
            if self._process and future in (None, self._current_future):
                self._process.kill()

    def _serve(self) -> None:
        while (task := self._tasks.get()) is not None:
            future, request = task
            try:
                process = self._assign_process(future)
                if process is None:
                    continue  # cancelled while it waited
                succeeded, value, traceback_text = pickle.loads(process.request(request))
            except Exception as error:
                self._release_process(lost=True)
                future.set_exception(error)
                continue
            self._release_process(lost=False)
            if succeeded:
                future.set_result(value)
            else:
                future.set_exception(value or WorkerLost(traceback_text))
        if self._process:
            self._process.stop()

    def _assign_process(self, future: Future[Any]) -> "_WorkerProcess | None":
        with self._lock:
            if not future.set_running_or_notify_cancel():
                return None
            if self._process is None or not self._process.is_ready:
                self._process = _WorkerProcess(self._config)
            self._current_future = future
            return self._process

    def _release_process(self, *, lost: bool) -> None:
        with self._lock:
            self._current_future = None
            if self._process and (lost or self._process.killed):
                self._process.stop()
                self._process = None


class _WorkerProcess:
    """A worker process and the line to it."""

    def __init__(self, config: WorkerProcessConfig) -> None:
        spawn = get_context("spawn")
        self._config = config
        self._connection, worker_end = spawn.Pipe()
        self._process: BaseProcess = spawn.Process(
            target=serve_requests, args=(config, worker_end), name=config.name, daemon=False
        )
        self.killed = False
        with worker_end, _temporary_environ(config.environment):
            self._process.start()

    @property
    def is_ready(self) -> bool:
        """Whether a worker without a task can take one."""
        # Unasked, a worker says nothing: what there is to be read is the end of the line. (While
        # another thread takes note of a death, the process still passes for alive.)
        return self._process.is_alive() and not self._connection.poll()

    def request(self, message: bytes) -> bytes:
        """What the worker says to this. Raises WorkerLost if it dies before."""
        log_start = self._log_size()
        with suppress(OSError, EOFError):  # the line of one that is dead
            self._connection.send_bytes(message)
            while not self._connection.poll(POLL_SECONDS) and self._process.is_alive():
                pass
            if self._connection.poll():
                return self._connection.recv_bytes()
        raise self._lost_error(log_start)

    def _lost_error(self, log_start: int) -> WorkerLost:
        self._process.join(EXIT_TIMEOUT)  # what closes the line is its end, or soon will be
        code = self._process.exitcode
        ending = "is out of reach"
        if self.killed:
            ending = "was killed, since its job was given up"
        elif code is not None and code < 0:
            ending = f"was killed by {signal.Signals(-code).name}"
            ending += (
                ", as the kernel does where memory runs out" if code == -signal.SIGKILL else ""
            )
        elif code is not None:
            ending = f"ended with status {code}"
        name, log = self._config.name, self._config.log
        error = WorkerLost(f"{name} (process {self._process.pid}) {ending}; it writes to {log}")
        error.add_note(self._log_tail(log_start))
        return error

    def _log_size(self) -> int:
        with suppress(OSError):
            return self._config.log.stat().st_size
        return 0

    def _log_tail(self, log_start: int) -> str:
        with suppress(OSError), self._config.log.open("rb") as log:
            log.seek(max(log_start, self._log_size() - LOG_TAIL_BYTES))
            return log.read(LOG_TAIL_BYTES).decode("utf-8", "replace")
        return ""

    def kill(self) -> None:
        self.killed = True
        self._process.kill()

    def stop(self) -> None:
        """End a worker that has no task: it keeps nothing that has to be put away."""
        self.kill()
        self._process.join()
        self._connection.close()


@contextmanager
def _temporary_environ(variables: Mapping[str, str]) -> Iterator[None]:
    """The variables a process is started with. Torch's threads, for one, read them as they load,
    which is before a started process can be told anything.
    """
    with _environ_lock:
        previous = {name: os.environ.get(name) for name in variables}
        os.environ.update(variables)
        try:
            yield
        finally:
            for name, value in previous.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
