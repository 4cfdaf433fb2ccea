"""Whether a driver is at work in a folder, and how far it last said it was.

Progress and news are files, so that no ledger is opened, whatever holds the study.
"""

import fcntl
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

from scalesearch.errors import SearchError
from scalesearch.search.news import current_progress
from scalesearch.search.progress import Progress, read_progress

DriverState: TypeAlias = Literal["running", "ended", "interrupted"]


@dataclass(frozen=True, slots=True)
class DriverStatus:
    """``progress``: as it is now; without jobs where none is running, None where nobody told any.

    ``interrupted``: there is more to do, and no driver does it.
    """

    state: DriverState
    progress: Progress | None


def driver_status(folder: str | Path) -> DriverStatus:
    """Of the search in a folder. Raises SearchError where the folder holds none."""
    folder = Path(folder)
    if not (folder / "experiment.yaml").is_file():
        raise SearchError(f"{folder}: holds no search; name the folder of one (results/NAME)")
    # In this order: a driver that ends in between has told so before it let go of the lock.
    is_locked = _is_locked(folder / "lock")
    progress = read_progress(folder / "progress.json")
    if is_locked:
        return DriverStatus("running", progress and current_progress(progress, folder / "news"))
    if progress is None:  # of an older version, or a folder without its passing files
        has_results = (folder / "coefficients.json").is_file()
        return DriverStatus("ended" if has_results else "interrupted", None)
    progress = replace(progress, running=(), seconds_left=None, images_per_second=0.0)
    return DriverStatus("ended" if progress.finished else "interrupted", progress)


def _is_locked(lock: Path) -> bool:
    """Whether a living process has locked the file; a copy of the folder is nobody's."""
    try:
        with lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    except OSError:
        return False  # a file system without locks, on which no search can run either
    return False
