"""Runs, and images alone, while one waits for them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from scalesearch.progress.display import ImageProgress, format_duration, open_display

if TYPE_CHECKING:
    from collections.abc import Callable

    from scalesearch.training import Epoch

    OnData = Callable[[int, int], None]


@contextmanager
def show_run(
    epochs: int, seeds: int = 1
) -> "Iterator[tuple[Callable[[int, Epoch], None], OnData]]":
    """Runs of so many epochs with so many seeds: a bar on a terminal, lines elsewhere.

    What to call after an epoch, with its seed, and while images are downloaded and decoded.
    """
    last_epochs: dict[int, int] = {}
    seconds = 0.0  # as the epochs say themselves: those of a checkpoint come all at once
    with open_display() as view:

        def show_epoch(seed: int, epoch: "Epoch") -> None:
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
def show_images() -> "Iterator[OnData]":
    """Images alone."""
    with open_display() as view:
        yield ImageProgress(view)


@contextmanager
def show_count(text: str, total: int) -> "Iterator[Callable[[int], None]]":
    """So many things in all; what to call with how many are done."""
    with open_display() as view:
        yield lambda done: view.show_count(done, total, text)


@contextmanager
def show_weights_download() -> "Iterator[OnData]":
    """A file of weights that is downloaded."""
    with open_display("weights") as view:
        yield ImageProgress(view)


def epoch_line(epoch: "Epoch") -> str:
    """What an epoch brought, and its pace."""
    parts = [f"loss {epoch.train_loss:.3f}", f"validation {epoch.loss:.3f}"]
    parts.append(f"accuracy {epoch.accuracy:.3f}   top-5 {epoch.top5:.3f}")
    parts.append(f"{epoch.images_per_second:,.0f} img/s")
    return "   ".join(parts)
