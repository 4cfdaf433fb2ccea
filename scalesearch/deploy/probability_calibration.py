"""Calibration of a classifier's probabilities by a temperature (arXiv:1706.04599)."""

import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from scalesearch.data.dataset import Dataset, Split
from scalesearch.deploy.classifier import Classifier
from scalesearch.deploy.predictions import probabilities
from scalesearch.errors import DataError, ExportError
from scalesearch.training.inference import logits
from scalesearch.training.network_file import read_network, write_network

CONFIDENCE_BINS = 15
"""Bins of confidence, equally wide: as many as in the paper."""

MIN_TEMPERATURE, MAX_TEMPERATURE = 1e-3, 1e3
"""Range in which a temperature is searched."""

Logits = NDArray[np.float32]
Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Images of similar confidence: their number, mean confidence, and accuracy."""

    images: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """Quality of probabilities over ``images`` images.

    ``nll``: mean negative logarithm of the true class's probability. ``ece``: mean distance of
    accuracy from confidence over ``bins`` equally wide bins of confidence, weighted by their
    images; a fraction. ``curve``: the bins with images, by confidence.
    """

    images: int
    accuracy: float
    nll: float
    ece: float
    bins: int
    curve: tuple[ReliabilityBin, ...]


@dataclass(frozen=True, slots=True)
class ProbabilityCalibration:
    """A temperature, and its effect on the images of the fit and on the test images.

    ``previous``: the temperature before.
    """

    previous: float
    temperature: float
    validation: tuple[Reliability, Reliability]
    test: tuple[Reliability, Reliability]


def reliability(
    logits_NK: Logits, labels_N: Labels, temperature: float = 1.0, bins: int = CONFIDENCE_BINS
) -> Reliability:
    """Quality of the probabilities that a temperature makes of logits (N, K)."""
    probabilities_NK = probabilities(logits_NK, temperature)
    confidence_N = probabilities_NK.max(axis=1)
    is_correct_N = logits_NK.argmax(axis=1) == labels_N
    # Bins are open at their lower end, as in the paper: a confidence of 1/15 is in the first.
    bin_N = np.clip(np.ceil(confidence_N * bins).astype(np.int64) - 1, 0, bins - 1)
    curve = tuple(
        ReliabilityBin(
            int(in_bin.sum()),
            float(confidence_N[in_bin].mean()),
            float(is_correct_N[in_bin].mean()),
        )
        for in_bin in (bin_N == number for number in range(bins))
        if in_bin.any()
    )
    weighted_gaps = (
        reliability_bin.images * abs(reliability_bin.accuracy - reliability_bin.confidence)
        for reliability_bin in curve
    )
    return Reliability(
        images=len(labels_N),
        accuracy=float(is_correct_N.mean()),
        nll=float(_negative_log_likelihood(logits_NK, labels_N, 1 / temperature).mean()),
        ece=sum(weighted_gaps) / len(labels_N),
        bins=bins,
        curve=curve,
    )


def fit_temperature(logits_NK: Logits, labels_N: Labels) -> float:
    """Temperature at which logits (N, K) have the smallest negative log-likelihood.

    That is convex in the inverse temperature, so there is at most one minimum, found where the
    derivative is zero. Raises DataError if there is none: all predictions are right, or they are
    no better than chance.
    """

    def slope(log_inverse: float) -> float:
        """Return the slope of the loss over the inverse temperature."""
        inverse_temperature = float(np.exp(log_inverse))
        probabilities_NK = probabilities(logits_NK, 1 / inverse_temperature)
        expected_N = (probabilities_NK * logits_NK).sum(axis=1)
        return float((expected_N - logits_NK[np.arange(len(labels_N)), labels_N]).mean())

    low_log_inverse, high_log_inverse = np.log(1 / MAX_TEMPERATURE), np.log(1 / MIN_TEMPERATURE)
    if slope(low_log_inverse) >= 0:
        raise DataError(
            "temperature: need predictions that are better than chance, got predictions that fit "
            "best when all classes are equally probable; train the network further"
        )
    if slope(high_log_inverse) <= 0:
        raise DataError(
            "temperature: need some wrong predictions on the validation images, got "
            f"{len(labels_N)} right ones, which have no best temperature; give more images"
        )
    return float(np.exp(-brentq(slope, low_log_inverse, high_log_inverse, xtol=1e-10)))


def _negative_log_likelihood(
    logits_NK: Logits, labels_N: Labels, inverse_temperature: float
) -> NDArray[np.float64]:
    """Negative logarithm of each true class's probability; large logits do not overflow."""
    scaled = logits_NK.astype(np.float64) * inverse_temperature
    max_N = scaled.max(axis=1)
    log_sums_N = np.log(np.exp(scaled - max_N[:, None]).sum(axis=1)) + max_N
    return np.asarray(log_sums_N - scaled[np.arange(len(labels_N)), labels_N])


