"""The progress of a running search: live on a terminal, plain lines elsewhere.

A search can be watched from its own process or from another shell.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeAlias

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from scalesearch.reporting.status import DriverState, driver_status
from scalesearch.reporting.terminal.display import ImageProgress, LineDisplay, terminal_console
from scalesearch.reporting.terminal.screen import (
    best_parts,
    failures_text,
    remaining_text,
    search_panel,
    speed_parts,
)
from scalesearch.search.heartbeats import current_progress
from scalesearch.search.progress import Progress

OnProgress: TypeAlias = Callable[[Progress], None]
OnData: TypeAlias = Callable[[int, int], None]


@contextmanager
def show_search(heartbeat_folder: Path | None = None) -> Iterator[tuple[OnProgress, OnData]]:
    """Show a search: live on a terminal, elsewhere in single lines.

    Yields two callbacks: for the progress after an event, and (done, total) while images are
    loaded. ``heartbeat_folder``: the folder in which workers report the progress of their jobs.
    """
    console = terminal_console()
    if console is None:
        lines = SearchLineDisplay()
        yield lines.show_progress, ImageProgress(lines)
        return
    with ExitStack() as stack:
        view = SearchLiveDisplay(console, stack, heartbeat_folder)
        yield view.show_progress, ImageProgress(view)


class SearchLineDisplay(LineDisplay):
    """Plain lines, at most one every ten seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.full_rungs: set[int] = set()
        self.last_shown: Progress | None = None

    def show_progress(self, progress: Progress) -> None:
        """Print a line if it is time for one and something has changed."""
        full_rungs = {
            rung.epoch for rung in progress.rungs if rung.total and rung.done >= rung.total
        }
        newly_full = full_rungs - self.full_rungs
        just_finished = progress.finished and not (self.last_shown and self.last_shown.finished)
        self.full_rungs |= full_rungs
        if (
            newly_full
            or just_finished
            or self.last_shown is None
            or _has_changed(progress, self.last_shown)
        ):
            text = search_line(progress)
            if newly_full:
                rungs = "; ".join(_full_rung_text(progress, epoch) for epoch in sorted(newly_full))
                text = f"{rungs}   {text}"
            if self.print_line("epochs", text, force=bool(newly_full) or just_finished):
                self.last_shown = progress


def _has_changed(progress: Progress, previous: Progress) -> bool:
    """Whether anything but the time has changed."""
    return (progress.epochs_done, progress.rungs, progress.stopped, progress.failures) != (
        previous.epochs_done,
        previous.rungs,
        previous.stopped,
        previous.failures,
    )


def _full_rung_text(progress: Progress, epoch: int) -> str:
    (rung,) = (rung for rung in progress.rungs if rung.epoch == epoch)
    return f"epoch {epoch}: all {rung.done} there"


def search_line(progress: Progress) -> str:
    """Format the progress of a search in one line."""
    parts = [f"{progress.epochs_done}/{progress.epochs_total} epochs", remaining_text(progress)]
    parts += [
        f"epoch {rung.epoch}: {rung.done}/{rung.total}"
        for rung in progress.rungs
        if 0 < rung.done < rung.total
    ]
    parts += best_parts(progress)
    parts += [*speed_parts(progress), failures_text(progress)]
    return "   ".join(part for part in parts if part)


class SearchLiveDisplay:
    """The live display, refreshed every second; it appears with the first update."""

    def __init__(self, console: Console, stack: ExitStack, heartbeat_folder: Path | None) -> None:
        self.console, self.stack, self.heartbeat_folder = console, stack, heartbeat_folder
        self.progress: Progress | None = None
        self.loaded_fraction: float | None = None
        self.live: Live | None = None

    def show_progress(self, progress: Progress) -> None:
        """Show this progress from now on."""
        self.progress = progress
        self._start_live()

    def show_images(self, done: int, total: int) -> None:
        """Show how many images of a file are loaded."""
        self.loaded_fraction = done / total if done < total else None
        self._start_live()

    def _start_live(self) -> None:
        if self.live is None:
            self.live = Live(
                get_renderable=self._render,
                console=self.console,
                transient=True,
                refresh_per_second=1,  # not at every event, of which there may be many
            )
            self.stack.enter_context(self.live)
            self.live.refresh()

    def _render(self) -> RenderableType:
        width, height = self.console.size
        if self.progress is None:
            return Text(
                ""
                if self.loaded_fraction is None
                else f"{self.loaded_fraction:.0%}   getting images"
            )
        return search_panel(
            current_progress(self.progress, self.heartbeat_folder),
            width,
            height,
            self.loaded_fraction,
        )


def watch_search(folder: str | Path, interval: float) -> DriverState:
    """Show a search until its driver ends; return its state then.

    ``interval``: seconds between two readings of its folder. Raises SearchError if the folder holds
    no search.
    """
    folder = Path(folder)
    console = terminal_console()
    with ExitStack() as stack:
        view = (
            SearchLineDisplay()
            if console is None
            else SearchLiveDisplay(console, stack, folder / "news")
        )
        has_waited = False
        while (driver := driver_status(folder)).state == "running":
            if driver.progress is not None:
                view.show_progress(driver.progress)
            elif not has_waited:
                print("a driver is running and has not reported progress yet", file=sys.stderr)
            has_waited = True
            time.sleep(interval)
    return driver.state
