"""The process of a local worker; it runs until its driver disconnects."""

import faulthandler
import os
import pickle
import signal
import sys
import threading
import traceback
from contextlib import suppress
from dataclasses import dataclass, field
from io import TextIOWrapper
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path

OOM_SCORE_INCREASE = 500
"""Added to the out-of-memory score of a worker (0 to 1000): the kernel kills it first."""


@dataclass(frozen=True, slots=True)
class WorkerProcessConfig:
    """The environment and limits of a worker process."""

    name: str
    log: Path
    """File for everything that the worker prints."""
    environment: dict[str, str] = field(default_factory=dict)
    """Environment variables that differ from the driver's."""
    memory: int | None = None
    """Bytes that the worker may allocate; more is a MemoryError inside it."""


def serve_requests(config: WorkerProcessConfig, connection: Connection) -> None:
    """Answer the requests of the driver until it closes the connection."""
    _set_up_process(config)
    while True:
        try:
            request = connection.recv_bytes()
        except EOFError:
            return
        connection.send_bytes(_handle_request(request))


def _handle_request(request: bytes) -> bytes:
    """Call the function; pickle (succeeded, result or error, traceback)."""
    try:
        function, arguments, keywords = pickle.loads(request)
        return pickle.dumps((True, function(*arguments, **keywords), ""))
    except BaseException as error:
        traceback_text = traceback.format_exc()
        with suppress(Exception):  # not every exception can be pickled and unpickled
            response = pickle.dumps((False, error, traceback_text))
            pickle.loads(response)
            return response
        return pickle.dumps((False, None, traceback_text))


def _set_up_process(config: WorkerProcessConfig) -> None:
    _redirect_output(config.log)
    # A terminal's ctrl-C and a batch system's SIGTERM reach every process of a group, but the
    # driver decides how its workers end.
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_number, signal.SIG_IGN)
    _raise_oom_score()
    if config.memory is not None:
        _limit_memory(config.memory)
    threading.Thread(target=_exit_with_driver, name="watch", daemon=True).start()


def _redirect_output(log: Path) -> None:
    """Send all output to the log, also of C libraries; the driver has the terminal."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace", line_buffering=True)
    faulthandler.enable(2)


def _raise_oom_score() -> None:
    """Make the kernel kill this process before its driver when memory runs out."""
    score = Path("/proc/self/oom_score_adj")
    with suppress(OSError):  # no Linux, or not allowed
        score.write_text(str(min(1000, int(score.read_text()) + OOM_SCORE_INCREASE)))


def _limit_memory(memory: int) -> None:
    # Limit private writable memory, not address space: CUDA reserves far more than it uses.
    import resource

    _, hard_limit = resource.getrlimit(resource.RLIMIT_DATA)
    if hard_limit != resource.RLIM_INFINITY:
        memory = min(memory, hard_limit)
    resource.setrlimit(resource.RLIMIT_DATA, (memory, hard_limit))


def _exit_with_driver() -> None:
    """Exit when the driver is gone; a killed driver does not close the connection."""
    driver = parent_process()
    assert driver is not None
    # The parent's id changes even if a fork of the driver keeps the sentinel open.
    while os.getppid() == driver.pid and not wait([driver.sentinel], timeout=1.0):
        pass
    os._exit(1)
