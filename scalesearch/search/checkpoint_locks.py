"""A run's files, and who has them: one worker at a time, wherever the workers are."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO


@contextmanager
def lock_checkpoint(checkpoint: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold a run, by a lock beside its checkpoint; the kernel lets go of it when its holder dies.

    ``waiting``: called where another holds it, before the wait.
    """
    lock = checkpoint.with_suffix(".lock")
    lock.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with lock.open("a") as file:
            if not _try_lock(file):
                on_wait()
                fcntl.flock(file, fcntl.LOCK_EX)
            # Meanwhile the file may have been removed, and another may hold a new one.
            if _is_at(file, lock):
                yield
                return


def remove_checkpoint(checkpoint: Path) -> bool:
    """Remove a run's files, if nobody holds it; whether they are gone."""
    lock = checkpoint.with_suffix(".lock")
    with ExitStack() as stack:
        with suppress(FileNotFoundError):
            if not _try_lock(stack.enter_context(lock.open("r+"))):
                return False
        checkpoint.unlink(missing_ok=True)
        checkpoint.with_name(f"{checkpoint.name}.part").unlink(missing_ok=True)  # torn by a kill
        lock.unlink(missing_ok=True)  # last, and still held
    return True


def _try_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
