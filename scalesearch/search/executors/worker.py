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

TAKEN_FIRST = 500
"""Added to how readily the kernel, when memory runs out, ends a worker (0 to 1000)."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a worker works.

    ``environment``: what its environment has other than the driver's. ``log``: gets everything
    that it prints. ``memory``: bytes that it may allocate; more is an error inside it, not the
    end of the machine.
    """

    name: str
    log: Path
    environment: dict[str, str] = field(default_factory=dict)
    memory: int | None = None


def work(place: Place, line: Connection) -> None:
    """Answer whatever is asked over the line, until its other end is closed."""
    _settle(place)
    while True:
        try:
            asked = line.recv_bytes()
        except EOFError:
            return
        line.send_bytes(_answered(asked))


def _answered(asked: bytes) -> bytes:
    """A pickle of whether a function returned, of what it returned or raised, and from where."""
    try:
        function, arguments, named = pickle.loads(asked)
        return pickle.dumps((True, function(*arguments, **named), ""))
    except BaseException as error:
        traced = traceback.format_exc()
        with suppress(Exception):  # not every exception can be pickled, nor read again
            said = pickle.dumps((False, error, traced))
            pickle.loads(said)
            return said
        return pickle.dumps((False, None, traced))


def _settle(place: Place) -> None:
    _write_to(place.log)
    # A terminal's ctrl-C and a batch system's SIGTERM reach every process of a group. It is the
    # driver that decides how its workers end.
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, signal.SIG_IGN)
    _offer_to_the_kernel()
    if place.memory is not None:
        _limit(place.memory)
    threading.Thread(target=_end_with_the_driver, name="watch", daemon=True).start()


def _write_to(log: Path) -> None:
    """Whatever is printed, by C libraries too, goes to the log: the terminal is the driver's."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace", line_buffering=True)
    faulthandler.enable(2)


def _offer_to_the_kernel() -> None:
    """Where memory runs out, the kernel should end this process before its driver."""
    score = Path("/proc/self/oom_score_adj")
    with suppress(OSError):  # no Linux, or not allowed
        score.write_text(str(min(1000, int(score.read_text()) + TAKEN_FIRST)))


def _limit(memory: int) -> None:
    # Private writable memory: not address space, of which CUDA reserves far more than it uses.
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    if most != resource.RLIM_INFINITY:
        memory = min(memory, most)
    resource.setrlimit(resource.RLIMIT_DATA, (memory, most))


def _end_with_the_driver() -> None:
    """A driver that was killed closes nothing: without it, nobody wants what this one does."""
    driver = parent_process()
    assert driver is not None
    # The parent's number tells it too where a fork of the driver keeps the sentinel open.
    while os.getppid() == driver.pid and not wait([driver.sentinel], timeout=1.0):
        pass
    os._exit(1)
