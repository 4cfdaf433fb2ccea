"""Epochs as TensorBoard's scalars (``pip install 'scalesearch[tensorboard]'``)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from scalesearch.errors import SearchError
from scalesearch.training.job import Epoch

TAGS = {
    "train_loss": "loss/training",
    "loss": "loss/validation",
    "accuracy": "accuracy/top-1",
    "top5": "accuracy/top-5",
}
"""Where a measure is shown; the others have a chart each, by their own name."""


@contextmanager
def tensorboard_writer(folder: Path) -> Iterator[Callable[[Epoch], None]]:
    """Within, epochs are written to event files in the folder.

    A run that goes on tells all its epochs again, which replace those told before. Raises
    SearchError where the package is missing.
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
            measures = asdict(epoch)
            index = measures.pop("index")
            for name, value in measures.items():
                if value is not None:
                    writer.add_scalar(TAGS.get(name, name), value, index)
            writer.flush()

        yield write_epoch
