"""What a person sees while images come and networks are trained; all of it on standard error."""

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, TaskID, TextColumn
from rich.progress import Progress as Bar
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from scalesearch.analysis import Answer
    from scalesearch.analysis.answer import Result
    from scalesearch.search import Progress
    from scalesearch.training import Epoch

    OnData = Callable[[int, int], None]

SECONDS_BETWEEN_LINES = 10.0
SECONDS_UNTOLD = 1.0
"""Images that are here sooner are no news."""


@contextmanager
def shown() -> "Iterator[tuple[Callable[[Progress], None], OnData]]":
    """A search: bars on a terminal, a plain line every ten seconds elsewhere.

    What to call after an epoch, and what to call while images are downloaded and decoded.
    """
    with _display() as display:
        yield (
            lambda now: display.epochs(now.epochs_done, now.epochs_total, line(now)),
            _Images(display),
        )


@contextmanager
def run_shown(
    epochs: int, seeds: int = 1
) -> "Iterator[tuple[Callable[[int, Epoch], None], OnData]]":
    """Runs of so many epochs with so many seeds, in the same way; an epoch comes with its seed."""
    reached: dict[int, int] = {}
    spent = 0.0  # as the epochs say themselves: those of a checkpoint come all at once
    with _display() as display:

        def update(seed: int, epoch: "Epoch") -> None:
            nonlocal spent
            reached[seed] = epoch.index
            spent += epoch.seconds
            done, total = sum(reached.values()), epochs * seeds
            parts = [f"{_clock(spent / done * (total - done))} left", epoch_line(epoch)]
            if seeds > 1:
                parts.insert(1, f"seed {seed}")
            display.epochs(done, total, "   ".join(parts))

        yield update, _Images(display)


@contextmanager
def images_shown() -> "Iterator[OnData]":
    """Images alone."""
    with _display() as display:
        yield _Images(display)


@contextmanager
def _display() -> "Iterator[_Lines | _Bars]":
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield _Lines()
        return
    with ExitStack() as stack:
        yield _Bars(console, stack)


class _Lines:
    """Plain lines, not too many of them."""

    def __init__(self) -> None:
        self.told = {"epochs": float("-inf"), "images": float("-inf")}

    def epochs(self, done: int, total: int, words: str) -> None:
        self._tell("epochs", f"{done}/{total} epochs   {words}", whatever=done == total)

    def images(self, done: int, total: int) -> None:
        if done < total:  # of one file; another may follow
            self._tell("images", f"getting images   {done / total:.0%}")

    def _tell(self, what: str, words: str, whatever: bool = False) -> None:
        now = time.monotonic()
        if whatever or now - self.told[what] >= SECONDS_BETWEEN_LINES:
            self.told[what] = now
            print(words, file=sys.stderr, flush=True)


