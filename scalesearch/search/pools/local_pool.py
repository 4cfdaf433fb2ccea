"""Persistent worker processes on this machine.

A worker keeps its images in memory from job to job. When a worker dies, only its own job is lost:
each has its own pipe to the driver and shares no lock and no queue. (In pools whose processes share
them, a killed process can leave a lock taken or half a message. Besides, Pebble's pool waits for
ever for a task whose process exited with status 0, and the standard library's pool gives up all
tasks when one process dies.)
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
"""Seconds to wait for the end of a worker that has closed its pipe."""

POLL_SECONDS = 1.0
"""Seconds between two checks that a busy worker is alive.

Usually the closed pipe shows its end at once; not if a process that it forked keeps the pipe open.
"""

LOG_TAIL_BYTES = 8000
"""Bytes of a dead worker's log that are added to the error."""

_environ_lock = threading.Lock()


class LocalExecutor(Executor):
    """An executor with one process per configuration, each replaced when it dies.

    Processes start with the first task. Tasks wait in one queue; a free worker takes the next.
    """

    def __init__(self, configs: Sequence[WorkerProcessConfig]) -> None:
        self._tasks: TaskQueue = SimpleQueue()
        self._workers = [_WorkerThread(config, self._tasks) for config in configs]
        self._is_open = True
        # Runs before the interpreter waits for its children, which ignore SIGTERM.
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
        """Cancel a waiting task, or kill the worker of a running one."""
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
    """A thread of the driver that sends tasks to one process and waits for results."""

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
        """Kill the process if it runs this task; with None, whatever it runs."""
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
    """A worker process and the pipe to it."""

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
        """True if a worker without a task can take one."""
        # A worker without a task sends nothing, so data to read means that the pipe is closed.
        # (While another thread is handling its death, the process still counts as alive.)
        return self._process.is_alive() and not self._connection.poll()

    def request(self, message: bytes) -> bytes:
        """Send a request and return the response. Raises WorkerLost if the worker dies."""
        log_start = self._log_size()
        with suppress(OSError, EOFError):  # the worker is dead
            self._connection.send_bytes(message)
            while not self._connection.poll(POLL_SECONDS) and self._process.is_alive():
                pass
            if self._connection.poll():
                return self._connection.recv_bytes()
        raise self._lost_error(log_start)

    def _lost_error(self, log_start: int) -> WorkerLost:
        self._process.join(EXIT_TIMEOUT)  # a worker that closed its pipe has ended, or soon will
        code = self._process.exitcode
        ending = "cannot be reached"
        if self.killed:
            ending = "was killed, since its job was cancelled"
        elif code is not None and code < 0:
            ending = f"was killed by {signal.Signals(-code).name}"
            ending += ", as the kernel does when memory runs out" if code == -signal.SIGKILL else ""
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
        """Kill a worker without a task; it has nothing to save."""
        self.kill()
        self._process.join()
        self._connection.close()


@contextmanager
def _temporary_environ(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables while a process is started.

    Libraries such as torch read them when they load, before the process gets its first request.
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
