"""A search while it goes on: a picture of it on a terminal, plain lines elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeAlias

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from scalesearch.progress.display import Images, Lines, terminal
from scalesearch.progress.picture import best, ended_words, pace, picture, tally
from scalesearch.search.news import present
from scalesearch.search.progress import Progress

OnProgress: TypeAlias = Callable[[Progress], None]
OnData: TypeAlias = Callable[[int, int], None]


@contextmanager
def search_shown(news: Path | None = None) -> Iterator[tuple[OnProgress, OnData]]:
    """A search: a picture on a terminal; elsewhere a line for each full rung or ten seconds.

    What to call after an event, and what to call while images are downloaded and decoded.
    ``news``: the folder in which workers tell how far their jobs are.
    """
    console = terminal()
    if console is None:
        lines = SearchLines()
        yield lines.show, Images(lines)
        return
    with ExitStack() as stack:
        view = SearchView(console, stack, news)
        yield view.show, Images(view)


class SearchLines(Lines):
    """Plain lines, not too many of them."""

    def __init__(self) -> None:
        super().__init__()
        self.full: set[int] = set()
        self.last: Progress | None = None

    def show(self, now: Progress) -> None:
        """One line, if it is time for one; none where nothing has changed but the time."""
        full = {rung.epoch for rung in now.rungs if rung.total and rung.done >= rung.total}
        new, over = full - self.full, now.finished and not (self.last and self.last.finished)
        self.full |= full
        if new or over or self.last is None or _moved(now, self.last):
            words = search_line(now)
            if new:
                words = f"{'; '.join(_full(now, epoch) for epoch in sorted(new))}   {words}"
            if self.tell("epochs", words, whatever=bool(new) or over):
                self.last = now


def _moved(now: Progress, before: Progress) -> bool:
    """Whether there is more to tell than that time has passed."""
    return (now.epochs_done, now.rungs, now.stopped, now.failures) != (
        before.epochs_done,
        before.rungs,
        before.stopped,
        before.failures,
    )


def _full(now: Progress, epoch: int) -> str:
    (rung,) = (rung for rung in now.rungs if rung.epoch == epoch)
    return f"epoch {epoch}: all {rung.done} there"


def search_line(now: Progress) -> str:
    """How far, time left, the best so far, pace, what runs, what was stopped and what failed."""
    parts = [f"{now.epochs_done}/{now.epochs_total} epochs", ended_words(now)]
    parts += [
        f"epoch {rung.epoch}: {rung.done}/{rung.total}"
        for rung in now.rungs
        if 0 < rung.done < rung.total
    ]
    parts += best(now)
    parts += [*pace(now), tally(now)]
    return "   ".join(part for part in parts if part)


class SearchView:
    """The picture, drawn anew every second; it comes with the first news."""

    def __init__(self, console: Console, stack: ExitStack, news: Path | None) -> None:
        self.console, self.stack, self.news = console, stack, news
        self.now: Progress | None = None
        self.loading: float | None = None
        self.live: Live | None = None

    def show(self, now: Progress) -> None:
        """What there is to see from now on."""
        self.now = now
        self._begin()

    def images(self, done: int, total: int) -> None:
        """How many images of a file have come."""
        self.loading = done / total if done < total else None
        self._begin()

    def _begin(self) -> None:
        if self.live is None:
            self.live = Live(
                get_renderable=self._drawn,
                console=self.console,
                transient=True,
                refresh_per_second=1,  # and not with every event, of which there may be many
            )
            self.stack.enter_context(self.live)
            self.live.refresh()

    def _drawn(self) -> RenderableType:
        width, height = self.console.size
        if self.now is None:
            return Text("" if self.loading is None else f"{self.loading:.0%}   getting images")
        return picture(present(self.now, self.news), width, height, self.loading)
