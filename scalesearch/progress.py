"""What a person sees while a search runs; everything goes to standard error."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, TaskID, TextColumn
from rich.progress import Progress as Bar
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from scalesearch.analysis import Answer
    from scalesearch.analysis.answer import Result
    from scalesearch.search import Progress

SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def shown() -> "Iterator[Callable[[Progress], None]]":
    """A bar on a terminal, a plain line every ten seconds elsewhere."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield _Lines()
        return
    bar = Bar(
        BarColumn(bar_width=30),
        TextColumn("{task.percentage:>3.0f}%   {task.completed}/{task.total} epochs"),
        console=console,
    )
    below = Text()
    with Live(Group(bar, below), console=console, transient=True):
        task: TaskID | None = None

        def update(progress: "Progress") -> None:
            nonlocal task
            if task is None:
                task = bar.add_task("search", total=progress.epochs_total)
            bar.update(task, completed=progress.epochs_done)
            below.plain = line(progress)

        yield update


class _Lines:
    """Plain lines, not too many of them."""

    def __init__(self) -> None:
        self.last = float("-inf")

    def __call__(self, progress: "Progress") -> None:
        now, over = time.monotonic(), progress.epochs_done == progress.epochs_total
        if now - self.last >= SECONDS_BETWEEN_LINES or over:
            self.last = now
            count = f"{progress.epochs_done}/{progress.epochs_total} epochs"
            print(f"{count}   {line(progress)}", file=sys.stderr, flush=True)


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


def _accuracy(result: "Result") -> str:
    error = result.standard_error
    return f"{result.accuracy:.3f}" + ("" if error is None else f" +-{error:.3f}")
