"""A search watched from another shell than its driver's."""

import sys
import time
from contextlib import ExitStack
from pathlib import Path

from scalesearch.progress.display import terminal
from scalesearch.progress.searches import SearchLines, SearchView
from scalesearch.report.standing import State, standing


def watched(folder: str | Path, interval: float) -> State:
    """Show a search until no driver works on it any more, and return how it then stands.

    ``interval``: seconds between two readings of its folder. Raises SearchError where the folder
    holds no search.
    """
    folder = Path(folder)
    console = terminal()
    with ExitStack() as stack:
        view = SearchLines() if console is None else SearchView(console, stack, folder / "news")
        waits = False
        while (now := standing(folder)).state == "running":
            if now.progress is not None:
                view.show(now.progress)
            elif not waits:
                print("a driver has begun and told nothing yet", file=sys.stderr)
            waits = True
            time.sleep(interval)
    return now.state
