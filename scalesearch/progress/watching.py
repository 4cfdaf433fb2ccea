"""A search watched from another shell than its driver's."""

import sys
import time
from contextlib import ExitStack
from pathlib import Path

from scalesearch.progress.display import terminal_console
from scalesearch.progress.searches import SearchLineDisplay, SearchLiveDisplay
from scalesearch.report.standing import DriverState, driver_status


def watch_search(folder: str | Path, interval: float) -> DriverState:
    """Show a search until no driver works on it any more, and return how it then stands.

    ``interval``: seconds between two readings of its folder. Raises SearchError where the folder
    holds no search.
    """
    folder = Path(folder)
    console = terminal_console()
    with ExitStack() as stack:
        view = SearchLineDisplay() if console is None else SearchLiveDisplay(console, stack, folder / "news")
        has_waited = False
        while (driver := driver_status(folder)).state == "running":
            if driver.progress is not None:
                view.show_progress(driver.progress)
            elif not has_waited:
                print("a driver has begun and told nothing yet", file=sys.stderr)
            has_waited = True
            time.sleep(interval)
    return driver.state
