"""File locks: one driver in a folder, one worker at a checkpoint.

All of them are ``flock`` locks, which the kernel releases when the process that holds one dies, and
which Linux also supports over NFS. ``filelock`` (PyPI) does not fit: it has no shared lock that
leaves the file as it is, it polls instead of waiting, and it does not notice that the file it
waited for was removed meanwhile. A study in PostgreSQL has a lock of the server instead
(``search.study.identity.lock_study``).
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

from scalesearch.errors import SearchError

LOCK_TRIES = 5
LOCK_RETRY_SECONDS = 0.05
"""``is_locked`` holds a shared lock for an instant, so a folder's lock is tried several times."""


@contextmanager
def lock_folder(path: Path, holder: str = "search is running") -> Iterator[None]:
    """Hold the exclusive lock of a folder, the file ``lock`` in it.

    Raises SearchError if another process holds it; ``holder`` says in the message what it does.
    """
    with (path / "lock").open("w") as file:
        if not any(_try_lock_or_wait(file) for _ in range(LOCK_TRIES)):
            raise SearchError(f"{path}: another {holder} in this folder; wait for it or stop it")
        yield


def is_locked(lock: Path) -> bool:
    """Whether a living process holds an exclusive lock of the file."""
    try:
        with lock.open() as file:
            return not _try_lock(file, fcntl.LOCK_SH)
    except OSError:  # no such file, or a file system without locks, where no search can run
        return False


@contextmanager
def lock_checkpoint(checkpoint: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Wait for the exclusive lock of a checkpoint, a file beside it, and hold it.

    ``on_wait`` is called before the wait if another worker holds the lock.
    """
    lock = checkpoint.with_suffix(".lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with lock.open("a") as file:
            if not _try_lock(file):
                on_wait()
                fcntl.flock(file, fcntl.LOCK_EX)
            # Meanwhile the file may have been removed, and another worker may hold a new one.
            if _is_same_file(file, lock):
                yield
                return


def remove_checkpoint(checkpoint: Path) -> bool:
    """Remove a checkpoint and its lock; return False if it is locked."""
    lock = checkpoint.with_suffix(".lock")
    with ExitStack() as stack:
        with suppress(FileNotFoundError):
            if not _try_lock(stack.enter_context(lock.open("r+"))):
                return False
        checkpoint.unlink(missing_ok=True)
        # Left by a process that was killed while it wrote.
        checkpoint.with_name(f"{checkpoint.name}.part").unlink(missing_ok=True)
        lock.unlink(missing_ok=True)  # last, while the lock is still held
    return True


def _try_lock(file: IO[str], kind: int = fcntl.LOCK_EX) -> bool:
    """Lock an open file without waiting; return whether that succeeded."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _try_lock_or_wait(file: IO[str]) -> bool:
    """Lock an open file; on failure, wait a moment before the next try."""
    with suppress(OSError):  # a file system without locks cannot give one
        if _try_lock(file):
            return True
    time.sleep(LOCK_RETRY_SECONDS)
    return False


def _is_same_file(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