class _Bars:
    """Bars with words below, which go when all is over.

    They come with the first news: of several processes only one has something to show.
    """

    def __init__(self, console: Console, stack: ExitStack) -> None:
        self.bar = Bar(
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
        self._update("images", done, total, "getting images", visible=done < total)

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


class _Images:
    """Shows how many images have come, where they keep one waiting."""

    def __init__(self, display: "_Lines | _Bars") -> None:
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


def epoch_line(epoch: "Epoch") -> str:
    """What an epoch brought, and its pace."""
    parts = [f"loss {epoch.train_loss:.3f}", f"validation {epoch.loss:.3f}"]
    parts.append(f"accuracy {epoch.accuracy:.3f}   top-5 {epoch.top5:.3f}")
    parts.append(f"{epoch.images_per_second:,.0f} img/s")
    return "   ".join(parts)


def line(progress: "Progress") -> str:
    """Time left, the best so far, pace, failures."""
    parts = [f"{_clock(progress.seconds_left)} left"]
    if progress.best is not None:
        shares, accuracy = progress.best
        parts.append(
            f"best so far {accuracy:.3f} at depth {shares.depth:.2f} width {shares.width:.2f} "
            f"resolution {shares.resolution:.2f}"
        )
    parts.append(f"{progress.epoch.images_per_second:,.0f} img/s")
    parts.append(f"{progress.failed} failed")
    return "   ".join(parts)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def conclusion(found: "Answer", folder: "Path", references: "Sequence[str]" = ()) -> str:
    """The answer in a few lines: coefficients, accuracy beside the references, where files are."""
    a, best = found.coefficients, found.best
    missing = [name for name in references if name not in found.references]
    lines = [
        f"alpha {a.alpha:.3f}   beta {a.beta:.3f}   gamma {a.gamma:.3f}   "
        f"(shares: depth {best.shares.depth:.2f} width {best.shares.width:.2f} "
        f"resolution {best.shares.resolution:.2f})",
        f"accuracy {_accuracy(best)} after {found.epoch} epochs, the best of "
        f"{found.candidates} networks; the luckiest of so many is flattered",
    ]
    for name, reference in found.references.items():
        stands_in = (
            f"   nearest, {reference.deviation:.2f} away" if reference.deviation > 0.1 else ""
        )
        lines.append(f"  {name:<11}{_accuracy(reference)}   {reference.factor:.3f}x{stands_in}")
    for name in missing:
        lines.append(f"  {name:<11}not trained")
    lines.append(f"{folder}/   coefficients.json   records.csv   family.json   figures/simplex.png")
    return "\n".join(lines)


def run_conclusion(document: "Mapping[str, Any]", folder: "Path") -> str:
    """What was trained, how good it is, and where files are; ``document`` is ``run.json``."""
    cost, results = document["cost"], document["results"]
    epochs, asked = results["epochs"], document["recipe"]["epochs"]
    counted = f"{epochs} epoch{'s' if epochs > 1 else ''}"
    if epochs < asked:
        counted = f"{counted} (of {asked}: stopped early, with the weights of the best)"
    lines = [
        f"{document['name']}: {cost['params']:,} parameters, {cost['macs']:,} multiply-adds, "
        f"{counted} in {_clock(results['seconds'])}",
        f"{'':<12}{'top-1':>8}{'top-5':>8}{'images':>9}",
    ]
    for part in ("validation", "test"):
        found = results[part]
        top1, top5, images = found["top1"], found["top5"], found["images"]
        lines.append(f"{part:<12}{top1:>8.4f}{top5:>8.4f}{images:>9,}")
    lines.append(f"{folder}/   network.pt   metrics.json   epochs.csv   figures/curves.png")
    return "\n".join(lines)


def seeds_conclusion(summary: "Mapping[str, Any]", folder: "Path") -> str:
    """What several seeds came to, and where files are; ``summary`` is ``summary.json``."""
    cost, runs = summary["cost"], summary["runs"]
    seconds = sum(run["seconds"] for run in runs)
    lines = [
        f"{summary['name']}: {cost['params']:,} parameters, {cost['macs']:,} multiply-adds, "
        f"{len(runs)} seeds in {_clock(seconds)}",
        f"{'':<12}{'top-1':>20}{'top-5':>20}{'images':>9}",
    ]
    for part in ("validation", "test"):
        found = summary[part]
        top1, top5 = (_spread(found[name]) for name in ("top1", "top5"))
        lines.append(f"{part:<12}{top1:>20}{top5:>20}{found['images']:>9,}")
    each = "   ".join(f"{run['test']['top1']:.4f}" for run in runs)
    lines.append(f"test top-1 of each seed: {each}")
    lines.append(f"{folder}/   summary.json   epochs.csv   figures/curves.png   seed-*/")
    return "\n".join(lines)


def _spread(found: "Mapping[str, float | None]") -> str:
    """Mean and standard deviation, which one seed alone does not have."""
    sd = "" if found["sd"] is None else f" sd {found['sd']:.4f}"
    return f"{found['mean']:.4f}{sd}"


def _accuracy(result: "Result") -> str:
    error = result.standard_error
    return f"{result.accuracy:.3f}" + ("" if error is None else f" +-{error:.3f}")
