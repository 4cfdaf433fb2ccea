"""Progress on standard error: bars on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Protocol, TypeAlias

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text

if TYPE_CHECKING:
    from scalesearch.results.run_folder import Epoch

OnData: TypeAlias = Callable[[int, int], None]
SECONDS_BETWEEN_LINES = 10.0
SHOW_AFTER_SECONDS = 1.0
"""Loading that takes less time is not shown."""


class ImageDisplay(Protocol):
    """A display that can show how much of a file has been loaded."""

    def show_images(self, done: int, total: int) -> None:
        """Show how much of a file has been loaded."""


def terminal_console() -> Console | None:
    """Return the console of standard error; None if it is not a terminal."""
    console = Console(stderr=True, highlight=False)
    return console if console.is_terminal else None


@contextmanager
def open_display(noun: str = "images") -> "Iterator[LineDisplay | BarDisplay]":
    """Show epochs and loaded images; ``noun`` names what is loaded instead of images."""
    console = terminal_console()
    if console is None:
        yield LineDisplay(noun)
        return
    with ExitStack() as stack:
        yield BarDisplay(console, stack, noun)


class LineDisplay:
    """Plain lines, at most one every ten seconds."""

    def __init__(self, noun: str = "images") -> None:
        self.noun = noun
        now = time.monotonic()  # short counts are not shown
        self.last_printed = {"epochs": float("-inf"), "images": float("-inf"), "counted": now}

    def show_epochs(self, done: int, total: int, text: str) -> None:
        """Print how many epochs are done."""
        self.print_line("epochs", f"{done}/{total} epochs   {text}", force=done == total)

    def show_images(self, done: int, total: int) -> None:
        """Print how much of a file has been loaded."""
        if done < total:  # of this file; another may follow
            self.print_line("images", f"getting {self.noun}   {done / total:.0%}")

    def show_count(self, done: int, total: int, text: str) -> None:
        """Print how many things are done."""
        self.print_line("counted", f"{done:,}/{total:,} {text}")

    def print_line(self, kind: str, text: str, force: bool = False) -> bool:
        """Print a line unless one was printed recently; return whether it was printed."""
        now = time.monotonic()
        if not force and now - self.last_printed[kind] < SECONDS_BETWEEN_LINES:
            return False
        self.last_printed[kind] = now
        print(text, file=sys.stderr, flush=True)
        return True


class BarDisplay:
    """Bars with text below, which are removed at the end.

    They appear with the first update, since only one of several processes has any.
    """

    def __init__(self, console: Console, stack: ExitStack, noun: str = "images") -> None:
        self.noun = noun
        self.bars = Progress(
            BarColumn(bar_width=30),
            TextColumn("{task.percentage:>3.0f}%   {task.description}"),
            console=console,
        )
        self.caption = Text()
        self.live = Live(Group(self.bars, self.caption), console=console, transient=True)
        self.stack = stack
        self.tasks: dict[str, TaskID] = {}

    def show_epochs(self, done: int, total: int, text: str) -> None:
        """Draw how many epochs are done, with a text below."""
        self._update("epochs", done, total, f"{done}/{total} epochs")
        self.caption.plain = text

    def show_images(self, done: int, total: int) -> None:
        """Draw how much of a file has been loaded."""
        self._update("images", done, total, f"getting {self.noun}", visible=done < total)

    def show_count(self, done: int, total: int, text: str) -> None:
        """Draw how many things are done."""
        self._update("counted", done, total, f"{done:,}/{total:,} {text}")

    def _update(
        self, kind: str, done: int, total: int, description: str, visible: bool = True
    ) -> None:
        if not self.tasks:
            self.stack.enter_context(self.live)
        if kind not in self.tasks:
            self.tasks[kind] = self.bars.add_task(description)
        self.bars.update(
            self.tasks[kind],
            completed=done,
            total=total,
            description=description,
            visible=visible,
        )


class ImageProgress:
    """Callback that shows the progress of loading, if it takes more than a second."""

    def __init__(self, target: ImageDisplay) -> None:
        self.target = target
        self.started_at = 0.0
        self.finished_at: float | None = float("-inf")

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if self.finished_at is not None and now - self.finished_at > SHOW_AFTER_SECONDS:
            self.started_at = now  # a file that follows at once keeps the start of the last one
        self.finished_at = now if done >= total else None
        if now - self.started_at >= SHOW_AFTER_SECONDS:
            self.target.show_images(done, total)


def format_duration(seconds: float) -> str:
    """Format a duration as 12:41 or 1:02:41."""
    minutes, remaining = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{remaining:02}" if hours else f"{minutes}:{remaining:02}"


@contextmanager
def show_benchmark_rounds() -> Iterator[Callable[[str, int, int], None]]:
    """Yield a callback (text, rounds done, rounds in all) for a benchmark.

    Nothing is drawn between its calls, since that would disturb the measurement.
    """
    is_terminal = terminal_console() is not None
    last_printed = float("-inf")

    def show_round(text: str, done: int, total: int) -> None:
        """Replace the line on a terminal; elsewhere print one now and then."""
        nonlocal last_printed
        rounds = f"   round {done} of {total}" if done else ""
        if is_terminal:
            print(f"\r{text}{rounds}\x1b[K", end="", file=sys.stderr, flush=True)
        elif time.monotonic() - last_printed >= SECONDS_BETWEEN_LINES:
            last_printed = time.monotonic()
            print(f"{text}{rounds}", file=sys.stderr, flush=True)

    try:
        yield show_round
    finally:
        if is_terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


@contextmanager
def show_run(
    epochs: int, seeds: int = 1
) -> "Iterator[tuple[Callable[[int, Epoch], None], OnData]]":
    """Show training runs of ``epochs`` epochs with ``seeds`` seeds.

    Yields two callbacks: (seed, epoch) after each epoch, and (done, total) while images are loaded.
    """
    last_epochs: dict[int, int] = {}
    seconds = 0.0  # Epochs of a checkpoint arrive all at once.
    with open_display() as view:

        def show_epoch(seed: int, epoch: "Epoch") -> None:
            """Show an epoch and the time that remains."""
            nonlocal seconds
            last_epochs[seed] = epoch.index
            seconds += epoch.seconds
            done, total = sum(last_epochs.values()), epochs * seeds
            parts = [f"{format_duration(seconds / done * (total - done))} left", epoch_line(epoch)]
            if seeds > 1:
                parts.insert(1, f"seed {seed}")
            view.show_epochs(done, total, "   ".join(parts))

        yield show_epoch, ImageProgress(view)


@contextmanager
def show_images() -> Iterator[OnData]:
    """Yield a callback (done, total) that shows the loading of images."""
    with open_display() as view:
        yield ImageProgress(view)


@contextmanager
def show_count(text: str, total: int) -> Iterator[Callable[[int], None]]:
    """Yield a callback that shows how many of ``total`` things are done."""
    with open_display() as view:
        yield lambda done: view.show_count(done, total, text)


@contextmanager
def show_weights_download() -> Iterator[OnData]:
    """Yield a callback (done, total) that shows the download of a file of weights."""
    with open_display("weights") as view:
        yield ImageProgress(view)


def epoch_line(epoch: "Epoch") -> str:
    """Format the measurements of an epoch."""
    parts = [f"loss {epoch.train_loss:.3f}", f"validation {epoch.loss:.3f}"]
    parts.append(f"accuracy {epoch.accuracy:.3f}   top-5 {epoch.top5:.3f}")
    parts.append(f"{epoch.images_per_second:,.0f} img/s")
    return "   ".join(parts)
