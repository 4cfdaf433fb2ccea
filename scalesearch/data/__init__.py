"""From a source's name to uint8 tensors and labels, and from those to batches on the device."""

from scalesearch.data.augment import InputTransform, epoch_draws, training_inputs, require_policy, evaluation_inputs, input_transform, default_zoom
from scalesearch.data.batches import epoch_order, evaluation_batches, training_batches
from scalesearch.data.dataset import Dataset, Split
from scalesearch.data.sources import SOURCES, load_dataset, load_test_split
from scalesearch.data.streaming import fits_in_memory

__all__ = [
    "SOURCES",
    "Dataset",
    "Split",
    "InputTransform",
    "epoch_draws",
    "epoch_order",
    "evaluation_batches",
    "fits_in_memory",
    "load_dataset",
    "load_test_split",
    "training_inputs",
    "require_policy",
    "evaluation_inputs",
    "training_batches",
    "input_transform",
    "default_zoom",
]
