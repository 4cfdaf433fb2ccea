"""From a source's name to uint8 tensors and labels, and from those to batches on the device."""

from scalesearch.data.augment import View, drawn, prepared, require_policy, shown, view, zoom
from scalesearch.data.batches import epoch_order, evaluation_batches, training_batches
from scalesearch.data.dataset import Dataset, Split
from scalesearch.data.sources import SOURCES, load, load_test
from scalesearch.data.streaming import fits

__all__ = [
    "SOURCES",
    "Dataset",
    "Split",
    "View",
    "drawn",
    "epoch_order",
    "evaluation_batches",
    "fits",
    "load",
    "load_test",
    "prepared",
    "require_policy",
    "shown",
    "training_batches",
    "view",
    "zoom",
]
