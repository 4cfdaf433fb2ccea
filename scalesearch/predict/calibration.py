"""How far probabilities can be believed, and the temperature that makes them truer
(arXiv:1706.04599)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from scalesearch.errors import DataError
from scalesearch.predict.prediction import probabilities

BINS = 15
"""Of confidence, equally wide: as many as in the paper."""

LEAST, MOST = 1e-3, 1e3
"""What temperatures are looked for between."""

Logits = NDArray[np.float32]
Labels = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Bin:
    """Images whose answers are about as sure: how many, their mean confidence, and the fraction of
    them that was answered right."""

    images: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """What probabilities are worth, over ``images`` images.

    ``nll``: mean negative logarithm of the true class's probability. ``ece``: mean distance of
    accuracy from confidence over ``bins`` equally wide bins of confidence, weighted by how many
    images are in each; a fraction. ``curve``: those bins that have images, by confidence.
    """

    images: int
    accuracy: float
    nll: float
    ece: float
    bins: int
    curve: tuple[Bin, ...]


@dataclass(frozen=True, slots=True)
class Calibration:
    """A temperature, and what it brought on the images it was fitted on and on the test images,
    which it has not seen. ``previous``: the temperature before."""

    previous: float
    temperature: float
    validation: tuple[Reliability, Reliability]
    test: tuple[Reliability, Reliability]


def reliability(
    logits_NK: Logits, labels_N: Labels, temperature: float = 1.0, bins: int = BINS
) -> Reliability:
    """Of the probabilities that a temperature makes of logits (N, K)."""
    chances_NK = probabilities(logits_NK, temperature)
    confidence_N = chances_NK.max(axis=1)
    right_N = logits_NK.argmax(axis=1) == labels_N
    # Bins are open at their lower end, as in the paper: a confidence of 1/15 is in the first.
    bin_N = np.clip(np.ceil(confidence_N * bins).astype(np.int64) - 1, 0, bins - 1)
    curve = tuple(
        Bin(int(here.sum()), float(confidence_N[here].mean()), float(right_N[here].mean()))
        for here in (bin_N == number for number in range(bins))
        if here.any()
    )
    gaps = (one.images * abs(one.accuracy - one.confidence) for one in curve)
    return Reliability(
        images=len(labels_N),
        accuracy=float(right_N.mean()),
        nll=float(_surprise(logits_NK, labels_N, 1 / temperature).mean()),
        ece=sum(gaps) / len(labels_N),
        bins=bins,
        curve=curve,
    )


def fitted_temperature(logits_NK: Logits, labels_N: Labels) -> float:
    """The temperature at which logits (N, K) have the smallest negative log-likelihood.

    That is convex in the inverse temperature, so that there is at most one; found where its
    derivative is zero. Raises DataError where there is none: all answers are right, and would be
    ever better the surer they were, or they are no better than chance.
    """

    def slope(log_inverse: float) -> float:
        inverse = float(np.exp(log_inverse))
        chances_NK = probabilities(logits_NK, 1 / inverse)
        expected_N = (chances_NK * logits_NK).sum(axis=1)
        return float((expected_N - logits_NK[np.arange(len(labels_N)), labels_N]).mean())

    low, high = np.log(1 / MOST), np.log(1 / LEAST)
    if slope(low) >= 0:
        raise DataError(
            "temperature: need answers that tell more than chance does, got such that are truest "
            "when every class is as probable; train the network further"
        )
    if slope(high) <= 0:
        raise DataError(
            "temperature: need some wrong answers among the validation images, got "
            f"{len(labels_N)} right ones, of which none can be too sure; give more images"
        )
    return float(np.exp(-brentq(slope, low, high, xtol=1e-10)))


def _surprise(logits_NK: Logits, labels_N: Labels, inverse: float) -> NDArray[np.float64]:
    """Negative logarithm of each true class's probability; large ones do not overflow."""
    scaled = logits_NK.astype(np.float64) * inverse
    most_N = scaled.max(axis=1)
    sums_N = np.log(np.exp(scaled - most_N[:, None]).sum(axis=1)) + most_N
    return np.asarray(sums_N - scaled[np.arange(len(labels_N)), labels_N])
