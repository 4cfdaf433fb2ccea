"""Bars on a terminal, plain lines elsewhere; all of it on standard error."""

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.text import Text

SECONDS_BETWEEN_LINES = 10.0
SECONDS_UNTOLD = 1.0
"""Images that are here sooner are no news."""


class ShowsImages(Protocol):
    """What can show how many images of a file have come."""

    def images(self, done: int, total: int) -> None: ...


def terminal() -> Console | None:
    """Standard error, if that is a terminal."""
    console = Console(stderr=True, highlight=False)
    return console if console.is_terminal else None


@contextmanager
def display(what: str = "images") -> "Iterator[Lines | Bars]":
    """What shows epochs and images (or ``what`` else comes in bytes), until all is over."""
    console = terminal()
    if console is None:
        yield Lines(what)
        return
    with ExitStack() as stack:
        yield Bars(console, stack, what)


class Lines:
    """Plain lines, not too many of them."""

    def __init__(self, what: str = "images") -> None:
        self.what = what
        began = time.monotonic()  # what is over within seconds needs no counting
        self.told = {"epochs": float("-inf"), "images": float("-inf"), "counted": began}

    def epochs(self, done: int, total: int, words: str) -> None:
        self.tell("epochs", f"{done}/{total} epochs   {words}", whatever=done == total)

    def images(self, done: int, total: int) -> None:
        if done < total:  # of one file; another may follow
            self.tell("images", f"getting {self.what}   {done / total:.0%}")

    def counted(self, done: int, total: int, words: str) -> None:
        self.tell("counted", f"{done:,}/{total:,} {words}")

    def tell(self, what: str, words: str, whatever: bool = False) -> bool:
        """Whether it was time for a line."""
        now = time.monotonic()
        if not whatever and now - self.told[what] < SECONDS_BETWEEN_LINES:
            return False
        self.told[what] = now
        print(words, file=sys.stderr, flush=True)
        return True


class Bars:
    """Bars with words below, which go when all is over.

    They come with the first news: of several processes only one has something to show.
    """

    def __init__(self, console: Console, stack: ExitStack, what: str = "images") -> None:
        self.what = what
        self.bar = Progress(
            BarColumn(bar_width=30),
            TextColumn("{task.percentage:>3.0f}%   {task.description}"),
            console=console,
        )
        self.below = Text()
        self.live = Live(Group(self.bar, self.below), console=console, transient=True)
        self.stack = stack
        self.tasks: dict[str, TaskID] = {}

    def epochs(self, done: int, total: int, words: str) -> None:
        self._update("epochs", done, total, f"{done}/{total} epochs")
        self.below.plain = words

    def images(self, done: int, total: int) -> None:
        self._update("images", done, total, f"getting {self.what}", visible=done < total)

    def counted(self, done: int, total: int, words: str) -> None:
        self._update("counted", done, total, f"{done:,}/{total:,} {words}")

    def _update(
        self, what: str, done: int, total: int, description: str, visible: bool = True
    ) -> None:
        if not self.tasks:
            self.stack.enter_context(self.live)
        if what not in self.tasks:
            self.tasks[what] = self.bar.add_task(description)
        self.bar.update(
            self.tasks[what],
            completed=done,
            total=total,
            description=description,
            visible=visible,
        )


class Images:
    """Shows how many images have come, where they keep one waiting."""

    def __init__(self, display: ShowsImages) -> None:
        self.display = display
        self.began = 0.0
        self.ended: float | None = float("-inf")

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if self.ended is not None and now - self.ended > SECONDS_UNTOLD:
            self.began = now  # and not that of the file before, which this one may follow at once
        self.ended = now if done >= total else None
        if now - self.began >= SECONDS_UNTOLD:
            self.display.images(done, total)


def clock(seconds: float) -> str:
    """12:41, or 1:02:41."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
