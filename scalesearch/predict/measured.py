"""The temperature of a network, from its answers to images that it was not trained on."""

import warnings
from dataclasses import replace
from pathlib import Path

from scalesearch.data import Dataset, Split
from scalesearch.errors import DataError, ExportError
from scalesearch.predict.calibration import (
    ProbabilityCalibration,
    Labels,
    Logits,
    fit_temperature,
    reliability,
)
from scalesearch.predict.classifier import Classifier
from scalesearch.training import logits
from scalesearch.weights import read_network, write_network


def probability_calibration(classifier: Classifier, dataset: Dataset, test: Split) -> ProbabilityCalibration:
    """The temperature for the data set's validation images, and what it brings there and in test.

    Raises DataError for images of other classes, channels or sides than the network's, and where
    no temperature is the best.
    """
    _require_same_data(classifier, dataset)
    previous = classifier.preparation.temperature
    validation, test_logits_and_labels = (_logits_and_labels(classifier, split) for split in (dataset.validation, test))
    fitted_value = fit_temperature(*validation)
    return ProbabilityCalibration(
        previous=previous,
        temperature=fitted_value,
        validation=(reliability(*validation, previous), reliability(*validation, fitted_value)),
        test=(reliability(*test_logits_and_labels, previous), reliability(*test_logits_and_labels, fitted_value)),
    )


def write_calibrated_network(source: str | Path, out: str | Path, temperature: float) -> Path:
    """Write the network of a file to another one, with a temperature.

    Raises ExportError where something is there already, and what ``read_network`` raises.
    """
    require_new_path(Path(out))
    saved_network = read_network(source)
    if saved_network.preparation is None:
        raise ExportError(f"{source}: need a preparation to hold a temperature, got none")
    return write_network(
        out,
        saved_network.network,
        replace(saved_network.preparation, temperature=temperature),
        architecture=saved_network.architecture,
        name=saved_network.name,
        origin=saved_network.origin,
    )


def require_new_path(path: Path) -> None:
    """Raise ExportError where there is something at a path."""
    if path.exists() or path.is_symlink():
        raise ExportError(f"{path}: need a new file, got one that is there; choose another --out")


def _logits_and_labels(classifier: Classifier, split: Split) -> tuple[Logits, Labels]:
    """Logits (N, K) and labels (N,)."""
    preparation = classifier.preparation
    logits_NK, labels_N = logits(
        classifier.network, split, preparation.view(), preparation.pixels, classifier.device
    )
    return logits_NK.numpy(), labels_N.numpy()


def _require_same_data(classifier: Classifier, dataset: Dataset) -> None:
    """Raise DataError where the data set is not like the one that the network was trained on."""
    preparation = classifier.preparation
    dataset_shape = (dataset.channels, dataset.pixels)
    network_shape = (preparation.channels, preparation.resize_pixels)
    if dataset_shape != network_shape:
        raise DataError(
            f"temperature: need images of {network_shape[0]} channels stored at {network_shape[1]} pixels, as "
            f"the network's, got {dataset_shape[0]} channels at {dataset_shape[1]}; give the data it was trained on"
        )
    if preparation.interpolation != "bilinear":  # which all sources of data are stored by
        warnings.warn(
            "temperature: fitted to images resized by bilinear, and the network's are resized by "
            f"{preparation.interpolation} interpolation; expect a small difference",
            stacklevel=3,
        )
    names = preparation.class_names
    if names and names != dataset.class_names:
        unexpected = [name for name in dataset.class_names if name not in names]
        missing = [name for name in names if name not in dataset.class_names]
        raise DataError(
            f"temperature: need the {len(names)} classes of the network in their order, got "
            f"{len(dataset.class_names)}, others: {', '.join(unexpected[:5]) or 'none'}, missing: "
            f"{', '.join(missing[:5]) or 'none'}; give the data it was trained on"
        )
