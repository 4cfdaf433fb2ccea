"""From a source's name to uint8 tensors and labels, and from those to batches on the device."""

from scalesearch.data.batches import augmented, evaluation_batches, training_batches
from scalesearch.data.dataset import Dataset, Split
from scalesearch.data.sources import SOURCES, load, load_test

__all__ = [
    "SOURCES",
    "Dataset",
    "Split",
    "augmented",
    "evaluation_batches",
    "load",
    "load_test",
    "training_batches",
]
