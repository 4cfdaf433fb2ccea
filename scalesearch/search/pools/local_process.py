"""A local worker from the inside: a process that lives as long as its driver wants it."""

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
"""Added to how readily the kernel, when memory runs out, ends a worker (0 to 1000)."""


@dataclass(frozen=True, slots=True)
class WorkerProcessConfig:
    """Where a worker works.

    ``environment``: what its environment has other than the driver's. ``log``: gets everything
    that it prints. ``memory``: bytes that it may allocate; more is an error inside it, not the
    end of the machine.
    """

    name: str
    log: Path
    environment: dict[str, str] = field(default_factory=dict)
    memory: int | None = None


def serve_requests(config: WorkerProcessConfig, connection: Connection) -> None:
    """Answer whatever is asked over the line, until its other end is closed."""
    _set_up_process(config)
    while True:
        try:
            request = connection.recv_bytes()
        except EOFError:
            return
        connection.send_bytes(_handle_request(request))


def _handle_request(request: bytes) -> bytes:
    """A pickle of whether a function returned, of what it returned or raised, and from where."""
    try:
        function, arguments, keywords = pickle.loads(request)
        return pickle.dumps((True, function(*arguments, **keywords), ""))
    except BaseException as error:
        traceback_text = traceback.format_exc()
        with suppress(Exception):  # not every exception can be pickled, nor read again
            response = pickle.dumps((False, error, traceback_text))
            pickle.loads(response)
            return response
        return pickle.dumps((False, None, traceback_text))


def _set_up_process(config: WorkerProcessConfig) -> None:
    _redirect_output(config.log)
    # A terminal's ctrl-C and a batch system's SIGTERM reach every process of a group. It is the
    # driver that decides how its workers end.
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_number, signal.SIG_IGN)
    _raise_oom_score()
    if config.memory is not None:
        _limit_memory(config.memory)
    threading.Thread(target=_exit_with_driver, name="watch", daemon=True).start()


def _redirect_output(log: Path) -> None:
    """Whatever is printed, by C libraries too, goes to the log: the terminal is the driver's."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace", line_buffering=True)
    faulthandler.enable(2)


def _raise_oom_score() -> None:
    """Where memory runs out, the kernel should end this process before its driver."""
    score = Path("/proc/self/oom_score_adj")
    with suppress(OSError):  # no Linux, or not allowed
        score.write_text(str(min(1000, int(score.read_text()) + OOM_SCORE_INCREASE)))


def _limit_memory(memory: int) -> None:
    # Private writable memory: not address space, of which CUDA reserves far more than it uses.
    import resource

    _, hard_limit = resource.getrlimit(resource.RLIMIT_DATA)
    if hard_limit != resource.RLIM_INFINITY:
        memory = min(memory, hard_limit)
    resource.setrlimit(resource.RLIMIT_DATA, (memory, hard_limit))


def _exit_with_driver() -> None:
    """A driver that was killed closes nothing: without it, nobody wants what this one does."""
    driver = parent_process()
    assert driver is not None
    # The parent's number tells it too where a fork of the driver keeps the sentinel open.
    while os.getppid() == driver.pid and not wait([driver.sentinel], timeout=1.0):
        pass
    os._exit(1)
