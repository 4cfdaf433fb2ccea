"""What a person sees while networks are trained; everything goes to standard error."""

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

SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def shown() -> "Iterator[Callable[[Progress], None]]":
    """A search: a bar on a terminal, a plain line every ten seconds elsewhere."""
    with _live() as show:
        yield lambda now: show(now.epochs_done, now.epochs_total, line(now))


@contextmanager
def run_shown(epochs: int) -> "Iterator[Callable[[Epoch], None]]":
    """A run of so many epochs, in the same way."""
    spent = 0.0  # as the epochs say themselves: those of a checkpoint come all at once
    with _live() as show:

        def update(epoch: "Epoch") -> None:
            nonlocal spent
            spent += epoch.seconds
            left = spent / epoch.index * (epochs - epoch.index)
            show(epoch.index, epochs, f"{_clock(left)} left   {epoch_line(epoch)}")

        yield update


@contextmanager
def _live() -> "Iterator[Callable[[int, int, str], None]]":
    """Shows epochs done, epochs in total, and words on what there is to say."""
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
    with ExitStack() as stack:
        task: TaskID | None = None

        def update(done: int, total: int, words: str) -> None:
            nonlocal task
            if task is None:  # not sooner: of several processes only one has something to show
                stack.enter_context(Live(Group(bar, below), console=console, transient=True))
                task = bar.add_task("epochs", total=total)
            bar.update(task, completed=done)
            below.plain = words

        yield update


class _Lines:
    """Plain lines, not too many of them."""

    def __init__(self) -> None:
        self.last = float("-inf")

    def __call__(self, done: int, total: int, words: str) -> None:
        now = time.monotonic()
        if now - self.last >= SECONDS_BETWEEN_LINES or done == total:
            self.last = now
            print(f"{done}/{total} epochs   {words}", file=sys.stderr, flush=True)


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
    lines = [
        f"{document['name']}: {cost['params']:,} parameters, {cost['macs']:,} multiply-adds, "
        f"{results['epochs']} epochs in {_clock(results['seconds'])}",
        f"{'':<12}{'top-1':>8}{'top-5':>8}{'images':>9}",
    ]
    for part in ("validation", "test"):
        found = results[part]
        top1, top5, images = found["top1"], found["top5"], found["images"]
        lines.append(f"{part:<12}{top1:>8.4f}{top5:>8.4f}{images:>9,}")
    lines.append(f"{folder}/   network.pt   metrics.json   epochs.csv   figures/curves.png")
    return "\n".join(lines)


def _accuracy(result: "Result") -> str:
    error = result.standard_error
    return f"{result.accuracy:.3f}" + ("" if error is None else f" +-{error:.3f}")
