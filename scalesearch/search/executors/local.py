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

from scalesearch.search.crew import WorkerLost
from scalesearch.search.executors.worker import Place, work

Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")
Tasks: TypeAlias = "SimpleQueue[tuple[Future[Any], bytes] | None]"

ENDING = 5.0
"""Seconds until a worker that has closed its line has ended."""

LOOKING = 1.0
"""Seconds between two looks at whether a worker that is busy still lives. Its end is seen at once,
except where a process that it had forked outlives it and keeps the line open."""

TOLD = 8000
"""Bytes of a dead worker's log that are told with its end."""

_environ = threading.Lock()


class LocalExecutor(Executor):
    """One worker process per place, started with its first task and replaced when it dies.

    Tasks wait in one queue; whichever worker is free takes the next.
    """

    def __init__(self, places: Sequence[Place]) -> None:
        self._tasks: Tasks = SimpleQueue()
        self._slots = [_Slot(place, self._tasks) for place in places]
        self._open = True
        # Before the interpreter waits for its children: they ignore its SIGTERM.
        atexit.register(self._kill_all)

    def submit(
        self,
        fn: Callable[Arguments, Result],
        /,
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Future[Result]:
        if not self._open:
            raise RuntimeError("the executor is shut down")
        future: Future[Result] = Future()
        self._tasks.put((future, pickle.dumps((fn, args, kwargs))))
        for slot in self._slots:
            slot.begin()
        return future

    def kill(self, future: Future[Any]) -> None:
        """End a task: one that waits is cancelled, one that runs loses its worker."""
        if not future.cancel():
            for slot in self._slots:
                slot.kill(future)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._open = False
        while cancel_futures and not self._tasks.empty():
            if task := self._tasks.get():
                task[0].cancel()
        for _ in self._slots:
            self._tasks.put(None)
        if wait:
            for slot in self._slots:
                slot.join()
            atexit.unregister(self._kill_all)

    def _kill_all(self) -> None:
        self.shutdown(wait=False, cancel_futures=True)
        for slot in self._slots:
            slot.kill(None)


class _Slot:
    """A thread of the driver that hands tasks to a process and waits for it."""

    def __init__(self, place: Place, tasks: Tasks) -> None:
        self._place = place
        self._tasks = tasks
        self._thread = threading.Thread(target=self._serve, name=place.name, daemon=True)
        self._lock = threading.Lock()  # to kill is to kill at one task, never at the next
        self._task: Future[Any] | None = None
        self._process: _Process | None = None

    def begin(self) -> None:
        if self._thread.ident is None:
            self._thread.start()

    def join(self) -> None:
        if self._thread.ident is not None:
            self._thread.join()

    def kill(self, task: Future[Any] | None) -> None:
        """Kill the process if it is at this task; whatever it is at, for None."""
        with self._lock:
            if self._process and task in (None, self._task):
                self._process.kill()

    def _serve(self) -> None:
        while (task := self._tasks.get()) is not None:
            future, asked = task
            try:
                process = self._begun(future)
                if process is None:
                    continue  # cancelled while it waited
                returned, what, traced = pickle.loads(process.answer(asked))
            except Exception as error:
                self._ended(lost=True)
                future.set_exception(error)
                continue
            self._ended(lost=False)
            if returned:
                future.set_result(what)
            else:
                future.set_exception(what or WorkerLost(traced))
        if self._process:
            self._process.end()

    def _begun(self, future: Future[Any]) -> "_Process | None":
        with self._lock:
            if not future.set_running_or_notify_cancel():
                return None
            if self._process is None or not self._process.alive:
                self._process = _Process(self._place)
            self._task = future
            return self._process

    def _ended(self, *, lost: bool) -> None:
        with self._lock:
            self._task = None
            if self._process and (lost or self._process.killed):
                self._process.end()
                self._process = None


class _Process:
    """A worker process and the line to it."""

    def __init__(self, place: Place) -> None:
        spawn = get_context("spawn")
        self._place = place
        self._line, theirs = spawn.Pipe()
        self._process: BaseProcess = spawn.Process(
            target=work, args=(place, theirs), name=place.name, daemon=False
        )
        self.killed = False
        with theirs, _environment(place.environment):
            self._process.start()

    @property
    def alive(self) -> bool:
        """Whether a worker without a task can take one."""
        # Unasked, a worker says nothing: what there is to be read is the end of the line. (While
        # another thread takes note of a death, the process still passes for alive.)
        return self._process.is_alive() and not self._line.poll()

    def answer(self, asked: bytes) -> bytes:
        """What the worker says to this. Raises WorkerLost if it dies before."""
        before = self._logged()
        with suppress(OSError, EOFError):  # the line of one that is dead
            self._line.send_bytes(asked)
            while not self._line.poll(LOOKING) and self._process.is_alive():
                pass
            if self._line.poll():
                return self._line.recv_bytes()
        raise self._lost(before)

    def _lost(self, before: int) -> WorkerLost:
        self._process.join(ENDING)  # what closes the line is its end, or soon will be
        code = self._process.exitcode
        how = "is out of reach"
        if self.killed:
            how = "was killed, since its job was given up"
        elif code is not None and code < 0:
            how = f"was killed by {signal.Signals(-code).name}"
            how += ", as the kernel does where memory runs out" if code == -signal.SIGKILL else ""
        elif code is not None:
            how = f"ended with status {code}"
        name, log = self._place.name, self._place.log
        error = WorkerLost(f"{name} (process {self._process.pid}) {how}; it writes to {log}")
        error.add_note(self._last_words(before))
        return error

    def _logged(self) -> int:
        with suppress(OSError):
            return self._place.log.stat().st_size
        return 0

    def _last_words(self, before: int) -> str:
        with suppress(OSError), self._place.log.open("rb") as log:
            log.seek(max(before, self._logged() - TOLD))
            return log.read(TOLD).decode("utf-8", "replace")
        return ""

    def kill(self) -> None:
        self.killed = True
        self._process.kill()

    def end(self) -> None:
        """End a worker that has no task: it keeps nothing that has to be put away."""
        self.kill()
        self._process.join()
        self._line.close()


@contextmanager
def _environment(others: Mapping[str, str]) -> Iterator[None]:
    """The variables a process is started with. Torch's threads, for one, read them as they load,
    which is before a started process can be told anything.
    """
    with _environ:
        before = {name: os.environ.get(name) for name in others}
        os.environ.update(others)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
