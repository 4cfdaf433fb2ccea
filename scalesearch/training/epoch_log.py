"""The log of a run's epochs: ``epochs.csv``, callbacks, and TensorBoard.

TensorBoard needs ``pip install 'scalesearch[tensorboard]'``.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import pandas as pd

from scalesearch.errors import SearchError
from scalesearch.io import write_text
from scalesearch.results.run_folder import Epoch, read_epochs

TAGS = {
    "train_loss": "loss/training",
    "loss": "loss/validation",
    "accuracy": "accuracy/top-1",
    "top5": "accuracy/top-5",
}
"""TensorBoard tags by field of an epoch; the other fields have their own names as tags."""

OnData = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class RunCallbacks:
    """Functions that are called while runs are trained."""

    on_epoch: Callable[[int, Epoch], None] | None = None
    """Called with a run's seed and each of its epochs."""
    on_data: OnData | None = None
    """Called with the finished and total amount while images are downloaded and decoded."""
    tensorboard: bool = False
    """If true, write TensorBoard events to ``tensorboard`` in the run's folder."""


NO_CALLBACKS = RunCallbacks()


@dataclass(frozen=True, slots=True)
class EpochLog:
    """Writes a run's epochs to ``epochs.csv`` and passes them to listeners."""

    folder: Path
    listeners: tuple[Callable[[Epoch], None], ...]
    epochs: list[Epoch] = field(default_factory=list)

    def write(self, epoch: Epoch) -> None:
        """Add an epoch to the file, and notify the listeners."""
        self.epochs.append(epoch)
        table = pd.DataFrame([asdict(record) for record in self.epochs])
        text = table.rename(columns={"index": "epoch"}).to_csv(index=False)
        write_text(self.folder / "epochs.csv", text)
        self._notify(epoch)

    def replay(self) -> None:
        """Notify the listeners of the epochs in the file."""
        for epoch in read_epochs(self.folder):
            self._notify(epoch)

    def _notify(self, epoch: Epoch) -> None:
        for listener in self.listeners:
            listener(epoch)


@contextmanager
def open_epoch_log(folder: Path, seed: int, callbacks: RunCallbacks) -> Iterator[EpochLog]:
    """Open the log of a run with the listeners that the callbacks name."""
    on_epoch = callbacks.on_epoch
    listeners = () if on_epoch is None else (partial(on_epoch, seed),)
    writer_context = (
        tensorboard_writer(folder / "tensorboard") if callbacks.tensorboard else nullcontext()
    )
    with writer_context as writer:
        yield EpochLog(folder, (writer, *listeners) if writer else listeners)


@contextmanager
def tensorboard_writer(folder: Path) -> Iterator[Callable[[Epoch], None]]:
    """Open a TensorBoard writer for epochs within the block.

    A resumed run writes all its epochs again, which replace the earlier ones. Raises SearchError
    if the package is missing.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise SearchError(
            "--tensorboard: needs the package tensorboard, which cannot be imported "
            f"({error}); pip install 'scalesearch[tensorboard]'"
        ) from error
    with SummaryWriter(str(folder), purge_step=1) as writer:

        def write_epoch(epoch: Epoch) -> None:
            """Write each measure of an epoch."""
            measures = asdict(epoch)
            index = measures.pop("index")
            for name, value in measures.items():
                if value is not None:
                    writer.add_scalar(TAGS.get(name, name), value, index)
            writer.flush()

        yield write_epoch
