"""Runs, and images alone, while one waits for them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from scalesearch.progress.display import Images, clock, display

if TYPE_CHECKING:
    from collections.abc import Callable

    from scalesearch.training import Epoch

    OnData = Callable[[int, int], None]


@contextmanager
def run_shown(
    epochs: int, seeds: int = 1
) -> "Iterator[tuple[Callable[[int, Epoch], None], OnData]]":
    """Runs of so many epochs with so many seeds: a bar on a terminal, lines elsewhere.

    What to call after an epoch, with its seed, and while images are downloaded and decoded.
    """
    reached: dict[int, int] = {}
    spent = 0.0  # as the epochs say themselves: those of a checkpoint come all at once
    with display() as shows:

        def update(seed: int, epoch: "Epoch") -> None:
            nonlocal spent
            reached[seed] = epoch.index
            spent += epoch.seconds
            done, total = sum(reached.values()), epochs * seeds
            parts = [f"{clock(spent / done * (total - done))} left", epoch_line(epoch)]
            if seeds > 1:
                parts.insert(1, f"seed {seed}")
            shows.epochs(done, total, "   ".join(parts))

        yield update, Images(shows)


@contextmanager
def images_shown() -> "Iterator[OnData]":
    """Images alone."""
    with display() as shows:
        yield Images(shows)


@contextmanager
def counted(words: str, total: int) -> "Iterator[Callable[[int], None]]":
    """So many things in all; what to call with how many are done."""
    with display() as shows:
        yield lambda done: shows.counted(done, total, words)


@contextmanager
def weights_shown() -> "Iterator[OnData]":
    """A file of weights that is downloaded."""
    with display("weights") as shows:
        yield Images(shows)


def epoch_line(epoch: "Epoch") -> str:
    """What an epoch brought, and its pace."""
    parts = [f"loss {epoch.train_loss:.3f}", f"validation {epoch.loss:.3f}"]
    parts.append(f"accuracy {epoch.accuracy:.3f}   top-5 {epoch.top5:.3f}")
    parts.append(f"{epoch.images_per_second:,.0f} img/s")
    return "   ".join(parts)