def probability_calibration(
    classifier: Classifier, dataset: Dataset, test: Split
) -> ProbabilityCalibration:
    """Calibrate on the validation images, and measure the effect there and on test.

    Raises DataError for images of other classes, channels or sides than the network's, and if
    there is no best temperature.
    """
    _require_same_data(classifier, dataset)
    previous = classifier.preparation.temperature
    validation, test_logits_and_labels = (
        _logits_and_labels(classifier, split) for split in (dataset.validation, test)
    )
    fitted_value = fit_temperature(*validation)
    return ProbabilityCalibration(
        previous=previous,
        temperature=fitted_value,
        validation=(reliability(*validation, previous), reliability(*validation, fitted_value)),
        test=(
            reliability(*test_logits_and_labels, previous),
            reliability(*test_logits_and_labels, fitted_value),
        ),
    )


def write_calibrated_network(source: str | Path, out: str | Path, temperature: float) -> Path:
    """Write a network's file with another temperature.

    Raises ExportError if the output exists, and what ``read_network`` raises.
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
    """Raise ExportError if the path exists."""
    if path.exists() or path.is_symlink():
        raise ExportError(f"{path}: need a new file, got an existing one; choose another --out")


def _logits_and_labels(classifier: Classifier, split: Split) -> tuple[Logits, Labels]:
    """Logits (N, K) and labels (N,)."""
    preparation = classifier.preparation
    logits_NK, labels_N = logits(
        classifier.network, split, preparation.view(), preparation.pixels, classifier.device
    )
    return logits_NK.numpy(), labels_N.numpy()


def _require_same_data(classifier: Classifier, dataset: Dataset) -> None:
    """Raise DataError if the data set differs from the one of the training."""
    preparation = classifier.preparation
    dataset_shape = (dataset.channels, dataset.pixels)
    network_shape = (preparation.channels, preparation.stored)
    if dataset_shape != network_shape:
        raise DataError(
            f"temperature: need images of {network_shape[0]} channels stored at "
            f"{network_shape[1]} pixels, got {dataset_shape[0]} channels at {dataset_shape[1]}; "
            "give the data that the network was trained on"
        )
    if preparation.interpolation != "bilinear":  # the stored form of every source
        warnings.warn(
            "temperature: the data set resizes images by bilinear interpolation, the network by "
            f"{preparation.interpolation}; expect a small difference",
            stacklevel=3,
        )
    names = preparation.class_names
    if names and names != dataset.class_names:
        unexpected = [name for name in dataset.class_names if name not in names]
        missing = [name for name in names if name not in dataset.class_names]
        raise DataError(
            f"temperature: need the {len(names)} classes of the network in their order, got "
            f"{len(dataset.class_names)}, others: {', '.join(unexpected[:5]) or 'none'}, missing: "
            f"{', '.join(missing[:5]) or 'none'}; give the data that the network was trained on"
        )
